"""Goals, said in Celery's words."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from celery.canvas import _chain, chord, group

from orchestrator.compile.canvas import NotACanvas, to_canvas
from orchestrator.compile.plan import compile
from orchestrator.compile.series_parallel import TooLarge
from orchestrator.domain.dag import Dag, Goal
from orchestrator.domain.validate import read_goal


def goal(pairs: str, **nodes: dict[str, Any]) -> Goal:
    """A goal of task nodes from ``"a>b c"``; fields of nodes by keyword, ``kind: None`` for the default handler."""
    ids = dict.fromkeys(name for pair in pairs.split() for name in pair.split(">"))
    work: dict[str, Any] = {"kind": "task", "call": "work"}
    made = [{"id": name, **work, **nodes.get(name, {})} for name in ids]
    edges = [dict(zip(("source", "target"), pair.split(">"), strict=True)) for pair in pairs.split() if ">" in pair]
    return read_goal({"nodes": [{key: node[key] for key in node if node[key]} for node in made], "edges": edges})


def shape(signature: Any) -> Any:
    """Chains as tuples, groups as lists, chords as ``{"header": .., "body": ..}``, tasks as their names."""
    if isinstance(signature, _chain):
        return tuple(shape(step) for step in signature.tasks)
    if isinstance(signature, group):
        return [shape(member) for member in signature.tasks]
    if isinstance(signature, chord):
        return {"header": [shape(member) for member in signature.tasks], "body": shape(signature.body)}
    return signature.task


def named(pairs: str) -> Goal:
    """A goal whose nodes call the tasks of their own names."""
    ids = {name for pair in pairs.split() for name in pair.split(">")}
    return goal(pairs, **{name: {"call": name} for name in ids})


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("a", "a"),
        ("a b", ["a", "b"]),
        ("a>b b>c", ("a", "b", "c")),
        ("a>b a>c b>d c>d d>e", ("a", {"header": ["b", "c"], "body": "d"}, "e")),
        ("a>c a>d b>c b>d", {"header": ["a", "b"], "body": ["c", "d"]}),
        ("a>c b>c c>d d>e d>f", ({"header": ["a", "b"], "body": "c"}, "d", ["e", "f"])),
        ("a>c b>c a>d b>d c>e d>e", {"header": ["a", "b"], "body": {"header": ["c", "d"], "body": "e"}}),
        # A header does not end in a group: Celery would never start the body.
        (
            "a>b a>c b>e c>e d>e",
            {"header": [("a", {"header": ["b", "c"], "body": "celery.accumulate"}), "d"], "body": "e"},
        ),
    ],
)
def test_series_are_chains_and_parallels_before_something_are_headers(pairs: str, expected: Any) -> None:
    canvas = to_canvas(named(pairs))
    assert shape(canvas.signature) == expected
    assert canvas.exact


def test_edges_that_order_nothing_new_do_not_count() -> None:
    assert shape(to_canvas(named("a>b b>c a>c")).signature) == ("a", "b", "c")


def test_a_plan_is_as_good_as_its_goal() -> None:
    made = named("a>b b>c")
    assert to_canvas(compile(made)).signature == to_canvas(made).signature


def test_a_task_node_is_its_own_task_with_its_inputs_and_options() -> None:
    made = goal(
        "a>b",
        a={
            "inputs": {"__args__": [1, 2], "key": "x"},
            "queue": "slow",
            "timeout_seconds": 60,
            "priority": 12,
            "retries": 2,
        },
        b={"inputs": {"n": 1}},
    )
    canvas = to_canvas(made)
    first, second = canvas.signature.tasks
    assert (first.task, first.args, first.kwargs, first.immutable) == ("work", (1, 2), {"key": "x"}, True)
    assert first.options == {"queue": "slow", "time_limit": 60, "priority": 0}
    assert second.options == {"priority": 9}
    assert canvas.left_out == ("a.retries",)


def test_any_other_node_is_the_plain_task_with_the_node_in_it() -> None:
    made = goal("a>b", a={"kind": None, "call": None, "title": "First"}, b={"kind": "python", "call": "shop:work"})
    first, second = to_canvas(made, plain_task="plain").signature.tasks
    assert (first.task, first.kwargs) == ("plain", {"node": {"id": "a", "title": "First"}})
    assert second.kwargs == {"node": {"id": "b", "kind": "python", "call": "shop:work"}}
    json.dumps(first)


def test_the_no_op_follows_the_queue_that_its_group_shares() -> None:
    pairs = "a>b a>c b>e c>e d>e"
    both = {"queue": "slow"}
    (chained, _) = to_canvas(goal(pairs, b=both, c=both)).signature.tasks
    assert chained.tasks[-1].body.options == both
    (chained, _) = to_canvas(goal(pairs, b=both)).signature.tasks
    assert chained.tasks[-1].body.options == {}


def test_a_barrier_is_reported() -> None:
    canvas = to_canvas(named("a>c b>c b>d"))
    assert not canvas.exact
    (barrier,) = canvas.barriers
    assert (barrier.before, barrier.after, barrier.extra) == (("a", "b"), ("c", "d"), 1)
    assert shape(canvas.signature) == {"header": ["a", "b"], "body": ["c", "d"]}


def test_all_that_a_canvas_cannot_say_is_named_at_once() -> None:
    made = read_goal(
        {
            "nodes": [
                {"id": "a"},
                {"id": "b", "kind": "task", "call": "t", "inputs": {"x": {"from": "a"}}},
                {"id": "c", "join": "any", "lane": "one"},
                {"id": "d", "kind": "approval"},
                {"id": "e", "kind": "task", "call": "t", "inputs": {"__args__": 3}},
            ],
            "edges": [
                {"source": "a", "target": "b"},
                {"source": "a", "target": "c", "when": "ok"},
                {"source": "b", "target": "c"},
                {"source": "c", "target": "d", "on": "finished"},
            ],
        }
    )
    with pytest.raises(NotACanvas) as error:
        to_canvas(made)
    assert error.value.reasons == (
        ("b", "its inputs take the output of a"),
        ("c", "it runs in the lane 'one'"),
        ("d", "it is a node of kind approval"),
        ("e", "its inputs.__args__ is not a list"),
        ("c", "it waits for 1 of 2"),
        ("a -> c", "the edge fires on a condition"),
        ("c -> d", "the edge fires on finished"),
    )
    assert "... and 2 more" in str(error.value)
    again = pickle.loads(pickle.dumps(error.value))
    assert again.reasons == error.value.reasons


def test_an_empty_dag_is_no_canvas() -> None:
    with pytest.raises(NotACanvas, match="there are none"):
        to_canvas(Dag(nodes=[], edges=[]))


def test_a_dag_nested_too_deeply_is_refused_and_a_deep_one_is_not() -> None:
    def comb(depth: int) -> Goal:
        return goal(" ".join(f"a{place}>a{place + 1} a{place}>b{place}" for place in range(depth)))

    assert to_canvas(comb(45)).exact
    with pytest.raises(TooLarge, match="deep"):
        to_canvas(comb(60))
