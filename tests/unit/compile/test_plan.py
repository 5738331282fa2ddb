"""Chains, links and chords of a DAG."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.compile.critical_path import critical_path
from orchestrator.compile.plan import Chord, Link, compile
from orchestrator.compile.render import FORMATS, render
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


def test_large_plans_are_made_without_recursion() -> None:
    size = 100_000
    nodes = [{"id": f"n{index}"} for index in range(size)]
    chain = read_goal({"nodes": nodes, "edges": [{"source": f"n{i}", "target": f"n{i + 1}"} for i in range(size - 1)]})
    assert len(compile(chain).chains) == 1
    fan = read_goal({"nodes": nodes, "edges": [{"source": "n0", "target": f"n{i}"} for i in range(1, size)]})
    assert len(compile(fan).links) == size - 1


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
