"""Short nodes in a line run on behind the one that is claimed, and are committed with it in one step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator import current
from orchestrator.engine.run import PACK_SECONDS, Stopping
from orchestrator.store.records import Claimed, Outcome, Result, Verdict
from orchestrator.store.store import Store
from support.crew import Crew
from support.sim import Sim, failure

LINE = (["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("c", "d")])


def head(sim: Sim, node: str = "a") -> Claimed:
    """Claim a node as a worker does whose last nodes were short: with its followers."""
    step = sim.commit(most=1, look_ahead=16)
    assert [claimed.lease.node for claimed in step.claims] == [node]
    return step.claims[0]


def line(claimed: Claimed, *outputs: str) -> list[Result]:
    """DONE, for the claimed node and then for its followers."""
    leases = [claimed.lease, *(follower.lease for follower in claimed.followers)]
    return [
        Result(lease, Outcome.DONE, output, ahead=index > 0)
        for index, (lease, output) in enumerate(zip(leases, outputs, strict=False))
    ]


# -- what a claim tells of those behind it ------------------------------------------------------------------------------


def followers(sim: Sim, **how: Any) -> list[str]:
    """The followers that come with a claim."""
    (claimed,) = sim.commit(most=1, look_ahead=16, **how).claims
    return [follower.lease.node for follower in claimed.followers]


def test_a_claim_comes_with_those_that_wait_for_it_alone(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    assert [follower.lease.node for follower in claimed.followers] == ["b", "c", "d"]
    assert [list(follower.parents) for follower in claimed.followers] == [["a"], ["b"], ["c"]]
    assert [follower.lease.token for follower in claimed.followers] == [2, 3, 4], "a token is reserved for each"
    assert sim.states() == {"a": "RUNNING", "b": "BLOCKED", "c": "BLOCKED", "d": "BLOCKED"}


def test_without_being_asked_a_claim_comes_alone(sim: Sim) -> None:
    sim.submit(*LINE)
    assert sim.claim()[0].followers == ()


def test_nodes_that_are_claimed_together_come_without_followers(sim: Sim) -> None:
    sim.submit(["a", "b", "c"], [("a", "c")])
    assert [claimed.followers for claimed in sim.commit(most=2, look_ahead=16).claims] == [(), ()]


@pytest.mark.parametrize(
    "third",
    [{"lane": "l"}, {"queue": "gpu"}, {"lease_seconds": 9}, {"join": "any"}],
    ids=lambda fields: next(iter(fields)),
)
def test_the_line_ends_where_a_claim_has_more_to_look_at(sim: Sim, third: dict[str, Any]) -> None:
    sim.submit(["a", "b", {"id": "c", **third}, "d", "x"], [*LINE[1], ("x", "c")])
    sim.take("x")
    assert followers(sim) == ["b"]


def test_the_line_ends_at_a_fork_and_at_a_join(sim: Sim) -> None:
    sim.submit(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("b", "d")])
    assert followers(sim) == ["b"], "b has two behind it"
    sim = Sim(sim.store, "join")
    sim.submit(["a", "b", "x"], [("a", "b"), ("x", "b")])
    sim.take("x")
    assert followers(sim) == [], "b waits for x too"


@pytest.mark.parametrize("edge", [{"on": "failed"}, {"on": "finished"}, {"when": "== 1"}])
def test_an_edge_with_a_condition_ends_the_line(sim: Sim, edge: dict[str, str]) -> None:
    sim.submit(["a", "b"], [{"source": "a", "target": "b", **edge}])
    assert followers(sim) == []


def test_a_join_of_which_one_parent_is_left_is_in_the_line(sim: Sim) -> None:
    sim.submit(["a", "b", "c"], [("a", "c"), ("b", "c")])
    sim.done("a")
    assert followers(sim) == ["c"]


def test_there_are_no_more_followers_than_asked_for(sim: Sim) -> None:
    sim.submit(*LINE)
    (claimed,) = sim.commit(most=1, look_ahead=2).claims
    assert len(claimed.followers) == 2


# -- the commit of a line ------------------------------------------------------------------------------------------------


def test_a_line_is_claimed_and_done_in_one_step(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    step = sim.commit(*line(claimed, "1", "2", "3", "4"), version=claimed.version)
    assert list(step.verdicts) == [Verdict.ACCEPTED] * 4
    assert step.status == "DONE"
    assert sim.outputs() == {"a": "1", "b": "2", "c": "3", "d": "4"}
    history = [(event["type"], event["node"], event["token"]) for event in sim.events() if event["node"]]
    assert history == [(f"node.{kind}", node, token) for node, token in zip("abcd", "1234", strict=True)
                       for kind in ("claimed", "done")]  # fmt: skip
    assert {sim.task(node)["attempt"] for node in "abcd"} == {"1"}


def test_a_part_of_a_line_sets_the_next_node_free(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    step = sim.commit(*line(claimed, "1", "2"), version=claimed.version, most=1, look_ahead=16)
    assert sim.states() == {"a": "DONE", "b": "DONE", "c": "RUNNING", "d": "BLOCKED"}
    assert step.claims[0].lease.token == 5, "reserved tokens are not given out twice"


def test_the_same_commit_again_changes_nothing(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    results = line(claimed, "1", "2", "3")
    sim.commit(*results, version=claimed.version)
    before = sim.dump()
    assert list(sim.commit(*results, version=claimed.version).verdicts) == [Verdict.REPEATED] * 3
    assert sim.dump() == before


@pytest.mark.parametrize(
    ("outcome", "extra", "state"),
    [(Outcome.FAILED, "", "FAILED"), (Outcome.RETRY, 1000, "WAITING"), (Outcome.RETRY, 0, "READY")],
)
def test_a_follower_can_end_in_any_way(sim: Sim, outcome: Outcome, extra: str | int, state: str) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    first, second = line(claimed, "1", "2")
    ended = replace(second, outcome=outcome, body=failure("boom"), extra=extra)
    assert list(sim.commit(first, ended, version=claimed.version).verdicts) == [Verdict.ACCEPTED] * 2
    assert sim.states()["b"] == state
    assert sim.outputs() == {"a": "1"}


def unclaimed(sim: Sim, claimed: Claimed, *verdicts: Verdict) -> None:
    step = sim.commit(*line(claimed, "1", "2", "3"), version=claimed.version)
    assert list(step.verdicts) == list(verdicts)
    assert [event["node"] for event in sim.events("node.claimed")] == ["a"]
    assert "b" not in sim.outputs()


def test_what_ran_ahead_of_a_pause_runs_again(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    sim.pause()
    unclaimed(sim, claimed, Verdict.ACCEPTED, Verdict.UNCLAIMED, Verdict.UNCLAIMED)
    assert sim.states() == {"a": "DONE", "b": "READY", "c": "BLOCKED", "d": "BLOCKED"}
    sim.resume()
    sim.done("b", "c", "d")


def test_what_ran_ahead_of_a_patch_runs_again(sim: Sim, plan: Callable[..., int]) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    plan(add_nodes=[{"id": "new"}], add_edges=[{"source": "new", "target": "b"}])
    unclaimed(sim, claimed, Verdict.ACCEPTED, Verdict.UNCLAIMED, Verdict.UNCLAIMED)
    assert sim.states()["b"] == "BLOCKED", "it waits for the node that the patch put before it"


def test_what_ran_ahead_of_a_cancel_is_nothing(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    sim.cancel()
    unclaimed(sim, claimed, Verdict.FENCED, Verdict.UNCLAIMED, Verdict.UNCLAIMED)


def test_behind_a_fenced_node_nothing_is_claimed(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    sim.tick(10_000)
    sim.reap()
    unclaimed(sim, claimed, Verdict.FENCED, Verdict.UNCLAIMED, Verdict.UNCLAIMED)
    assert len(sim.events("node.fenced")) == 1, "only the first held a lease"
    sim.done("a", "b", "c", "d")


def test_behind_a_failed_node_nothing_is_claimed(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    first, second = line(claimed, "1", "2")
    wrong = replace(first, outcome=Outcome.FAILED, body=failure("boom"))
    assert list(sim.commit(wrong, second, version=claimed.version).verdicts) == [Verdict.ACCEPTED, Verdict.UNCLAIMED]
    assert sim.states() == {"a": "FAILED", "b": "SKIPPED", "c": "SKIPPED", "d": "SKIPPED"}


def test_a_follower_that_takes_long_is_claimed_while_it_runs(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    first, second = line(claimed, "1", "2")
    still = replace(second, outcome=Outcome.RUNNING, body="")
    for verdict in (Verdict.ACCEPTED, Verdict.REPEATED):
        step = sim.commit(first, still, version=claimed.version)
        assert list(step.verdicts) == [verdict, Verdict.ACCEPTED], "sent again, it still holds its lease"
    assert sim.states()["b"] == "RUNNING"
    assert sim.renew(second.lease) == []
    assert sim.end(second.lease, "done", "2") is Verdict.ACCEPTED
    assert sim.outputs() == {"a": "1", "b": "2"}


def test_a_commit_whose_follower_stands_first_leaves_no_node_behind(sim: Sim) -> None:
    sim.submit(*LINE)
    claimed = head(sim)
    first, second = line(claimed, "1", "2")
    step = sim.commit(second, first, version=claimed.version)
    assert list(step.verdicts) == [Verdict.UNCLAIMED, Verdict.ACCEPTED]
    assert sim.states()["b"] == "READY"


# -- the worker ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(crew: Crew) -> Crew:
    """A worker whose nodes are known to be short."""
    for call in ("", "f", "slow"):
        crew.runner.durations.mean[call] = 1e-5
    return crew


def chain(crew: Crew, size: int, **node: Any) -> str:
    nodes = [{"id": f"n{index}", **node} for index in range(size)]
    return crew.submit([{"id": "first"}, *nodes], [("first", "n0"), *((f"n{i}", f"n{i + 1}") for i in range(size - 1))])


def scripts(store: Store, name: str = "evalsha") -> int:
    return int(store.client.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0))


def test_a_chain_of_short_nodes_takes_few_scripts(short: Crew) -> None:
    chain(short, 32)
    before = scripts(short.store)
    short.work()
    assert short.store.goals.field("g", "state") == "DONE"
    assert scripts(short.store) - before <= 6


def test_each_node_sees_the_output_of_the_one_before(short: Crew) -> None:
    short.function(lambda upstream: sum(upstream.values(), 1) if isinstance(upstream, dict) else 0, "count")
    short.function(lambda value: value * 2, "twice")
    seen: list[tuple[str, int]] = []

    def f(value: int) -> int:
        lease = current()
        assert lease is not None
        seen.append((lease.node, lease.token))
        return value + 1

    short.function(f, "f")
    inputs = [{"value": 0}, *({"value": {"from": f"n{index}"}} for index in range(9))]
    short.submit(
        [{"id": "first"}, *({"id": f"n{index}", "call": "f", "inputs": given} for index, given in enumerate(inputs))],
        [("first", "n0"), *((f"n{index}", f"n{index + 1}") for index in range(9))],
    )
    short.work()
    outputs = short.store.goals.part("g", "outputs")
    assert [json.loads(outputs[f"n{index}"]) for index in range(10)] == list(range(1, 11))
    claimed = [
        (fields["node"], int(fields["token"]))
        for _, fields in short.store.client.xrange("dag:{g}:events")
        if fields["type"] == "node.claimed" and fields["node"] != "first"
    ]
    assert seen == claimed, "the token that the function sees is the one of the history"


def test_a_failing_follower_ends_the_line(short: Crew) -> None:
    def f() -> None:
        raise ValueError("boom")

    short.function(f, "f")
    short.submit([{"id": "a"}, {"id": "b"}, {"id": "c", "call": "f"}, {"id": "d"}], LINE[1])
    short.work()
    assert short.store.goals.field("g", "state") == "FAILED"
    assert [short.store.nodes.states("g", [node])[0]["state"] for node in "abcd"] == [
        "DONE",
        "DONE",
        "FAILED",
        "SKIPPED",
    ]


def test_an_output_that_cannot_be_stored_fails_its_node(short: Crew) -> None:
    short.function(lambda: object(), "f")
    short.submit([{"id": "a"}, {"id": "b", "call": "f"}, {"id": "c"}], [("a", "b"), ("b", "c")])
    short.work()
    assert "is not JSON" in short.store.goals.part("g", "dead")["b"]


@pytest.mark.parametrize("slow", [{"timeout_seconds": 5}, {"kind": "wait", "inputs": {"signal": "s"}}])
def test_a_node_that_needs_more_than_a_function_call_does_not_run_ahead(short: Crew, slow: dict[str, Any]) -> None:
    short.function(lambda: None, "f")
    more = slow if "kind" in slow else {**slow, "call": "f"}
    short.submit([{"id": "a"}, {"id": "b"}, {"id": "c", **more}], [("a", "b"), ("b", "c")])
    short.work()
    assert short.store.nodes.states("g", ["c"])[0]["state"] == ("WAITING" if "kind" in slow else "DONE")


def test_the_watcher_commits_what_waits_behind_a_long_node(short: Crew) -> None:
    """The node thought short is claimed by the watcher while it runs, and what ran before it is committed."""
    states: list[list[str]] = []

    def slow() -> int:
        _watch(short)
        states.append([record["state"] for record in short.store.nodes.states("g", ["first", "n0", "n1"])])
        return 7

    short.function(slow, "slow")
    short.submit(
        [{"id": "first"}, {"id": "n0"}, {"id": "n1", "call": "slow"}, {"id": "n2"}],
        [("first", "n0"), ("n0", "n1"), ("n1", "n2")],
    )
    short.work()
    assert states == [["DONE", "DONE", "RUNNING"]]
    assert short.store.goals.field("g", "state") == "DONE"
    assert short.store.goals.part("g", "outputs")["n1"] == "7"
    assert len(short.runner.keeper.held()) == 0


def test_a_long_node_whose_goal_is_paused_meanwhile_runs_again(short: Crew) -> None:
    runs: list[int] = []

    def slow() -> int:
        runs.append(1)
        if len(runs) == 1:
            short.control.pause("g")
            _watch(short)
        return 7

    short.function(slow, "slow")
    short.submit([{"id": "first"}, {"id": "n0"}, {"id": "n1", "call": "slow"}], [("first", "n0"), ("n0", "n1")])
    short.work()
    assert short.store.nodes.states("g", ["n1"])[0]["state"] == "READY"
    short.control.resume("g")
    short.work()
    assert len(runs) == 2
    assert short.store.goals.part("g", "outputs")["n1"] == "7"


def test_a_shutdown_under_a_follower_commits_what_is_whole(short: Crew) -> None:
    def f() -> None:
        raise Stopping

    short.function(f, "f")
    short.submit([{"id": "a"}, {"id": "b"}, {"id": "c", "call": "f"}, {"id": "d"}], LINE[1])
    with pytest.raises(Stopping):
        short.work()
    assert [short.store.nodes.states("g", [node])[0]["state"] for node in "abc"] == ["DONE", "DONE", "READY"]
    assert len(short.runner.keeper.held()) == 0


def test_digests_of_what_was_read_and_given_are_in_the_history(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path, record_digests=True)
    crew.function(lambda upstream: list(upstream), "f")
    crew.runner.durations.mean[""] = crew.runner.durations.mean["f"] = 1e-5
    crew.submit(
        [{"id": "a", "title": "t"}, {"id": "b", "call": "f"}, {"id": "c", "call": "f"}], [("a", "b"), ("b", "c")]
    )
    crew.work()
    data = {
        fields["node"]: json.loads(fields["data"])
        for _, fields in store.client.xrange("dag:{g}:events")
        if fields["type"] == "node.done"
    }
    assert data["a"]["inputs"] == {}
    assert data["b"]["inputs"] == {"a": data["a"]["output"]}
    assert data["c"]["inputs"] == {"b": data["b"]["output"]}


def _watch(crew: Crew) -> None:
    """The watcher looks, as it does after a quarter of a second."""
    for watcher in list(crew.runner.keeper.watchers):
        watcher(time.monotonic() + PACK_SECONDS + 1)
