"""The role workflow: whatever is built is reviewed, and nothing builds on it before it passed and was integrated."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.agents.plan import review, workflow
from orchestrator.agents.plan.verdict import read_review
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import NodeFailed
from orchestrator.domain.validate import read_goal

TEAM = {
    card.name: card
    for card in (
        AgentCard(name="dev"), AgentCard(name="qa", queue="slow"), AgentCard(name="qa2", role="reviewer"), AgentCard(name="boss", role="manager"),
    )
}  # fmt: skip
NODES: list[dict[str, Any]] = [
    {"id": "a", "kind": "agent", "agent": "dev", "title": "Build A", "inputs": {"task": "build a"}, "priority": 5, "expected_artifacts": ["a.txt"]},
    {"id": "b", "kind": "agent", "agent": "dev", "inputs": {"task": "build b"}},
    {"id": "look", "kind": "agent", "agent": "qa", "inputs": {"task": "look"}},
    {"id": "yes", "kind": "approval"},
]  # fmt: skip
EDGES = [{"source": "a", "target": "b"}, {"source": "b", "target": "look"}, {"source": "look", "target": "yes"}]


def parents(edges: list[dict[str, Any]], name: str) -> set[str]:
    return {edge["source"] for edge in edges if edge["target"] == name}


def test_a_builders_node_is_followed_by_review_verdict_and_integration_that_gate_what_depends_on_it() -> None:
    nodes, edges = workflow.expand(NODES, EDGES, TEAM)
    assert [node["id"] for node in nodes] == [
        "a", "a__qa", "a__verdict", "a__integrate", "b", "b__qa", "b__verdict", "b__integrate", "look", "yes",
    ]  # fmt: skip
    assert parents(edges, "a__qa") == {"a"}
    assert parents(edges, "a__verdict") == {"a__qa"}
    assert parents(edges, "a__integrate") == {"a", "a__verdict"}
    assert parents(edges, "b") == {"a__integrate"}, "what depends on a waits for its integration, not for a"
    assert parents(edges, "look") == {"b__integrate"}, "reviewers and managers of the plan get no workflow"
    by_id = {node["id"]: node for node in nodes}
    qa, integrate = by_id["a__qa"], by_id["a__integrate"]
    assert (qa["agent"], qa["queue"], qa["inputs"]["judge"], qa["priority"]) == ("qa", "slow", "review", 5)
    assert by_id["b__qa"]["agent"] == "qa2", "reviews are spread over the reviewers"
    assert integrate["agent"] == "boss"
    assert all(node["metadata"]["role_assignment"] == "hard" for node in (qa, integrate))
    assert "a.txt" in qa["inputs"]["task"]
    assert qa["metadata"]["dev_role"] == "dev"
    cards = [card.model_dump() for card in TEAM.values()]
    assert len(read_goal({"nodes": nodes, "edges": edges, "agents": cards}).nodes) == 10


def test_expanding_twice_is_expanding_once() -> None:
    once = workflow.expand(NODES, EDGES, TEAM)
    assert workflow.expand(*once, TEAM) == once


def test_a_document_gets_the_workflow() -> None:
    made = workflow.with_workflow({"title": "t", "nodes": NODES, "edges": EDGES}, TEAM)
    assert made["title"] == "t"
    assert len(made["nodes"]) == 10


def test_a_missing_role_is_a_clear_fault() -> None:
    assert workflow.faults(TEAM) == []
    assert workflow.faults({"dev": TEAM["dev"]}) == [
        "workflow: no agent reviews; declare one with a role such as qa, review, reviewer, test, tester",
        "workflow: no agent manages; declare one with a role such as lead, manager, owner, team-lead",
    ]


def specs() -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in workflow.expand(NODES, EDGES, TEAM)[0]}


def test_a_repair_goes_between_the_verdict_and_the_integration() -> None:
    nodes, edges = review.repair("a", 1, 3, specs())
    assert [node["id"] for node in nodes] == ["a__fix1", "a__qa2", "a__verdict2"]
    assert [node.get("agent") for node in nodes] == ["dev", "qa", None]
    assert [(edge["source"], edge["target"]) for edge in edges] == [
        ("a__verdict", "a__fix1"), ("a__fix1", "a__qa2"), ("a__qa2", "a__verdict2"), ("a__verdict2", "a__integrate"),
        ("a__fix1", "a__integrate"),
    ]  # fmt: skip
    inputs = nodes[0]["inputs"]
    assert inputs["findings"] == {"from": "a__verdict", "path": "findings"}
    assert inputs["earlier"] == {"from": "a", "path": "output"}
    assert nodes[1]["inputs"]["from a__fix1"] == {"from": "a__fix1", "path": "output"}
    assert nodes[2]["inputs"] == {"review": {"from": "a__qa2", "path": "output"}, "work": "a", "cycle": 2, "cycles": 3}


def test_a_repair_knows_all_that_the_work_was_made_from() -> None:
    known = specs()
    upstream = {"from base": {"from": "base", "path": "output"}, "findings": "of a node of that name", "tone": "dry"}
    known["a"]["inputs"] = {"task": "build a", **upstream}
    mended = review.repair("a", 1, 3, known)[0][0]
    assert mended["inputs"]["from base"] == {"from": "base", "path": "output"}
    assert mended["inputs"]["tone"] == "dry"
    assert mended["inputs"]["findings"] == {"from": "a__verdict", "path": "findings"}
    assert "Mend what it found" in mended["inputs"]["task"]
    assert mended["expected_artifacts"] == ["a.txt"]


def test_a_second_repair_mends_the_first_one() -> None:
    nodes, _ = review.repair("a", 2, 3, specs())
    assert nodes[0]["id"] == "a__fix2"
    assert nodes[0]["inputs"]["earlier"] == {"from": "a__fix1", "path": "output"}
    assert nodes[0]["inputs"]["findings"] == {"from": "a__verdict2", "path": "findings"}


def test_the_end_of_the_rounds_is_the_managers_word() -> None:
    nodes, edges = review.escalation("a", 4, 3, specs())
    assert [(node["id"], node.get("agent")) for node in nodes] == [("a__escalate", "boss"), ("a__verdict5", None)]
    assert nodes[0]["inputs"]["latest"] == {"from": "a__fix3", "path": "output"}
    assert nodes[0]["inputs"]["judge"] == "review"
    assert nodes[1]["inputs"]["last"] is True
    assert ("a__verdict5", "a__integrate") in {(edge["source"], edge["target"]) for edge in edges}


@pytest.mark.parametrize(
    "value", [{"passed": True}, '{"passed": true, "findings": []}', {"passed": True, "findings": [], "score": 3}]
)
def test_a_review_is_read_from_json_and_from_a_text_that_holds_it(value: Any) -> None:
    assert read_review(value).passed


@pytest.mark.parametrize(
    "value", [None, "it looks fine", "[]", {}, {"passed": "perhaps"}, {"passed": True, "findings": "x"}, "[" * 100_000]
)
def test_what_is_no_review_passes_nothing(value: Any) -> None:
    with pytest.raises(NodeFailed, match="cannot be read"):
        read_review(value)


def test_findings_are_bounded() -> None:
    found = read_review({"passed": False, "findings": ["x" * 10_000] * 1000}).findings
    assert (len(found), len(found[0])) == (50, 2000)
