"""A goal as rows: joins, edges, scores and the digest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.dag import MAX_PRIORITY, Goal
from orchestrator.domain.validate import read_goal
from orchestrator.engine import encode
from orchestrator.store.records import NodeRow
from support.sim import document


def rows(*args: Any, **head: Any) -> dict[str, NodeRow]:
    return {row.id: row for row in encode.rows(read_goal(document(*args, **head)))}


def test_rows_come_in_document_order() -> None:
    assert list(rows(["b", "a", "c"], [("a", "b")])) == ["b", "a", "c"]


def test_edges_have_the_letter_of_their_firing() -> None:
    edges: list[Any] = [
        ("a", "done"),
        {"source": "a", "target": "failed", "on": "failed"},
        {"source": "a", "target": "finished", "on": "finished"},
        {"source": "a", "target": "when", "when": "x > 1"},
    ]
    made = rows(["a", "done", "failed", "finished", "when"], edges)
    assert made["a"].edges == "done failed:f finished:a when:w"
    assert json.loads(made["a"].spec) == {"_when": {"when": {"path": "x", "op": ">", "value": 1}}}
    assert made["done"].parents == '["a"]'
    assert made["a"].parents == made["done"].edges == ""


@pytest.mark.parametrize(
    ("join", "need", "still"), [("all", 3, None), ("any", 1, 3), (2, 2, 3), (3, 3, None), (1, 1, 3)]
)
def test_joins_count_what_must_fire_and_what_is_open(join: Any, need: int, still: int | None) -> None:
    made = rows(["a", "b", "c", {"id": "j", "join": join}], [("a", "j"), ("b", "j"), ("c", "j")])
    assert (made["j"].need, made["j"].open) == (need, still)
    assert made["a"].need == 0


def test_the_longest_way_to_the_end_comes_first_and_priority_decides_among_equals() -> None:
    made = rows(
        ["start", "middle", "end", {"id": "vip", "priority": MAX_PRIORITY}, {"id": "plain"}],
        [("start", "middle"), ("middle", "end")],
    )
    order = sorted(made, key=lambda name: made[name].score)
    assert order == ["start", "middle", "vip", "end", "plain"]
    assert encode.score(2, 0) < encode.score(1, MAX_PRIORITY), "no priority outweighs a step"


def test_a_spec_holds_what_differs_from_the_defaults() -> None:
    made = rows([{"id": "a", "title": "T", "retries": 0, "priority": 0, "join": "all"}])
    assert json.loads(made["a"].spec) == {"title": "T", "retries": 0}


def test_queue_lane_and_lease() -> None:
    made = rows(
        [
            {"id": "a", "queue": "gpu", "lane": "l", "lease_seconds": 1.5},
            {"id": "b", "queue": "default"},
            {"id": "t", "kind": "task", "call": "x", "queue": "theirs"},
        ]
    )
    assert (made["a"].queue, made["a"].lane, made["a"].lease_ms) == ("gpu", "l", 1500)
    assert (made["b"].queue, made["b"].lane, made["b"].lease_ms) == ("", "", None)
    assert made["t"].queue == "", "its queue is where the user's message goes"
    assert len(made["a"].args()) == 10


def digest(**fields: Any) -> str:
    return encode.digest(Goal.model_validate({"nodes": [{"id": "a"}], **fields}))


def test_the_digest_is_that_of_the_content() -> None:
    same = digest(title="t", goal_id="one")
    assert same == digest(goal_id="two", title="t", idempotency_key="k"), "names and the order of fields do not count"
    assert same == digest(title="t", nodes=[{"id": "a", "priority": 0}]), "nor do defaults that are spelt out"
    assert same != digest(title="other")
    assert same != digest(title="t", nodes=[{"id": "a", "priority": 1}])
    assert digest(nodes=[{"id": "a"}, {"id": "b"}]) != digest(nodes=[{"id": "b"}, {"id": "a"}])
    assert len(same) == 32
