"""Chains, links and chords of a DAG."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.compile.critical_path import critical_path
from orchestrator.compile.plan import Chord, Link, compile
from orchestrator.compile.render import FORMATS, render
from orchestrator.domain.dag import Dag, Edge, Node
from orchestrator.domain.errors import InvalidGoal
from orchestrator.domain.validate import read_goal


def goal(pairs: str, **nodes: dict[str, Any]) -> Any:
    """A goal from ``"a>b b>c"``; fields of nodes by keyword."""
    edges = [dict(zip(("source", "target"), pair.split(">"), strict=True)) for pair in pairs.split() if ">" in pair]
    ids = dict.fromkeys(name for pair in pairs.split() for name in pair.split(">"))
    return read_goal({"nodes": [{"id": name, **nodes.get(name, {})} for name in ids], "edges": edges})


def test_a_linear_run_is_one_chain() -> None:
    plan = compile(goal("a>b b>c"))
    assert [chain.nodes for chain in plan.chains] == [("a", "b", "c")]
    assert (plan.links, plan.chords) == ((), ())


def test_a_diamond_forks_by_links_and_joins_by_a_chord() -> None:
    plan = compile(goal("a>b a>c b>d c>d d>e"))
    assert {chain.id: chain.nodes for chain in plan.chains} == {"a": ("a",), "b": ("b",), "c": ("c",), "d": ("d", "e")}
    assert set(plan.links) == {Link("a", "b"), Link("a", "c")}
    assert plan.chords == (Chord(("b", "c"), "d", 2),)


def test_a_chain_may_stand_in_many_headers() -> None:
    """The graph that no Celery canvas can say: N, the smallest that is not series-parallel."""
    plan = compile(goal("a>x b>x b>y c>y"))
    assert plan.chords == (Chord(("a", "b"), "x", 2), Chord(("b", "c"), "y", 2))


@pytest.mark.parametrize(("join", "need"), [("all", 3), ("any", 1), (2, 2)])
def test_the_need_of_a_chord(join: Any, need: int) -> None:
    assert compile(goal("a>j b>j c>j", j={"join": join})).chords[0].need == need


def test_what_is_no_dag_is_refused_with_its_faults() -> None:
    dag = goal("a>b b>c")
    cyclic = dag.model_copy(
        update={"edges": [*dag.edges, dag.edges[0].model_copy(update={"source": "c", "target": "a"})]}
    )
    with pytest.raises(InvalidGoal, match="cycle"):
        compile(cyclic)


def test_the_critical_path_by_nodes_and_by_seconds() -> None:
    plan = compile(goal("a>b b>c c>e a>d d>e"))
    assert plan.critical_path == ("a", "b", "c", "e")
    slow = critical_path(plan, {"a": 1, "b": 1, "c": 1, "d": 9, "e": 1})
    assert (slow.nodes, slow.length) == (("a", "d", "e"), 11)
    assert slow.slack["b"] == 7
    assert slow.slack["d"] == 0


def test_the_critical_path_passes_a_join_when_enough_parents_have_ended() -> None:
    plan = compile(goal("a>j b>j c>j j>z", j={"join": 2}))
    found = critical_path(plan, {"a": 1, "b": 5, "c": 9, "j": 1, "z": 1})
    assert (found.nodes, found.length) == (("c",), 9)
    found = critical_path(plan, {"a": 1, "b": 5, "c": 6, "j": 1, "z": 1})
    assert (found.nodes, found.length) == (("b", "j", "z"), 7)
    assert found.slack == {"a": 4, "b": 0, "c": 1, "j": 0, "z": 0}


def test_guards_keep_what_edges_say_beyond_done() -> None:
    made = read_goal(
        {
            "nodes": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
            "edges": [{"source": "a", "target": "b", "when": "n > 1"}, {"source": "b", "target": "c", "on": "failed"}],
        }
    )
    plan = compile(made)
    assert [chain.nodes for chain in plan.chains] == [("a", "b", "c")]
    assert list(plan.guards.values()) == made.edges


def test_large_plans_are_made_without_recursion() -> None:
    """5,000 deep is past what recursion could do; 100,000 is the business of the benchmarks."""
    ids = [f"n{index}" for index in range(5_000)]
    nodes = [Node.model_construct(id=name) for name in ids]

    def dag(pairs: Iterable[tuple[str, str]]) -> Dag:
        edges = [Edge.model_construct(source=source, target=target) for source, target in pairs]
        return Dag.model_construct(nodes=nodes, edges=edges)

    assert len(compile(dag(pairwise(ids))).chains) == 1
    assert len(compile(dag((ids[0], name) for name in ids[1:])).links) == len(ids) - 1
    assert len(compile(dag((name, ids[-1]) for name in ids[:-1])).chords[0].header) == len(ids) - 1


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_names_every_node_and_is_stable(format: str) -> None:
    made = goal("a>b a>c b>d c>d", a={"title": 'A "quoted" <b>&'})
    text = render(compile(made), made, format)
    assert text == render(compile(made), made, format)
    assert text.endswith("\n")
    assert all(name in text for name in ("b", "c", "d"))
    assert "<b>&" not in text or format in ("text", "json", "dot")


def test_an_unknown_format_is_refused() -> None:
    made = goal("a")
    with pytest.raises(ValueError, match="there is no format 'pdf'"):
        render(compile(made), made, "pdf")
