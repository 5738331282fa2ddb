"""The ripple: what follows from an end is resolved in bounded scripts, however much it is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.store.records import NodeRow, Outcome, Result
from orchestrator.store.store import Store
from support.sim import Sim, failure, row

LONGEST_MICROSECONDS = 250_000


@contextmanager
def bounded(store: Store) -> Iterator[None]:
    """No script of the block holds the server for long."""
    store.client.config_set("slowlog-log-slower-than", LONGEST_MICROSECONDS)
    store.client.slowlog_reset()
    yield
    slow = [entry for entry in store.client.slowlog_get(10) if b"EVAL" in bytes(entry["command"])[:8].upper()]
    assert slow == []


def star(leaves: int, *others: str) -> Iterator[NodeRow]:
    """A root with so many leaves, and nodes that stand alone."""
    names = [f"n{index}" for index in range(leaves)]
    yield row("root", edges=" ".join(names))
    yield from map(row, others)
    yield from (row(name, ["root"]) for name in names)


def test_a_node_with_a_hundred_thousand_children(store: Store) -> None:
    sim = Sim(store)
    sim.submit_rows(star(100_000))
    lease = sim.take("root")
    with bounded(store):
        assert sim.commit(Result(lease, Outcome.DONE)).more
        assert sim.settle() < 60
    assert Counter(sim.states().values()) == {"READY": 100_000, "DONE": 1}
    assert [sim.record()[name] for name in ("n:READY", "n:BLOCKED", "left")] == ["100000", "0", "100000"]


def test_children_that_lead_nowhere_do_not_need_a_script_each(sim: Sim) -> None:
    """99,999 skipped leaves once took 98,000 scripts, in a goal that another node kept open."""
    sim.submit_rows(star(20_000, "other"))
    assert sim.commit(Result(sim.take("root"), Outcome.FAILED, failure("x"))).more
    assert sim.settle() < 200
    assert sim.state == "RUNNING"


def test_a_chain_of_ten_thousand_skips(sim: Sim) -> None:
    names = [f"n{index}" for index in range(10_000)]
    sim.submit(names, list(itertools.pairwise(names)))
    with bounded(sim.store):
        step = sim.commit(Result(sim.take("n0"), Outcome.FAILED, failure("x")))
        assert step.more
        assert step.status == "RUNNING", "it ends with its last node"
        assert sim.settle() < 10
    assert Counter(sim.states().values()) == {"SKIPPED": 9_999, "FAILED": 1}
    assert sim.state == "FAILED"


def test_a_ripple_that_its_worker_left_is_finished_by_beat(sim: Sim) -> None:
    names = [f"n{index}" for index in range(10_000)]
    sim.submit(names, list(itertools.pairwise(names)))
    assert sim.commit(Result(sim.take("n0"), Outcome.FAILED, failure("x"))).more
    looks = 0
    while sim.state == "RUNNING":
        assert sim.reap().advice in ("again", "wait")
        looks += 1
    assert looks < 10


def test_others_go_on_while_a_ripple_is_resolved(sim: Sim) -> None:
    children = [f"n{index}" for index in range(5_000)]
    sim.submit(["root", "other", "next", *children], [("other", "next"), *(("root", child) for child in children)])
    other = sim.take("other")
    assert sim.commit(Result(sim.take("root"), Outcome.DONE)).more
    sim.done(other)
    assert sim.states()["next"] == "READY"
    claimed = sim.claim(most=16)
    assert len(claimed) == 16
    sim.settle()
    assert Counter(sim.states().values()) == {"READY": 5_001 - 16, "RUNNING": 16, "DONE": 2}


def test_conditions_are_remembered_across_scripts(sim: Sim) -> None:
    children = [f"n{index}" for index in range(4_500)]
    edges = [{"source": "root", "target": child, "when": "> 1"} for child in children]
    sim.submit(["root", *children], edges)
    untaken = f" {' '.join(children[::2])} "
    sim.commit(Result(sim.take("root"), Outcome.DONE, "1", untaken))
    sim.settle()
    states = sim.states()
    assert {states[child] for child in children[::2]} == {"SKIPPED"}
    assert {states[child] for child in children[1::2]} == {"READY"}


def test_settling_what_is_settled_changes_nothing(sim: Sim) -> None:
    sim.submit(["a"])
    before = sim.dump()
    assert sim.settle() == 1
    assert sim.dump() == before
    assert sim.store.nodes.settle("ghost", slots="{}") == (False, [])


def test_a_goal_that_has_ended_leaves_no_ripple_for_a_retry_to_trip_over(sim: Sim) -> None:
    """Ends without a way on were left in the list when the goal ended, and skipped what a retry had reopened."""
    layers = [[f"n{layer}.{index}" for index in range(1_500)] for layer in range(3)]
    edges = [("root", name) for name in layers[0]]
    edges += [pair for above, below in itertools.pairwise(layers) for pair in zip(above, below, strict=True)]
    sim.submit(["root", *(name for layer in layers for name in layer)], edges)
    sim.commit(Result(sim.take("root"), Outcome.FAILED, failure("x")))
    while sim.state == "RUNNING":
        sim.store.nodes.settle("g", slots="{}", now_ms=sim.now)
    assert sim.store.client.llen(sim.store.keys.part("g", "ripple")) == 0
