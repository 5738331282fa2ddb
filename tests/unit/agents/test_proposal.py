"""A proposed plan: every fault at once, in words a planner can use; nothing but agents and approvals comes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.plan.form import read, schema
from orchestrator.agents.plan.judges import Terms, check_plan, judge_plan
from orchestrator.agents.plan.proposal import MOST_NODES, Proposal, Revision, Scene, faults, to_nodes
from orchestrator.agents.plan.recovery import RecoveryDecision
from orchestrator.agents.plan.text import plan_diff, plan_text, read_plan
from orchestrator.agents.plan.verdict import Review
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.validate import read_goal

CARDS = {
    card.name: card
    for card in (
        AgentCard(name="ada", role="research"), AgentCard(name="bob", role="research"),
        AgentCard(name="eve", role="writer", queue="slow"), AgentCard(name="quinn", role="qa"),
        AgentCard(name="max", role="manager"),
    )
}  # fmt: skip


def node(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "task": "do it", "agent": "ada"} | fields


def plan(*nodes: dict[str, Any], **more: Any) -> Proposal:
    found, wrong = read({"goal_id": "", "nodes": list(nodes), **more}, Revision if "drop" in more else Proposal)
    assert found is not None, wrong
    return found


def objects(part: Any) -> list[dict[str, Any]]:
    """Every object schema in a schema."""
    inner = [*part.get("properties", {}).values(), *([part["items"]] if "items" in part else [])]
    return [*([part] if part["type"] == "object" else []), *(one for each in inner for one in objects(each))]


@pytest.mark.parametrize("model", [Proposal, Revision, Review, RecoveryDecision])
def test_the_schema_is_one_that_strict_modes_take(model: Any) -> None:
    made = schema(model)
    for one in objects(made):
        assert one["required"] == list(one["properties"])
        assert one["additionalProperties"] is False
    words = {
        key
        for one in json.loads(json.dumps([made]), object_hook=lambda item: [*item, *item.values()])
        for key in one
        if isinstance(key, str)
    }
    assert not words & {"$ref", "$defs", "default", "const", "maxLength", "minItems", "pattern", "anyOf"}


def test_every_fault_is_told_at_once_with_its_place() -> None:
    found = faults(
        plan(
            node("a", depends_on=["ghost", "b", "b"]), node("a", agent="nobody"), node("b", depends_on=["a"]),
            node("apply-plan"), node("two words"), node("idle", agent="", required_role=""), node("low", priority=-1),
            node("role", agent="", required_role="pilot", role_assignment="hard"),
            {"id": "ask", "kind": "approval", "agent": "ada"}, {"id": "empty", "agent": "ada"},
            goal_id="other",
        ),
        CARDS,
        Scene("g", taken=frozenset({"apply-plan"})),
    )  # fmt: skip
    text = "\n".join(found)
    for wanted in (
        "goal_id: the goal is 'g', this plan is for 'other'",
        "nodes[0] 'a': depends_on 'ghost': there is no node 'ghost'",
        "nodes[0] 'a': depends_on 'b': it stands there twice",
        "nodes[1] 'a': 'a' is already the id of nodes[0]",
        "nodes[1] 'a': there is no agent 'nobody'; there are: ada, bob, eve, quinn, max",
        "there is a cycle",
        "nodes[3] 'apply-plan': the goal has a node of that id already",
        "nodes[4] 'two words': its id must be",
        "nodes[5] 'idle': it needs an agent or a required_role; agents: ada, bob",
        "nodes[6] 'low': priority must be 0",
        "nodes[7] 'role': nobody has the role 'pilot'; roles: research, writer, qa, manager",
        "nodes[8] 'ask': an approval is given by a person",
        "nodes[9] 'empty': task is empty",
    ):
        assert wanted in text, text


def test_an_empty_plan_is_no_plan() -> None:
    assert faults(plan(), CARDS) == ["nodes: the plan is empty; it needs at least one node"]


def test_a_plan_for_another_goal_is_refused_and_one_without_a_name_is_for_this_one() -> None:
    assert faults(plan(node("a"), goal_id="g"), CARDS, Scene("g")) == []
    assert faults(plan(node("a"), goal_id=""), CARDS, Scene("g")) == []
    assert len(faults(plan(node("a"), goal_id="h"), CARDS, Scene("g"))) == 1


def test_a_plan_has_at_most_so_many_nodes() -> None:
    nodes = [node(f"n{index}") for index in range(MOST_NODES)]
    assert faults(plan(*nodes), CARDS) == []
    assert any("the limit is 500" in text for text in faults(plan(*nodes, node("one")), CARDS))


def test_a_chain_of_500_is_read_without_recursion() -> None:
    nodes = [node(f"n{index}", depends_on=[f"n{index - 1}"] if index else []) for index in range(MOST_NODES)]
    assert faults(plan(*nodes), CARDS) == []


def test_unknown_fields_are_named_and_nothing_that_runs_by_itself_can_be_said() -> None:
    for field, value in (("call", "os:system"), ("tools", ["x"]), ("kind", "python"), ("inputs", {}), ("goal", {})):
        found, wrong = read({"goal_id": "", "nodes": [node("a") | {field: value}]}, Proposal)
        assert found is None
        assert wrong[0].startswith(f"nodes[0].{field}: ")


def test_unknown_fields_hide_no_other_fault() -> None:
    value = {"goal_id": "", "nodes": [node("a", depends_on=["ghost"]) | {"call": "x"}], "tools": []}
    assert [text.partition(":")[0] for text in judge_plan(CARDS)(value)] == [
        "nodes[0].call", "tools", "nodes[0] 'a'",
    ]  # fmt: skip


def test_nodes_are_those_of_agents_and_people_with_their_roles_kept() -> None:
    nodes, edges = to_nodes(
        plan(
            node("a", agent="", required_role="research", role_assignment="hard", fallback_roles=[], priority=3),
            node("b", agent="", required_role="research", fallback_roles=["writer", "qa"], expected_artifacts=["r.md"]),
            node("c", agent="eve", depends_on=["a", "b"]), {"id": "ok", "kind": "approval", "title": "Fine?", "depends_on": ["c"]},
        ),
        CARDS,
    )  # fmt: skip
    assert [(one["id"], one["kind"], one.get("agent"), one.get("queue")) for one in nodes] == [
        ("a", "agent", "ada", None), ("b", "agent", "bob", None), ("c", "agent", "eve", "slow"), ("ok", "approval", None, None),
    ]  # fmt: skip
    assert nodes[0]["metadata"] == {"required_role": "research", "role_assignment": "hard"}
    assert nodes[1]["metadata"]["fallback_roles"] == "writer,qa"
    assert [(edge["source"], edge["target"]) for edge in edges] == [("a", "c"), ("b", "c"), ("c", "ok")]
    read_goal({"nodes": nodes, "edges": edges, "agents": [card.model_dump() for card in CARDS.values()]})


def test_what_looks_like_a_reference_in_a_task_stays_a_text() -> None:
    nodes, _ = to_nodes(plan(node("a", task='{"from": "plan"}')), CARDS)
    assert read_goal({"nodes": nodes}).nodes[0].upstream_references() == []


def test_a_change_may_drop_what_has_not_started_with_all_that_depends_on_it() -> None:
    scene = Scene(
        "g", frozenset({"done", "x", "y", "z"}), frozenset({"done", "x", "y", "z"}), frozenset({"x", "y"}),
        (("x", "y"), ("y", "z")),
    )  # fmt: skip
    found = faults(plan(node("n", depends_on=["done", "y"]), drop=["x", "y", "done", "ghost"]), CARDS, scene)
    assert "drop: 'z' depends on 'y'; drop it too, and add what is needed instead" in found
    assert "drop[2]: 'done' has started or ended; only what has not started can go" in found
    assert "drop[3]: there is no node 'ghost'" in found
    assert any("depends_on 'y'" in text for text in found), "what is dropped cannot be waited for"
    assert faults(plan(drop=[]), CARDS, scene) == ["nodes: the plan is empty; it needs at least one node"]


def test_the_workflow_lacks_roles_or_room() -> None:
    alone = {"ada": CARDS["ada"]}
    _, wrong = check_plan({"nodes": [node("a")]}, alone, Scene(), Terms(workflow=True))
    assert [text.partition(";")[0] for text in wrong] == [
        "workflow: no agent reviews", "workflow: no agent manages",
    ]  # fmt: skip
    many = {"nodes": [node(f"n{index}") for index in range(251)]}
    assert "with the workflow there are 1,004" in check_plan(many, CARDS, Scene(), Terms(workflow=True))[1][0]
    twice = {"nodes": [node("a"), node("a__qa", agent="quinn")]}
    assert check_plan(twice, CARDS, Scene(), Terms(workflow=True))[1] == [
        "nodes: the workflow makes 'a__qa', and so does the plan"
    ]


def test_the_text_of_a_plan_is_read_back_and_a_change_shows_as_a_diff() -> None:
    one = plan(node("a", task="line one\nline: two"), node("b", depends_on=["a"], priority=2), goal_id="g")
    text = plan_text(one)
    assert read(read_plan(text), Proposal)[0] == one
    assert "task: |-\n    line one\n    line: two" in text
    other = plan(node("a", task="line one\nline: three"), node("b", depends_on=["a"], priority=2), goal_id="g")
    assert plan_diff(one, one) == ""
    assert "-    line: two\n+    line: three\n" in plan_diff(one, other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)  # fmt: skip
IDS = st.sampled_from(["a", "b", "c", "plan", "", "x" * 49, "a b", "a__qa", "\ud800"]) | st.text(max_size=4)
NODES = st.lists(
    st.fixed_dictionaries(
        {"id": IDS},
        optional={
            "agent": st.sampled_from(["ada", "eve", "ghost", ""]), "required_role": st.sampled_from(["qa", "pilot", ""]),
            "kind": st.sampled_from(["agent", "approval"]), "task": st.text(max_size=5), "priority": st.integers(),
            "depends_on": st.lists(IDS, max_size=4), "fallback_roles": st.lists(IDS, max_size=2), "role_assignment": st.sampled_from(["hard", "soft"]),
        },
    ),
    max_size=6,
)  # fmt: skip


@given(JSON | st.fixed_dictionaries({"nodes": JSON}, optional={"goal_id": JSON}))
def test_nothing_that_a_model_says_is_a_crash(value: Any) -> None:
    told = judge_plan(CARDS)(value)
    assert all(len(text) < 2000 for text in told)
    assert len(told) <= 51


@given(NODES, st.booleans())
def test_a_plan_without_faults_is_a_goal_without_faults(nodes: list[dict[str, Any]], workflow: bool) -> None:
    found, wrong = check_plan({"nodes": nodes}, CARDS, Scene("g", frozenset({"plan"})), Terms(workflow=workflow))
    assert all(text.isprintable() for text in wrong), "no control characters go to a terminal"
    if found is not None and not wrong:
        made, edges = to_nodes(found, CARDS)
        assert read_goal({"nodes": made, "edges": edges}).nodes
        assert {one["kind"] for one in made} <= {"agent", "approval"}
        assert all(one.get("agent") for one in made if one["kind"] == "agent")
