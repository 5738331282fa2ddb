"""A planted fault per invariant that histories show is noticed, at its node; and the same without it is clean."""

from __future__ import annotations

import pytest

from orchestrator.events.check import check_history
from orchestrator.events.plan import Plan
from support.tale import broken_by, plan, tale

PAIR = plan(["a", "b"], [("a", "b")])
LANE = plan([{"id": "x", "lane": "l"}, {"id": "y", "lane": "l"}])
RESCUE = plan(["a", "b"], [{"source": "a", "target": "b", "on": "failed"}])
WRITER = plan([{"id": "w", "kind": "agent", "agent": "writer"}])
RETRIES = plan([{"id": "a", "retries": 1}, "b"])
DONE = ("node.claimed a 1", "node.done a 1")
LIMITS = '"limits": {"concurrent": 2, "requests": 3, "tokens": 100, "seconds": 60}'


def permit(name: str, tokens: int = 1, at: int = 0) -> str:
    time = f"at={at} " if at else ""
    return f'llm.permit {time}{{"permit": "{name}", "account": "acc", "tokens": {tokens}, {LIMITS}}}'


def applied(command: str, node: str = "", at: int = 0, expires: int = 0) -> str:
    more = f', "expires": {expires}' if expires else ""
    return f'command.applied {node}{f" at={at}" if at else ""} {{"command": "{command}", "by": "cli"{more}}}'


