"""The document of a goal that plans itself, and who plans."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.agents.plan.planner import DEFAULT_INSTRUCTIONS, plan_of, planner_of, planning_goal
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import InvalidGoal
from orchestrator.domain.validate import read_goal

DEV = AgentCard(name="dev", instructions="You build.  \n  " + "x" * 1000, tools=("look",))
TEAM = (DEV, AgentCard(name="qa"), AgentCard(name="boss", role="manager"))


def ids(document: dict[str, Any]) -> list[str]:
    return [node["id"] for node in document["nodes"]]


def test_a_goal_in_words_is_a_goal_of_three_nodes_that_the_engine_takes() -> None:
    made = planning_goal(
        TEAM, "# Build a house\n\nOf stone.", goal_id="g", owner="ann", priority=3, budget={"tokens": 10}
    )
    goal = read_goal(made)
    assert [(node.id, node.kind) for node in goal.nodes] == [
        ("plan", "agent"), ("approve-plan", "approval"), ("apply-plan", "python"),
    ]  # fmt: skip
    assert [(edge.source, edge.target) for edge in goal.edges] == [
        ("plan", "approve-plan"),
        ("approve-plan", "apply-plan"),
    ]
    assert (goal.title, goal.instructions, goal.owner, goal.priority) == (
        "Build a house", "# Build a house\n\nOf stone.", "ann", 3,
    )  # fmt: skip
    assert goal.nodes[0].inputs is not None
    assert goal.nodes[0].inputs["judge"] == "plan"
    assert {card.name for card in goal.agents} == {"dev", "qa", "boss", "planner"}
    assert goal.nodes[2].retries == 5


def test_the_planner_is_told_the_agents_in_short() -> None:
    task = planning_goal(TEAM, "Build.")["nodes"][0]["inputs"]["task"]
    assert "- dev (role dev; tools: look): You build. xxx" in task
    assert "- boss (role manager)" in task
    assert len(task) < 1500


def test_approval_and_application_can_be_left_out() -> None:
    assert ids(planning_goal(TEAM, "Build.", approve=False)) == ["plan", "apply-plan"]
    assert ids(planning_goal(TEAM, "Build.", apply=False)) == ["plan"]


def test_a_declared_planner_stays_as_declared_and_reads_our_rules_in_its_task() -> None:
    declared = AgentCard(name="chief", role="orchestrator", instructions="Think big.", model="large", queue="brains")
    made = planning_goal([*TEAM, declared], "Build.", model="small")
    node = made["nodes"][0]
    assert (node["agent"], node["queue"]) == ("chief", "brains")
    assert [AgentCard.model_validate(card) for card in made["agents"]] == [*TEAM, declared]
    assert node["inputs"]["task"].startswith(DEFAULT_INSTRUCTIONS)
    assert "chief" not in node["inputs"]["task"], "he gives himself no work"


def test_our_own_planner_is_told_the_rules_once() -> None:
    made = planning_goal(TEAM, "Build.", model="small")
    ours = next(AgentCard.model_validate(card) for card in made["agents"] if card["name"] == "planner")
    assert (ours.instructions, ours.model) == (DEFAULT_INSTRUCTIONS, "small")
    assert DEFAULT_INSTRUCTIONS not in made["nodes"][0]["inputs"]["task"]
    assert planner_of({**{card.name: card for card in TEAM}, "planner": ours}) == ours, "it plans anew as it is"


def test_an_agent_that_is_called_planner_and_plans_nothing_is_left_alone() -> None:
    made = planning_goal([AgentCard(name="planner", role="gardener")], "Build.")
    assert made["nodes"][0]["agent"] == "planner.chordal"
    read_goal(made)


@pytest.mark.parametrize(
    ("cards", "text", "options", "places"),
    [
        ([], "Build.", {}, ["agents"]), ([AgentCard(name="planner")], "Build.", {}, ["agents"]),
        (TEAM, " \n", {}, ["instructions"]), ([DEV], "Build.", {"workflow": True}, ["agents", "agents"]),
    ],
)  # fmt: skip
def test_what_nobody_could_do_is_refused_at_once(cards: Any, text: str, options: Any, places: list[str]) -> None:
    with pytest.raises(InvalidGoal) as refused:
        planning_goal(cards, text, **options)
    assert [fault.place for fault in refused.value.faults] == places


def test_the_terms_of_the_plan_stand_with_the_nodes_that_read_it() -> None:
    made = planning_goal(TEAM, "Build.", workflow=True, review_cycles=99, recovery=False)
    wanted = {"workflow": "yes", "review_cycles": "9", "recover": "no"}
    assert made["nodes"][0]["metadata"] == made["nodes"][2]["metadata"] == wanted


def test_the_plan_of_an_output() -> None:
    plan = {"goal_id": "", "nodes": [{"id": "a", "agent": "dev", "task": "x"}]}
    found = plan_of({"text": "...", "output": plan, "turns": 1})
    assert found is not None
    assert found.nodes[0].id == "a"
    assert plan_of("I would rather not") is None
