"""Packs of short nodes, and edges that are not taken."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import HandBack
from orchestrator.engine.jobs import Job, Pack, untaken
from orchestrator.engine.leases import Held
from orchestrator.engine.upstream import Upstream
from orchestrator.store.records import Claimed


def job(name: str, call: str = "f") -> Job:
    lease = Lease("g", name, 1, "n", 1)
    nothing: Any = None  # nothing here reads an output
    upstream = Upstream(nothing, nothing, lease)
    return Job(Claimed(lease, 3000, 0, "{}", ""), {"call": call}, Held(lease, 3000, 0.0, 0), upstream)


def names(jobs: list[Job]) -> list[str]:
    return [one.claimed.lease.node for one in jobs]


def test_a_pack_runs_in_order() -> None:
    pack = Pack([job("a"), job("b")])
    assert pack.started == 0.0
    assert names([one for one in (pack.next(), pack.next()) if one]) == ["a", "b"]
    assert pack.next() is None
    assert pack.started > 0


def test_work_not_known_to_be_short_goes_back() -> None:
    jobs = [job("a", "short"), job("b", "long"), job("c", "short")]
    pack = Pack(jobs)
    pack.keep_short(lambda one: one.call == "short")
    assert isinstance(jobs[1].end, HandBack)
    assert [one.end for one in (jobs[0], jobs[2])] == [None, None]
    assert names([one for one in (pack.next(), pack.next()) if one]) == ["a", "c"]
    assert names(pack.jobs) == ["a", "b", "c"], "what goes back is committed with the rest"


def test_of_work_that_is_all_long_the_first_is_run() -> None:
    jobs = [job("a"), job("b")]
    pack = Pack(jobs)
    pack.keep_short(lambda _: False)
    assert jobs[0].end is None
    assert isinstance(jobs[1].end, HandBack)


def test_what_waits_can_be_taken_away_once() -> None:
    pack = Pack([job("a"), job("b"), job("c")])
    first = pack.next()
    assert names(pack.take_waiting()) == ["b", "c"]
    assert pack.take_waiting() == []
    assert pack.next() is None
    assert pack.jobs == [first]


def test_a_job_is_run_or_taken_but_never_both() -> None:
    pack = Pack([job(f"n{index}") for index in range(300)])
    run: list[Job] = []
    taken: list[Job] = []
    start = threading.Barrier(2)

    def runner() -> None:
        start.wait()
        while (one := pack.next()) is not None:
            run.append(one)

    def watcher() -> None:
        start.wait()
        taken.extend(pack.take_waiting())

    threads = [threading.Thread(target=runner), threading.Thread(target=watcher)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(run) + names(taken)) == sorted(f"n{index}" for index in range(300))


@pytest.mark.parametrize(("output", "expected"), [({"x": 5}, " low "), ({"x": 1}, " high "), (None, " high low ")])
def test_untaken_names_the_targets_whose_condition_does_not_hold(output: object, expected: str) -> None:
    spec = {
        "_when": {
            "high": {"path": "x", "op": ">", "value": 3},
            "low": {"path": "x", "op": "<=", "value": 3},
        }
    }
    assert untaken(spec, output) == expected


def test_untaken_is_empty_where_every_edge_is_taken() -> None:
    assert untaken({}, 1) == ""
    assert untaken({"_when": {"b": {"op": "truthy"}}}, 1) == ""


def test_a_node_follows_until_what_is_before_it_is_committed() -> None:
    pack = Pack([job("a")])
    pack.next()
    b, c = job("b"), job("c")
    assert pack.follow(b)
    followed = [pack.following]
    pack.followed()
    assert [*followed, pack.following] == [b, None]
    with pack.lock:
        pack.close(b)
    assert pack.jobs == [b]
    assert not pack.follow(c)
    assert pack.jobs == [b]