FAULTS: dict[str, tuple[list[str], tuple[str, ...], Plan | None]] = {
    "a second commit": (["I1 a", "I2 a"], (*DONE, "node.done a 1"), None),
    "a commit that nobody claimed": (["I1 a"], ("node.done a 1",), None),
    "a commit with an old token": (["I1 a"], ("node.claimed a 1", "node.lost a 1", "node.claimed a 2", "node.done a 1"), None),
    "a commit of a lost lease": (["I1 a"], ("node.claimed a 1", "node.lost a 1", "node.done a 1"), None),
    "a retry by a stale lease": (
        ["I1 a"], ("node.claimed a 1", "node.lost a 1", "node.claimed a 2", "node.retry a 1"), None,
    ),
    "a commit by nobody": (["I1 a"], ("node.claimed a 1", "node.done a"), None),
    "a parked node that ends unwoken": (["I1 a"], ("node.claimed a 1", "node.waiting a 1", "node.done a"), None),
    "a parked node that ends later than woken": (
        ["I1 a"], ("node.claimed a 1", "node.waiting a 1", "node.woken a", "node.claimed b 2", "node.done a"), None,
    ),
    "a claim of what is done": (["I2 a"], (*DONE, "node.claimed a 2"), None),
    "a failure of what is skipped": (["I2 a"], ("node.skipped a", "node.cancelled a"), None),
    "life after the end": (["I2 b"], (*DONE, "goal.done", "node.claimed b 2"), None),
    "two ends of the goal": (["I2"], (*DONE, "goal.done", "goal.failed"), None),
    "a retry of a goal that is done": (["I2"], ("goal.done", "goal.retried"), None),
    "a claim before its parent": (["I3 b"], ("node.claimed b 1",), PAIR),
    "a claim beside its parent": (["I3 b"], ("node.claimed a 1", "node.claimed b 2"), PAIR),
    "a claim behind a failure": (
        ["I3 b"], ("node.claimed a 1", 'node.failed a 1 {"reason": "error"}', "node.claimed b 2"), PAIR,
    ),
    "a skip that came too soon": (["I3 b"], ("node.claimed a 1", "node.skipped b", "node.done a 1"), PAIR),
    "a skip of a parked node": (["I3 b"], (*DONE, "node.claimed b 2", "node.waiting b 2", "node.skipped b"), PAIR),
    "an input that was never committed": (
        ["I3 b"],
        (
            "node.claimed a 1", 'node.done a 1 {"inputs": {}, "output": "aaa"}', "node.claimed b 2",
            'node.done b 2 {"inputs": {"a": "bbb"}, "output": "ccc"}',
        ),
        PAIR,
    ),
    "a claim of what is leased": (["I5 a"], ("node.claimed a 1", "node.claimed a 2"), None),
    "a token that falls": (["I5 a"], ("node.claimed a 2", "node.lost a 2", "node.claimed a 1"), None),
    "a token that was used by another": (["I5 b"], ("node.claimed a 1", "node.claimed b 1"), None),
    "a reserved token that is used twice": (
        ["I5 d"], ("node.claimed a 9", "node.claimed b 4", "node.claimed c 5", "node.claimed d 4", "node.claimed e 3"), None,
    ),
    "a lease that ran out unheld": (["I5 a"], ("node.lost a 1",), None),
    "another lease that ran out": (["I5 a"], ("node.claimed a 1", "node.lost a 7"), None),
    "a drop of what is leased": (["I5 a"], ("node.claimed a 1", "node.dropped a"), None),
    "two of a lane at once": (["I6 y"], ("node.claimed x 1", "node.claimed y 2"), LANE),
    "a lane that overtakes a retry": (
        ["I6 y"], ("node.claimed x 1", 'node.retry x 1 {"reason": "error"}', "node.claimed y 2"), LANE,
    ),
    "a lane that overtakes a lost lease": (["I6 y"], ("node.claimed x 1", "node.lost x 1", "node.claimed y 2"), LANE),
    "a lane out of its order": (
        ["I6 x"], ('node.claimed y 1 {"place": 2}', "node.done y 1", 'node.claimed x 2 {"place": 1}'), LANE,
    ),
    "a retry that lost its place": (
        ["I6 x"], ('node.claimed x 1 {"place": 1}', "node.lost x 1", 'node.claimed x 2 {"place": 2}'), LANE,
    ),
    "a permit too many at once": (["I7"], (permit("p"), permit("q"), permit("r")), None),
    "a permit twice": (["I7"], (permit("p"), permit("p")), None),
    "tokens beyond the limit": (["I7"], (permit("p", 60), permit("q", 60)), None),
    "a settlement without a permit": (["I7"], ('llm.settled {"permit": "p", "account": "acc", "tokens": 1}',), None),
    "a claim after the cancel": (["I8 a"], ("goal.cancelling", "node.claimed a 1"), None),
    "a commit after the cancel": (["I8 a"], ("node.claimed a 1", "goal.cancelling", "node.done a 1"), None),
    "an LLM call after the cancel": (["I8"], ("goal.cancelling", permit("p")), None),
    "a claim while paused": (["I8 a"], ("goal.paused", "node.claimed a 1"), None),
    "a command that acts twice": (["I9"], (applied("c"), "node.claimed a 1", applied("c")), None),
    "a command that acts on a node twice": (["I9 a"], (applied("c", "a"), applied("c", "b"), applied("c", "a")), None),
    "a command that acts where it was refused": (
        ["I9"], ('command.refused {"command": "c", "verb": "RETRY", "why": "it runs"}', applied("c")), None,
    ),
    "a command that acts too late": (["I9"], (applied("c", at=1021, expires=1020),), None),
    "a command that is refused too late": (
        ["I9 a"], ('command.refused a at=1021 {"command": "c", "expires": 1020}',), None,
    ),
    "a command without an id": (["I9"], ('command.applied {"by": "cli"}',), None),
    "a commit of a stopped node": (["I1 a"], ("node.claimed a 1", "node.stopped a 1", "node.done a 1"), None),
    "a stop of what does not run": (["I5 a"], ("node.stopped a 1",), None),
    "a stop of another lease": (["I5 a"], ("node.claimed a 1", "node.stopped a 7"), None),
    "a claim of a held node": (["I8 a"], ('goal.held {"node": "a"}', "node.claimed a 1"), None),
    "a claim of a held agent's node": (["I8 w"], ('goal.held {"agent": "writer"}', "node.claimed w 1"), WRITER),
    "a claim after another was released": (
        ["I8 a"], ('goal.held {"node": "a"}', 'goal.released {"node": "b"}', "node.claimed a 1"), None,
    ),
    "a node that is reopened before it ended": (["I2 a"], ("node.claimed a 1", "node.reopened a"), None),
    "a done node that is reopened in a goal that runs": (["I2 a"], (*DONE, "node.reopened a"), None),
    "a dropped node that is reopened": (["I2 a"], ("node.dropped a", "node.reopened a"), None),
    "a claim before its parent has run again": (
        ["I3 b"],
        (*DONE, "node.claimed b 2", 'node.failed b 2 {"reason": "error"}', "goal.failed", "node.reopened a",
         "goal.retried", "node.claimed b 3"),
        PAIR,
    ),
    "a claim behind a drop that is not as failed": (["I3 b"], ("node.dropped a", "node.claimed b 1"), RESCUE),
    "an edit of a goal that is done": (["I2 a"], (*DONE, "goal.done", "node.edited a"), None),
    "a command on a goal that is cancelled": (["I2"], ("goal.cancelling", "goal.cancelled", applied("c")), None),
    "a place in a lane that was kept through a second run": (
        ["I6 x"],
        ('node.claimed x 1 {"place": 1}', "node.done x 1", 'node.claimed y 2 {"place": 2}',
         'node.failed y 2 {"reason": "error"}', "goal.failed", "node.reopened x", "goal.retried", 'node.claimed x 3 {"place": 1}'),
        LANE,
    ),
    "a second run under one id": (["I11"], ("goal.submitted",), None),
    "an attempt too many": (
        ["I13 a"],
        (
            "node.claimed a 1 attempt=1", "node.retry a 1", "node.claimed a 2 attempt=2", "node.retry a 2",
        ),
        RETRIES,
    ),
    "an attempt that was not counted": (
        ["I13 a"], ("node.claimed a 1 attempt=1", "node.lost a 1", "node.claimed a 2 attempt=3"), None,
    ),
    "a failure without a reason": (["I13 a"], ("node.claimed a 1", "node.failed a 1"), None),
    "a token that was fenced and then accepted": (
        ["I1 a", "I14 a"],
        ("node.claimed a 1", "node.lost a 1", "node.claimed a 2", "node.fenced a 1", "node.waiting a 1"),
        None,
    ),
    "a turn that is missing": (
        ["I15 a"],
        ('node.claimed a 1', 'node.turn a 1 {"turn": 1}', "node.waiting a 1", "node.woken a", "node.claimed a 2",
         'node.turn a 2 {"turn": 3}'), None,
    ),
    "a turn that is there twice": (
        ["I15 a"], ("node.claimed a 1", 'node.turn a 1 {"turn": 1}', 'node.turn a 1 {"turn": 1}'), None,
    ),
    "a turn of a stale worker": (
        ["I15 a"], ("node.claimed a 1", "node.lost a 1", "node.claimed a 2", 'node.turn a 1 {"turn": 1}'), None,
    ),
    "items from a stale map": (
        ["I14 a"], ("node.claimed a 1", "node.lost a 1", 'node.expanded a 1 {"items": 2}'), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_noticed(name: str) -> None:
    expected, lines, after = FAULTS[name]
    assert broken_by(*lines, after=after) == expected


def test_every_invariant_that_a_history_shows_has_a_planted_fault() -> None:
    planted = {found.split()[0] for expected, _, _ in FAULTS.values() for found in expected}
    assert planted == {"I1", "I2", "I3", "I5", "I6", "I7", "I8", "I9", "I11", "I13", "I14", "I15"}


def test_a_claim_before_the_start_is_noticed() -> None:
    events = tale("goal.submitted", "node.claimed a 1", "goal.started", "node.done a 1", "node.claimed b 2")
    assert [(one.invariant, one.node) for one in check_history(events, plan())] == [("I8", "a")]


def test_a_limit_from_the_settings_counts_where_a_node_has_none() -> None:
    twice = ("node.claimed a 1", "node.retry a 1", "node.claimed a 2", "node.retry a 2")
    assert broken_by(*twice) == []
    assert broken_by(*twice, retries=2) == []
    assert broken_by(*twice, retries=1) == ["I13 a"]


def test_a_violation_is_one_line_that_says_where() -> None:
    events = tale("goal.submitted", "goal.started", "node.claimed n3 7", "node.lost n3 7", "node.claimed n3 4 at=1700")
    assert [str(one) for one in check_history(events, Plan())] == ["I5 n3 1700000-4: token 4 follows 7"]
    events = tale("goal.submitted", "goal.done", "goal.paused")
    assert [str(one) for one in check_history(events, Plan())] == [
        "I2 1002000-2: goal.paused after the goal's end: it is DONE"
    ]
