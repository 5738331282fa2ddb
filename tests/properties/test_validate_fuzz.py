"""Whatever is handed in as a goal, the answer is a goal or InvalidGoal, never another error."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.domain.condition import Condition
from orchestrator.domain.document import parse_json, parse_yaml
from orchestrator.domain.errors import InvalidGoal
from orchestrator.domain.limits import Limits
from orchestrator.domain.refs import MISSING, member
from orchestrator.domain.validate import read_goal
from orchestrator.engine import encode

SMALL = Limits(nodes=6, edges=8, depth=4, node_bytes=2000)
WORDS = st.sampled_from(
    ["a", "b", "c", "m", "m.0", "m.1", ".", "..", "-", "all", "any", "done", "failed", "finished", "from"]
)
IDS = st.one_of(WORDS, st.text(string.ascii_letters + "._-", min_size=1, max_size=4), st.text(max_size=3))
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, -1, 2**63, 10**400, 1e308]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8), IDS)
FIELDS = st.sampled_from(
    [
        "id", "title", "kind", "call", "inputs", "goal", "each", "priority", "lane", "queue", "agent", "retries",
        "backoff_seconds", "timeout_seconds", "lease_seconds", "join", "metadata", "expected_artifacts", "items",
        "seconds", "signal", "from", "path", "nodes", "edges", "source", "target", "on", "when", "op", "value",
    ]
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(FIELDS, st.text(max_size=3)), inner, max_size=5),
    ),
    max_leaves=12,
)
REFERENCES = st.fixed_dictionaries({"from": IDS}, optional={"path": st.text(max_size=4)})
KINDS = st.sampled_from(["python", "task", "map", "wait", "approval", "goal", "llm", "agent", "nonsense", None])
NODES = st.fixed_dictionaries(
    {"id": IDS},
    optional={
        "kind": KINDS,
        "call": st.one_of(st.just("m:f"), JSON),
        "inputs": st.dictionaries(FIELDS, st.one_of(JSON, REFERENCES), max_size=3),
        "goal": JSON,
        "join": st.one_of(st.sampled_from(["all", "any", 1, 2]), JSON),
        "retries": NUMBERS,
        "timeout_seconds": NUMBERS,
        "metadata": JSON,
        "unknown": JSON,
    },
)
WHEN = st.one_of(st.sampled_from(["x > 1", "x", "== null", "x in [1]"]), st.text(max_size=8), JSON)
EDGES = st.fixed_dictionaries(
    {"source": IDS, "target": IDS}, optional={"on": st.one_of(WORDS, JSON), "when": WHEN, "unknown": JSON}
)
GOALS = st.fixed_dictionaries(
    {"nodes": st.one_of(st.lists(st.one_of(NODES, NODES, JSON), max_size=7), JSON)},
    optional={
        "edges": st.one_of(st.lists(st.one_of(EDGES, EDGES, JSON), max_size=9), JSON),
        "goal_id": IDS, "owner": IDS, "priority": JSON, "budget": JSON, "deadline_seconds": NUMBERS, "schema_version": JSON,
        "unknown": JSON,
    },
)  # fmt: skip


def refused(error: InvalidGoal) -> None:
    """Every fault has a place and a message."""
    assert error.faults
    assert all(fault.place and fault.message for fault in error.faults)
    assert str(error)


def sound_or_refused(raw: Any) -> None:
    """A goal that is accepted can be stored; one that is refused has at least one fault, with a place and a message."""
    try:
        goal = read_goal(raw, SMALL)
    except InvalidGoal as error:
        refused(error)
        return
    rows = list(encode.rows(goal))
    assert [row.id for row in rows] == [node.id for node in goal.nodes]
    assert all(json.loads(row.spec) is not None for row in rows)
    assert any(row.need == 0 for row in rows), "something can start"
    assert len(encode.digest(goal)) == 32


@settings(max_examples=400)
@given(JSON)
@example({"nodes": [{"id": "a", "priority": 10**5000}]})
@example({1: 2, "nodes": [{"id": "a", 3: 4}]})
@example({"nodes": ({"id": "a"},)})
def test_any_json_is_a_goal_or_refused(raw: Any) -> None:
    sound_or_refused(raw)


@settings(max_examples=600)
@given(GOALS)
def test_anything_like_a_goal_is_a_goal_or_refused(raw: Any) -> None:
    sound_or_refused(raw)


@settings(max_examples=200)
@given(GOALS)
def test_reading_a_goal_changes_nothing(raw: Any) -> None:
    before = repr(raw)
    try:
        first = read_goal(raw, SMALL)
    except InvalidGoal:
        pass
    else:
        again = read_goal(first.model_dump(mode="json", exclude_defaults=True), SMALL)
        assert encode.digest(again) == encode.digest(first)
    assert repr(raw) == before


@settings(max_examples=300)
@given(st.one_of(st.text(), st.binary(), GOALS.map(json.dumps), GOALS.map(json.dumps).map(lambda text: text[:-3])))
def test_any_text_is_json_or_refused(text: str | bytes) -> None:
    try:
        value = parse_json(text)
    except InvalidGoal as error:
        refused(error)
    else:
        json.dumps(value, allow_nan=False)


YAML_BITS = st.sampled_from(
    ["a: ", "- ", "\n", "  ", "&x ", "*x", "{", "}", "[", "]", ", ", "? ", ": ", "!!set ", "!!binary ", "| ", "'", '"', "#",
     "1", ".nan", "2020-01-01", "<<: ", "on: ", "~", "%YAML", "---\n", "\t", "\x00", "b: "]
)  # fmt: skip


@settings(max_examples=300)
@given(st.one_of(st.text(), st.binary(), st.lists(YAML_BITS, max_size=14).map("".join)))
@example("a: 2020-99-99")
@example("a: !!binary x")
@example("a: 0o9\nb: 1:99:99")
@example("!!timestamp x")
@example("!!int x")
@example("!!float ''")
@example("? !!bool x\n: 1")
def test_any_text_is_yaml_or_refused(text: str | bytes) -> None:
    try:
        parse_yaml(text)
    except InvalidGoal as error:
        refused(error)


@settings(max_examples=400)
@given(JSON, st.one_of(WHEN, st.text("ab.-0123456789²³ <>=!", max_size=8)))
@example([1, 2], "--1 == 1")
@example([1, 2], "² == 1")
def test_a_condition_holds_or_does_not(output: Any, when: Any) -> None:
    try:
        condition = Condition.model_validate(when)
    except ValueError:
        return
    assert condition.holds(output) in (True, False)


@settings(max_examples=200)
@given(JSON, st.text("ab.-0123456789²", max_size=8))
def test_a_member_is_there_or_missing(value: Any, path: str) -> None:
    found = member(value, path)
    assert path or found is value
    assert member(None, path or "x") is MISSING


def test_faults_of_a_large_document_are_found_in_reasonable_time() -> None:
    nodes = [{"id": f"n{index}", "bad": 1} for index in range(20_000)]
    edges = [{"source": f"n{index}", "target": "ghost"} for index in range(20_000)]
    with pytest.raises(InvalidGoal) as caught:
        read_goal({"nodes": nodes, "edges": edges})
    assert len(caught.value.faults) >= 40_000
