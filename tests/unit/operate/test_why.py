"""Each cause that there is, from facts alone: the cause, who must act, and the words that matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.states import GoalState, NodeState
from orchestrator.gate.asked import Asked
from orchestrator.llm.status import Snapshot, Usage, Waiting
from orchestrator.operate.facts import FleetFacts, GoalFacts, Invited, NodeFacts, Said, WorkerFacts
from orchestrator.operate.reason import Cause, Level, worst
from orchestrator.operate.why import why_goal, why_node

N, G = NodeState, GoalState
NOW = 1_700_000_000_000
W1 = WorkerFacts("w1@a", 7, 2, ("default", "llm"), "prefork", NOW - 500, alive=True)
FLEET = FleetFacts(NOW, (W1,), beat_age=0.5)
NO_BEAT = replace(FLEET, beat_age=30.0, beat_late=True)
GOAL = GoalFacts("g", G.RUNNING)
ANN = Said("cli:ann@desk", "db1 is full", NOW - 65_000, "c1")


def node(state: NodeState = N.READY, **fields: Any) -> NodeFacts:
    return NodeFacts(**({"id": "n", "state": state, "spec": {}} | fields))


def parked(reason: str, **fields: Any) -> NodeFacts:
    return node(N.WAITING, parked={"reason": reason, "resume": fields.pop("resume", "")}, **fields)


def line(**fields: Any) -> FleetFacts:
    """The fleet, with one line of model calls."""
    usage = {name: Usage(None, None, 0) for name in ("requests", "input", "output", "tokens", "concurrent")}
    plain: dict[str, Any] = {
        "account": "acme", "at_ms": NOW, "window_seconds": 60.0, "usage": usage | fields.pop("usage", {}), "waiting": 5,
        "owners": {}, "flows": (Waiting("o", "g", 2, 9.0),), "leases": (), "factor": 1.0, "hold_seconds": 0.0,
        "hold_reason": "", "breaker": "closed", "breaker_seconds": 0.0, "breaker_reason": "", "draining": False,
        "slots": 4, "processes": 1, "spend": {}, "budgets": {},
    }  # fmt: skip
    return replace(FLEET, lines={"acme": Snapshot(**(plain | fields))})


CALL = parked("llm:acme", resume=Asked(asked_ms=NOW - 9000, limit=100, line="acme", tokens=50).as_text())
LEASED = {"worker": "w1@a/8", "lease_ms": NOW + 2000, "since_ms": NOW - 4000, "attempt": 1}
GONE = replace(W1, alive=False, heard_ms=NOW - 9000)
BUSY = replace(W1, holds=(("other", "a"), ("other", "b")))
CHILD = GoalFacts("g.n", G.PAUSED, paused=ANN)

CASES: list[tuple[Cause, Level, str, NodeFacts, GoalFacts, FleetFacts]] = [
    (Cause.DONE, Level.ITSELF, "it is done", node(N.DONE), GOAL, FLEET),
    (Cause.FAILED, Level.PERSON, "it failed after 3 attempts (error): boom",
     node(N.FAILED, attempt=3, failure={"reason": "error", "error": "boom\n"}), GOAL, FLEET),
    (Cause.FAILED, Level.ITSELF, "boom", node(N.FAILED, failure={"error": "boom", "seen": {"by": "x"}}), GOAL, FLEET),
    (Cause.SKIPPED, Level.ITSELF, "a (FAILED)", node(N.SKIPPED, parents={"a": "FAILED"}), GOAL, FLEET),
    (Cause.DROPPED, Level.ITSELF, "out of the plan", node(N.DROPPED), GOAL, FLEET),
    (Cause.CANCELLED, Level.ITSELF, "cancelled", node(N.CANCELLED), GOAL, FLEET),
    (Cause.CANCELLING, Level.ITSELF, "being cancelled: why not", node(), replace(GOAL, cancelling=True, reason="why not"), FLEET),
    (Cause.PLANNING, Level.ITSELF, "plan is being made", node(), replace(GOAL, state=G.PLANNING), FLEET),
    (Cause.APPROVAL, Level.PERSON, "plan waits for a person", node(), replace(GOAL, state=G.AWAITING_APPROVAL), FLEET),
    (Cause.PAUSED, Level.PERSON, 'by cli:ann@desk 1 min 05 s ago, because "db1 is full"', node(),
     replace(GOAL, state=G.PAUSED, paused=ANN), FLEET),
    (Cause.PAUSED, Level.PERSON, "its budget is spent, 120 of 100 tokens", node(),
     replace(GOAL, state=G.PAUSED, budget={"tokens": 100}, spent={"tokens": 120}), FLEET),
    (Cause.HELD, Level.PERSON, "the node is held in this goal by cli:ann", node(), replace(GOAL, held={"n:n": ANN}), FLEET),
    (Cause.HELD, Level.PERSON, "its agent ada is held in this goal", node(spec={"agent": "ada"}),
     replace(GOAL, held={"a:ada": ANN}), FLEET),
    (Cause.HELD, Level.PERSON, "its queue default is held by", node(), GOAL, replace(FLEET, holds={"queue:default": ANN})),
    (Cause.HELD, Level.PERSON, "its agent ada is held for the owner default", node(spec={"agent": "ada"}), GOAL,
     replace(FLEET, holds={"agent:default/ada": ANN})),
    (Cause.STOPPED, Level.PERSON, "the whole fleet is stopped by", node(), GOAL, replace(FLEET, holds={"fleet": ANN})),
    (Cause.PARENTS, Level.ITSELF, "it waits for a (RUNNING)", node(N.BLOCKED, parents={"a": "RUNNING", "b": "DONE"}), GOAL, FLEET),
    (Cause.LEFT_OVER, Level.ITSELF, "edges are not resolved yet", node(N.BLOCKED, parents={"a": "DONE"}, need=1), GOAL, FLEET),
    (Cause.LANE, Level.PERSON, "2 other nodes of its lane l come first; the first of them, h, is WAITING",
     node(lane="l", before=2, ahead=replace(parked("approval"), id="h")), GOAL, FLEET),
    (Cause.NO_WORKERS, Level.BROKEN, "no worker is alive", node(), GOAL, replace(FLEET, workers=(GONE,))),
    (Cause.NO_WORKER, Level.BROKEN, "none of the 1 live workers serves its queue gpu", node(queue="gpu"), GOAL, FLEET),
    (Cause.DRAINED, Level.PERSON, "is being drained (w1@a)", node(), GOAL, replace(FLEET, workers=(replace(W1, draining=True),))),
    (Cause.ROLE, Level.BROKEN, "nobody else", node(queue="gpu", stuck="nobody else may"), GOAL, FLEET),
    (Cause.REDIS_FULL, Level.BROKEN, "Redis is full", node(), GOAL, replace(FLEET, full=True)),
    (Cause.SLOTS, Level.ITSELF, "all 2 slots of the workers of queue default are taken (other)", node(), GOAL,
     replace(FLEET, workers=(BUSY,))),
    (Cause.INVITED, Level.ITSELF, "on the way to a worker", node(), replace(GOAL, invited={"default": Invited(1, NOW + 900)}), FLEET),
    (Cause.MESSAGE_LOST, Level.ITSELF, "not answered 3 times", node(),
     replace(GOAL, invited={"default": Invited(1, NOW + 900, 3)}), FLEET),
    (Cause.BEAT, Level.BROKEN, "its message was lost, and beat, which would send it again, has not ticked for 30 s", node(),
     replace(GOAL, invited={"default": Invited(1, NOW - 900)}), NO_BEAT),
    (Cause.RUNS, Level.ITSELF, "w1@a runs it for 4.0 s", node(N.RUNNING, **LEASED), GOAL, FLEET),
    (Cause.WORKER_LOST, Level.ITSELF, "last heard of 9.0 s ago, held it", node(N.RUNNING, **LEASED), GOAL,
     replace(FLEET, workers=(GONE,))),
    (Cause.BEAT, Level.BROKEN, "its lease ran out 5.0 s ago", node(N.RUNNING, **LEASED | {"lease_ms": NOW - 5000}), GOAL, NO_BEAT),
    (Cause.BACKOFF, Level.ITSELF, "2 attempts failed: boom; the next comes in 3.0 s",
     parked("backoff", failures=2, due_ms=NOW + 3000, before_error="boom"), GOAL, FLEET),
    (Cause.MODEL_DOWN, Level.BROKEN, "BreakerOpen", parked("backoff", before_error="BreakerOpen: x"), GOAL, FLEET),
    (Cause.TIMER, Level.ITSELF, "comes in 3.0 s", parked("timer", due_ms=NOW + 3000), GOAL, FLEET),
    (Cause.BEAT, Level.BROKEN, "comes now; it was due 3.0 s ago, and beat", parked("timer", due_ms=NOW - 3000), GOAL, NO_BEAT),
    (Cause.SIGNAL, Level.PERSON, "the signal 'go'", parked("signal:go"), GOAL, FLEET),
    (Cause.APPROVAL, Level.PERSON, "person's yes or no for 4.0 s; it fails in 9.0 s",
     parked("approval", since_ms=NOW - 4000, due_ms=NOW + 9000), GOAL, FLEET),
    (Cause.CHILD, Level.PERSON, "its sub-goal g.n, which is PAUSED by cli:ann", parked("child:g.n", child=CHILD), GOAL, FLEET),
    (Cause.CHILD, Level.ITSELF, "not stored (yet)", parked("child:g.n"), GOAL, FLEET),
    (Cause.ITEMS, Level.ITSELF, "3 of its calls of tools", parked("tools", open_items=3), GOAL, FLEET),
    (Cause.DEFERRED, Level.PERSON, "somebody outside", parked("deferred"), GOAL, FLEET),
    (Cause.TASK, Level.ITSELF, "shop.mail", parked("task", spec={"call": "shop.mail"}), GOAL, FLEET),
    (Cause.TASK, Level.ITSELF, "no worker of Chordal serves the queue mail", parked("task", spec={"queue": "mail"}), GOAL, FLEET),
    (Cause.MODEL_LINE, Level.ITSELF, "has been waiting for 9.0 s in the line of acme, one of 5 (2 of this goal): the limit is "
     "reached, 3 of 3 requests in 60 s", CALL, GOAL, line(usage={"requests": Usage(3, 3, 3)})),
    (Cause.MODEL_LINE, Level.ITSELF, "950 of 1,000 tokens in 60 s", CALL, GOAL, line(usage={"tokens": Usage(1000, 1000, 950)})),
    (Cause.MODEL_LINE, Level.ITSELF, "all 4 slots", CALL, GOAL, line(usage={"concurrent": Usage(None, None, 4)})),
    (Cause.MODEL_LINE, Level.ITSELF, "paces its calls (slowed to 50 % after HTTP 429)", CALL, GOAL, line(factor=0.5)),
    (Cause.MODEL_HELD, Level.ITSELF, "acme is held for 3.0 s more: rate_limit", CALL, GOAL,
     line(hold_seconds=3.0, hold_reason="rate_limit")),
    (Cause.MODEL_DOWN, Level.BROKEN, "the breaker of acme is open for 8.0 s more: HTTP 500", CALL, GOAL,
     line(breaker="open", breaker_seconds=8.0, breaker_reason="HTTP 500")),
    (Cause.MODEL_DRAINED, Level.PERSON, "drained the account acme", CALL, GOAL, line(draining=True)),
    (Cause.MODEL_WORKERS, Level.BROKEN, "no live worker serves the queue llm", CALL, GOAL,
     replace(line(), workers=(replace(W1, queues=("default",)),))),
    (Cause.MODEL_WORKERS, Level.ITSELF, "beat gives it a share", CALL, GOAL, line(slots=0)),
    (Cause.BEAT, Level.BROKEN, "beat, which divides them, has not ticked", CALL, GOAL,
     replace(line(slots=0), beat_age=30.0, beat_late=True)),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "level", "words", "facts", "goal", "fleet"), CASES, ids=lambda case: str(case)[:20])
def test_the_first_reason_names_the_cause_and_who_must_act(
    cause: Cause, level: Level, words: str, facts: NodeFacts, goal: GoalFacts, fleet: FleetFacts
) -> None:
    first = why_node(facts, goal, fleet)[0]
    assert (first.cause, first.level) == (cause, level), first
    assert words in first.text
    assert first.remedy or level is not Level.BROKEN, "what is broken comes with a remedy"


def test_every_cause_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(Cause)


def test_a_blocked_node_tells_what_its_roots_wait_for() -> None:
    blocked = node(N.BLOCKED, parents={"b": "BLOCKED"}, roots=(replace(parked("approval"), id="ask"),))
    parents, root = why_node(blocked, GOAL, FLEET)
    assert parents.cause is Cause.PARENTS
    assert root.text.startswith("ask: it has been waiting for a person")
    assert root.remedy == "chordal approve g ask, or chordal reject g ask"


def test_what_keeps_the_whole_goal_is_not_said_of_a_root() -> None:
    goal = replace(GOAL, state=G.PAUSED, paused=ANN)
    blocked = node(N.BLOCKED, parents={"ask": "WAITING"}, roots=(replace(parked("approval"), id="ask"),))
    _, paused, root = why_node(blocked, goal, FLEET)
    assert paused.text.startswith("the goal is paused by")
    assert root.text.startswith("ask: it has been waiting")


def test_the_first_of_a_lane_tells_how_many_stand_behind_it() -> None:
    (reason,) = why_node(parked("approval", lane="l", behind=2), GOAL, FLEET)
    assert reason.text.endswith("; 2 more of its lane l stand behind it")


def test_a_paused_goal_is_not_told_once_more_for_each_node() -> None:
    goal = replace(GOAL, state=G.PAUSED, paused=ANN, counts={N.RUNNING: 1})
    found = why_goal(goal, [node(), node(id="m"), node(N.RUNNING, id="r", **LEASED)], FLEET)
    assert [(one.reason.cause, one.nodes) for one in found] == [(Cause.PAUSED, ()), (Cause.RUNS, ("r",))]
    assert "1 of its nodes still runs and may finish" in found[0].reason.text


def test_the_same_cause_is_told_once_and_the_worst_comes_first() -> None:
    nodes = [
        parked("timer", due_ms=NOW + 9),
        parked("approval", id="ask"),
        *(node(id=f"r{at}", queue="gpu") for at in range(3)),
    ]
    found = why_goal(GOAL, nodes, FLEET)
    assert [one.reason.level for one in found] == [Level.BROKEN, Level.PERSON, Level.ITSELF]
    assert found[0].nodes == ("r0", "r1", "r2")
    assert worst([one.reason for one in found]) is Level.BROKEN


def test_failures_alike_are_told_once_with_the_remedy_for_all() -> None:
    failed = [node(N.FAILED, id=name, failure={"reason": "error", "error": "boom"}) for name in ("a", "b")]
    goal = replace(GOAL, state=G.FAILED, counts={N.FAILED: 2})
    ended, both = why_goal(goal, failed, FLEET)
    assert ended.reason.text == "the goal failed with 2 failed nodes"
    assert (both.nodes, both.reason.remedy) == (("a", "b"), "chordal retry g")


@pytest.mark.parametrize(("late", "cause"), [(False, Cause.LEFT_OVER), (True, Cause.BEAT)])
def test_a_goal_with_nothing_to_do_waits_for_beat(late: bool, cause: Cause) -> None:
    (found,) = why_goal(GOAL, [], replace(FLEET, beat_late=late))
    assert found.reason.cause is cause


@pytest.mark.parametrize("state", [G.DONE, G.CANCELLED])
def test_a_goal_that_has_ended_says_only_that(state: GoalState) -> None:
    (found,) = why_goal(replace(GOAL, state=state), [node(N.DONE)], FLEET)
    assert found.reason.level is Level.ITSELF
