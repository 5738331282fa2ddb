"""The answer to a plan that waits: what is approved is checked first, whether it was edited or not."""

from __future__ import annotations

import pytest

from orchestrator.agents.plan.applying import BadPlan
from orchestrator.domain.errors import GoalNotFound, IllegalTransition, NodeNotFound
from support.crew import Crew
from support.planning import Stage, node, plan


@pytest.fixture
def stage(crew: Crew) -> Stage:
    """A plan of one node `a` waits for its approval."""
    stage = Stage(crew)
    stage.submit()
    stage.answer("plan", plan(node("a")))
    return stage


def test_a_plan_whose_ids_were_taken_meanwhile_is_refused_before_it_is_accepted(stage: Stage) -> None:
    stage.crew.patcher.apply("g", {"add_nodes": [{"id": "a"}]})
    with pytest.raises(BadPlan, match="the goal has a node of that id already") as refused:
        stage.crew.wired.approve("g", "approve-plan")
    assert [(fault.place, fault.message) for fault in refused.value.faults] == [
        ("nodes[0] 'a'", "the goal has a node of that id already; choose another")
    ]
    assert stage.crew.states()["approve-plan"] == "WAITING", "nothing was answered"
    assert stage.crew.wired.approve("g", "approve-plan", plan=plan(node("b"))) == "approved"
    stage.work()
    assert stage.crew.states()["b"] == "READY"


def test_a_plan_without_faults_is_approved_as_it_is(stage: Stage) -> None:
    assert stage.crew.wired.approve("g", "approve-plan") == "approved"
    stage.work()
    assert stage.crew.states()["a"] == "READY"


def test_a_change_whose_nodes_have_started_meanwhile_is_refused_too(crew: Crew) -> None:
    stage = Stage(crew)
    stage.planned(node("a"), node("b", "a"))
    name = crew.wired.agents.replan("g", "less", approve=True)
    stage.answer(name, plan(drop=["b"]))
    stage.answer("a", "")
    stage.answer("b", "")
    with pytest.raises(BadPlan, match="'b' has started or ended"):
        crew.wired.approve("g", f"approve-{name}")


def test_nothing_is_not_a_plan(stage: Stage) -> None:
    with pytest.raises(BadPlan):
        stage.crew.wired.approve("g", "approve-plan", plan=None)
    assert stage.crew.states()["approve-plan"] == "WAITING"


def test_who_comes_too_late_with_a_plan_is_told_so(stage: Stage) -> None:
    stage.crew.wired.approve("g", "approve-plan")
    stage.work()
    for edited in (plan(node("b")), plan(node("a", "ghost"))):
        with pytest.raises(IllegalTransition, match="approve-plan' of goal 'g' is DONE and waits for no approval"):
            stage.crew.wired.approve("g", "approve-plan", plan=edited)
    with pytest.raises(IllegalTransition, match="is DONE and waits for no approval"):
        stage.crew.wired.approve("g", "approve-plan")


def test_a_plan_for_what_there_is_not_is_told_so(stage: Stage) -> None:
    with pytest.raises(NodeNotFound):
        stage.crew.wired.approve("g", "ghost", plan=plan(node("b")))
    with pytest.raises(GoalNotFound):
        stage.crew.wired.approve("ghost", "approve-plan", plan=plan(node("b")))


def test_other_approvals_are_answered_as_ever(crew: Crew) -> None:
    crew.submit([{"id": "ask", "kind": "approval"}, "after"], [("ask", "after")])
    crew.work()
    assert crew.wired.approve("g", "ask") == "approved"
