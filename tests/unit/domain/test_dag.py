"""The models of one node, one edge and one goal."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from orchestrator.domain.dag import MAX_PRIORITY, Edge, Firing, Goal, Node, NodeKind


def refusal(model: type[BaseModel], **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    return str(caught.value)


@pytest.mark.parametrize("good", ["a", "A-1_b.c", "0", "x" * 64])
def test_an_id_is_letters_digits_dots_underscores_and_hyphens(good: str) -> None:
    assert Node(id=good).id == good


@pytest.mark.parametrize("bad", ["", "x" * 65, "a b", "a/b", "a:b", "a\n", "é", "{a}", "a\x00", " a"])
def test_other_ids_are_refused(bad: str) -> None:
    assert "id" in refusal(Node, id=bad)


def test_kind_follows_from_call() -> None:
    assert Node(id="a").resolved_kind is None
    assert Node(id="a", call="m:f").resolved_kind is NodeKind.PYTHON
    assert Node(id="a", kind=NodeKind.TASK, call="t").resolved_kind is NodeKind.TASK


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "python"}, "needs 'call'"),
        ({"kind": "task"}, "needs 'call'"),
        ({"kind": "map", "inputs": {"items": []}}, "needs 'call'"),
        ({"kind": "map", "call": "m:f"}, "inputs.items"),
        ({"kind": "wait"}, "inputs.seconds or inputs.signal"),
        ({"kind": "wait", "inputs": {"seconds": 1, "signal": "s"}}, "inputs.seconds or inputs.signal"),
        ({"kind": "wait", "call": "m:f", "inputs": {"seconds": 1}}, "takes no 'call'"),
        ({"kind": "approval", "call": "m:f"}, "takes no 'call'"),
        ({"kind": "goal"}, "needs either 'goal'"),
        ({"kind": "goal", "goal": {}, "inputs": {"goal": {}}}, "needs either 'goal'"),
        ({"goal": {"nodes": []}}, "belongs to nodes of kind goal"),
        ({"kind": "nonsense"}, "kind"),
    ],
)
def test_a_node_must_fit_its_kind(fields: dict[str, Any], said: str) -> None:
    assert said in refusal(Node, id="a", **fields)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("priority", [0, MAX_PRIORITY], [-1, MAX_PRIORITY + 1]),
        ("retries", [0, 1000], [-1, 1001]),
        ("backoff_seconds", [0, 86_400], [-0.1, 86_401, float("nan"), float("inf")]),
        ("timeout_seconds", [0.001, 31_536_000], [0, -1, 31_536_001, float("nan")]),
        ("lease_seconds", [0.5, 86_400], [0.49, 86_401, float("inf")]),
        ("join", ["all", "any", 1, 7], ["some", 0, -1]),
        ("lane", ["l"], ["", "a b"]),
        ("queue", ["q"], ["a b"]),
        ("title", ["", "x" * 1000], ["x" * 1001]),
        ("call", ["f"], [""]),
        ("metadata", [{}, {"a": "b"}], [{"a": 1}, []]),
    ],
)
def test_bounds(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(Node.model_validate({"id": "a", field: value}), field) == value
    for value in bad:
        assert field in refusal(Node, id="a", **{field: value})


def test_unknown_fields_are_refused_everywhere() -> None:
    assert "retrys" in refusal(Node, id="a", retrys=3)
    assert "form" in refusal(Edge, source="a", target="b", form="done")
    assert "nodez" in refusal(Goal, nodes=[], nodez=[])
    assert "dollars" in refusal(Goal, nodes=[], budget={"dollars": 3})


def test_a_model_cannot_be_changed() -> None:
    node = Node(id="a")
    with pytest.raises(ValidationError, match="frozen"):
        node.title = "other"  # type: ignore[misc]


def test_references_are_found_once_each_in_order() -> None:
    inputs = {"x": {"from": "b"}, "y": [{"from": "a", "path": "p"}, {"deep": {"from": "b"}}]}
    assert Node(id="n", inputs=inputs).upstream_references() == ["b", "a"]
    assert Node(id="n").upstream_references() == []


def test_an_edge_fires_on_done_by_default() -> None:
    assert Edge(source="a", target="b").on is Firing.DONE


@pytest.mark.parametrize("on", ["failed", "finished"])
def test_a_condition_needs_an_output(on: str) -> None:
    assert "only 'on: done' has" in refusal(Edge, source="a", target="b", on=on, when="x > 1")


def test_a_goal_has_bounds_of_its_own() -> None:
    assert "deadline_seconds" in refusal(Goal, nodes=[], deadline_seconds=0)
    assert "schema_version" in refusal(Goal, nodes=[], schema_version=2)
    assert "idempotency_key" in refusal(Goal, nodes=[], idempotency_key="")
    assert "owner" in refusal(Goal, nodes=[], owner="no one")
    assert "tokens" in refusal(Goal, nodes=[], budget={"tokens": -1})
