"""The workers' side of the story: each way in which the history can contradict it is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.lease import Lease
from orchestrator.store.records import Outcome, Result, Verdict
from simulation.truth import Entry, Truth


def event(kind: str, node: str = "", token: int | str = "", **more: str) -> Entry:
    """An entry of a stream, as it is stored."""
    fields = {
        "type": kind,
        "node": node,
        "attempt": "1",
        "token": str(token),
        "worker": "w" if token else "",
        "data": "",
    }
    return "1-0", {**fields, **more}


STORY = [event("goal.submitted"), event("node.claimed", "a", 1), event("node.done", "a", 1),
         event("node.claimed", "b", 2), event("node.done", "b", 2)]  # fmt: skip
OUTPUTS = {"a": '{"v":1}', "b": '{"v":2}'}


def done(node: str, token: int, body: str, nonce: str = "n") -> Result:
    return Result(Lease("g", node, token, nonce, 1), Outcome.DONE, body)


@pytest.fixture
def truth() -> Truth:
    """Two nodes, b behind a, each run once and committed."""
    told = Truth()
    for node, token, upstream in (("a", 1, {}), ("b", 2, {"a": {"v": 1}})):
        result = done(node, token, OUTPUTS[node])
        told.ran(result.lease, upstream)
        told.sent("g", [result])
        told.answered("g", [result], [Verdict.ACCEPTED])
    return told


def codes(truth: Truth, story: list[Entry] = STORY, outputs: dict[str, str] | None = None) -> list[str]:
    """The rules that are broken."""
    found = [*truth.twice, *truth.disagreements("g", story, OUTPUTS if outputs is None else outputs)]
    return sorted({fault.split(" ")[0] for fault in found})


def test_a_true_story_has_no_fault(truth: Truth) -> None:
    assert codes(truth) == []


def test_a_function_that_runs_twice_under_one_token(truth: Truth) -> None:
    truth.ran(Lease("g", "a", 1, "n", 1), {})
    assert codes(truth) == ["T1"]


@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.FENCED, Verdict.CANCELLING])
def test_a_lease_that_is_accepted_and_then_answered_otherwise(truth: Truth, verdict: Verdict) -> None:
    truth.answered("g", [done("a", 1, OUTPUTS["a"])], [verdict])
    assert codes(truth) == ["T2"]


def test_an_accepted_commit_that_the_history_does_not_know(truth: Truth) -> None:
    truth.answered("g", [done("c", 3, "1")], [Verdict.ACCEPTED])
    assert codes(truth) == ["T2"]


def test_a_repetition_that_the_history_does_not_know(truth: Truth) -> None:
    truth.answered("g", [done("c", 3, "1")], [Verdict.REPEATED])
    assert codes(truth) == ["T2"]


def test_an_output_that_nobody_sent(truth: Truth) -> None:
    assert codes(truth, outputs=OUTPUTS | {"b": "3"}) == ["T3"]


def test_an_input_that_was_never_committed(truth: Truth) -> None:
    truth.runs["g"].clear()
    truth.ran(Lease("g", "b", 2, "n", 1), {"a": {"v": 9}})
    assert codes(truth) == ["T4"]


def test_an_input_that_was_missed_although_it_was_committed(truth: Truth) -> None:
    truth.runs["g"].clear()
    truth.ran(Lease("g", "b", 2, "n", 1), {"a": None})
    assert codes(truth) == ["T4"]


def test_an_approval_that_was_answered_and_woke_nobody(truth: Truth) -> None:
    truth.answered_approvals["g"] += 1
    assert codes(truth) == ["T5"]
    assert codes(truth, [*STORY, event("node.woken", "a", data='{"by":"approval"}')]) == []


@pytest.mark.parametrize(("between", "broken"), [([], ["T6"]), ([event("goal.resumed")], [])])
def test_a_claim_while_the_goal_is_paused(truth: Truth, between: list[Any], broken: list[str]) -> None:
    assert codes(truth, [STORY[0], event("goal.paused"), *between, *STORY[1:]]) == broken


def test_a_goal_that_is_submitted_twice(truth: Truth) -> None:
    assert codes(truth, [STORY[0], *STORY]) == ["T7"]
