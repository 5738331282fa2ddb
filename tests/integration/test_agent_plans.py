"""An accepted plan becomes nodes of its goal, once, however often it is applied; a bad one changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.agents import builtins
from orchestrator.agents.plan.applying import BadPlan, NotAPlan, accept_answer
from orchestrator.engine.context import running
from support.crew import Crew
from support.planning import CrashAfter, Stage, node, plan


@pytest.fixture
def stage(crew: Crew) -> Stage:
    return Stage(crew)


def test_a_plan_hangs_behind_the_node_that_applied_it_and_runs_to_the_end(stage: Stage) -> None:
    stage.submit(approve=False)
    assert stage.crew.states() == {"plan": "READY", "apply-plan": "BLOCKED"}
    stage.answer(
        "plan", plan(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c", agent="", required_role="writer"))
    )
    assert stage.crew.states() == {
        "plan": "DONE", "apply-plan": "DONE", "a": "READY", "b": "BLOCKED", "c": "BLOCKED", "d": "BLOCKED",
    }  # fmt: skip
    assert stage.parents("a") == {"apply-plan"}
    assert stage.crew.output("apply-plan") == {"planned": ["a", "b", "c", "d"], "nodes": 4, "dropped": []}
    (patched,) = stage.sim.events("goal.patched")
    assert json.loads(patched["data"]) == {"reason": "planned by planner, 4 nodes", "version": 2}
    assert stage.inputs("d") == {
        "task": "do d",
        "from b": {"from": "b", "path": "output"},
        "from c": {"from": "c", "path": "output"},
    }
    for name in ("a", "b", "c", "d"):
        assert stage.crew.state() == "RUNNING"
        stage.answer(name, f"output of {name}")
    assert stage.crew.state() == "DONE"


def test_a_crash_between_the_patch_and_its_commit_adds_nothing_twice(stage: Stage) -> None:
    stage.submit(approve=False)
    stage.crew.mail.invitations.clear()
    stage.sim.done(stage.sim.take("plan", queue="agents"), output=json.dumps(plan(node("a"), node("b", "a"))))
    lease = stage.sim.take("apply-plan")
    proposed = plan(node("a"), node("b", "a"))
    apply = stage.crew.registry.get("chordal:apply_plan").function
    with running(lease):
        first = apply(proposed)
    assert stage.crew.states()["a"] == "BLOCKED", "nothing of the plan starts before its author is done"
    stage.sim.tick(60_000)  # the process is gone; its lease runs out
    stage.crew.mail.invite(stage.sim.reap().invitations)
    stage.work()
    assert stage.crew.states() == {"plan": "DONE", "apply-plan": "DONE", "a": "READY", "b": "BLOCKED"}
    assert len(stage.sim.events("goal.patched")) == 1
    assert stage.crew.output("apply-plan") == first


def test_an_attempt_whose_patch_had_no_answer_is_repeated(crew: Crew) -> None:
    stage, crash = Stage(crew), CrashAfter(crew.patcher.apply)
    builtins.register(crew.registry, stage.store, crash)
    stage.planned(node("a"))
    assert crash.times == 0
    assert crew.states()["apply-plan"] == "WAITING", "it is tried again after a back-off"
    stage.sim.tick(3_600_000)
    crew.mail.invite(stage.sim.reap().invitations)
    stage.work()
    assert crew.states() == {"plan": "DONE", "apply-plan": "DONE", "a": "READY"}
    assert len(stage.sim.events("goal.patched")) == 1


def test_a_plan_with_faults_fails_the_goal_with_all_of_them_and_is_not_tried_again(stage: Stage) -> None:
    stage.planned(node("a", "ghost"), node("b", agent="nobody"))
    assert stage.crew.state() == "FAILED"
    assert "there is no node 'ghost'" in stage.error("apply-plan")
    assert "there is no agent 'nobody'" in stage.error("apply-plan")
    assert stage.sim.events("node.retry") == []
    assert set(stage.crew.states()) == {"plan", "apply-plan"}


def test_a_plan_for_another_goal_is_refused_and_not_made_again(stage: Stage) -> None:
    stage.submit(approve=False)
    stage.answer("plan", {"goal_id": "another", "nodes": [node("a")]})
    assert stage.crew.state() == "FAILED"
    assert "the goal is 'g', this plan is for 'another'" in stage.error("apply-plan")
    assert len(stage.sim.events("node.claimed")) == 2, "one plan was paid for"


def test_a_goal_without_a_plan_is_not_complete(stage: Stage) -> None:
    stage.planned()
    assert stage.crew.state() == "FAILED"
    assert "the plan is empty" in stage.error("apply-plan")


def test_two_goals_may_plan_nodes_of_the_same_names(stage: Stage) -> None:
    from orchestrator.agents.plan.planner import planning_goal

    stage.planned(node("a"), node("b", "a"))
    stage.answer("a", "done")
    stage.crew.submitter.submit(planning_goal(stage.cards, "Another.", goal_id="h", approve=False))
    assert stage.crew.states()["a"] == "DONE", "another goal's plan resets nothing"
    assert stage.crew.states("h") == {"plan": "READY", "apply-plan": "BLOCKED"}


def test_a_plan_of_500_is_applied_in_one_step(stage: Stage) -> None:
    stage.planned(*(node(f"n{index}", *([f"n{index - 1}"] if index else [])) for index in range(500)))
    assert len(stage.crew.states()) == 502
    assert len(stage.sim.events("goal.patched")) == 1


def test_an_approved_plan_is_applied_and_a_rejected_one_ends_the_goal(stage: Stage) -> None:
    stage.submit()
    stage.answer("plan", plan(node("a")))
    assert stage.crew.states() == {"plan": "DONE", "approve-plan": "WAITING", "apply-plan": "BLOCKED"}
    stage.crew.control.approve("g", "approve-plan")
    stage.work()
    assert stage.crew.states()["a"] == "READY"


def test_an_edited_plan_is_checked_before_it_is_accepted_and_its_difference_is_kept(stage: Stage) -> None:
    stage.submit()
    stage.answer("plan", plan(node("a"), node("b", "a")))
    with pytest.raises(BadPlan) as refused:
        accept_answer(
            stage.store, "g", "approve-plan", plan(node("a", "ghost"), node("plan"), {"id": "x", "call": "y"})
        )
    assert "nodes[2].call: there is no such field" in str(refused.value)
    with pytest.raises(BadPlan, match="2 faults") as refused:
        accept_answer(stage.store, "g", "approve-plan", plan(node("a", "ghost"), node("plan")))
    assert "the goal has a node of that id already" in str(refused.value)
    assert stage.crew.states()["approve-plan"] == "WAITING", "nothing was answered"
    edited = plan(node("a"), node("b", "a", title="Changed"), node("c", "a"))
    accept_answer(stage.store, "g", "approve-plan", edited)
    stage.crew.control.approve("g", "approve-plan", plan=edited)
    stage.work()
    assert stage.crew.states()["c"] == "BLOCKED"
    output = stage.crew.output("apply-plan")
    assert output["planned"] == ["a", "b", "c"]
    assert "+  title: Changed\n" in output["diff"]
    assert json.loads(stage.sim.events("goal.patched")[0]["data"])["reason"].endswith("3 nodes, edited at the approval")


def test_an_approval_of_something_else_takes_no_plan(stage: Stage) -> None:
    stage.crew.submit([{"id": "ask", "kind": "approval"}])
    with pytest.raises(NotAPlan):
        accept_answer(stage.store, "g", "ask", plan(node("a")))


def test_a_planner_works_anywhere_in_a_plan_and_what_stands_behind_it_waits_for_what_it_planned(stage: Stage) -> None:
    nodes: list[Any] = [
        "before",
        {"id": "think", "kind": "agent", "agent": "planner", "queue": "agents", "inputs": {"task": "plan", "judge": "plan"}},
        {"id": "do", "call": "chordal:apply_plan", "inputs": {"plan": {"from": "think"}}}, "after",
    ]  # fmt: skip
    agents = [card.model_dump(mode="json", exclude_defaults=True) for card in stage.cards]
    stage.crew.submit(nodes, [("before", "think"), ("think", "do"), ("do", "after")], agents=agents)
    stage.work()
    stage.answer("think", plan(node("x"), node("y", "x"), node("z")))
    assert stage.crew.states()["after"] == "BLOCKED"
    assert stage.parents("after") == {"do", "y", "z"}
    for name in ("x", "z", "y"):
        stage.answer(name, "")
    assert stage.crew.state() == "DONE"


def test_the_planner_gets_no_work_from_a_plan(stage: Stage) -> None:
    stage.planned(node("a", agent="planner"))
    assert "there is no agent 'planner'; there are: dev, eve, qa, boss" in stage.error("apply-plan")


def test_recovery_is_asked_for_by_the_plan(stage: Stage) -> None:
    stage.planned(node("a"))
    assert json.loads(stage.store.goals.spec("g", "a"))["metadata"]["recovery"] == "true"


def test_without_recovery_nobody_is_asked(stage: Stage) -> None:
    stage.planned(node("a"), recovery=False)
    assert "recovery" not in json.loads(stage.store.goals.spec("g", "a"))["metadata"]
