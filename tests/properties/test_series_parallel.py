"""What holds of the series-parallel tree of every DAG."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.compile.series_parallel import Parallel, Part, series_parallel
from orchestrator.domain import graph

Pairs = set[tuple[str, str]]


@st.composite
def dags(draw: st.DrawFn) -> tuple[list[str], Pairs]:
    size = draw(st.integers(1, 8))
    possible = [(f"n{one}", f"n{two}") for one in range(size) for two in range(one + 1, size)]
    chosen = draw(st.sets(st.sampled_from(possible))) if possible else set()
    return [f"n{place}" for place in range(size)], chosen


def closure(nodes: list[str], pairs: Pairs) -> Pairs:
    children = graph.successors(nodes, sorted(pairs))
    return {(node, below) for node in nodes for below in graph.descendants(children, node)}


def members(part: Part) -> list[str]:
    return [part] if isinstance(part, str) else [name for inner in part.parts for name in members(inner)]


def ordered(part: Part) -> Pairs:
    if isinstance(part, str):
        return set()
    found = {pair for inner in part.parts for pair in ordered(inner)}
    if not isinstance(part, Parallel):
        for place, inner in enumerate(part.parts):
            later = [name for other in part.parts[place + 1 :] for name in members(other)]
            found |= {(one, two) for one in members(inner) for two in later}
    return found


def has_an_n(nodes: list[str], order: Pairs) -> bool:
    """Four nodes of which a is before c, b before c and d, and no others are ordered."""

    def apart(one: str, two: str) -> bool:
        return (one, two) not in order and (two, one) not in order

    return any(
        {(a, c), (b, c), (b, d)} <= order and apart(a, b) and apart(c, d) and apart(a, d)
        for a, b, c, d in permutations(nodes, 4)
    )


@given(dags())
def test_the_tree_keeps_the_order_and_its_barriers_say_what_it_adds(dag: tuple[list[str], Pairs]) -> None:
    nodes, pairs = dag
    children = graph.successors(nodes, sorted(pairs))
    found = series_parallel(graph.topological_order(children), children)
    wanted, kept = closure(nodes, pairs), ordered(found.root)
    assert sorted(members(found.root)) == sorted(nodes)
    assert wanted <= kept
    assert len(kept - wanted) == sum(barrier.extra for barrier in found.barriers)
    assert all((one, two) in kept for barrier in found.barriers for one in barrier.before for two in barrier.after), (
        "a barrier that the tree does not keep"
    )


@given(dags())
def test_barriers_stand_in_what_is_not_series_parallel_and_nowhere_else(dag: tuple[list[str], Pairs]) -> None:
    nodes, pairs = dag
    children = graph.successors(nodes, sorted(pairs))
    found = series_parallel(graph.topological_order(children), children)
    assert bool(found.barriers) == has_an_n(nodes, closure(nodes, pairs))


@given(dags())
def test_the_longest_path_does_not_get_longer(dag: tuple[list[str], Pairs]) -> None:
    nodes, pairs = dag
    children = graph.successors(nodes, sorted(pairs))
    order = graph.topological_order(children)
    after = graph.successors(nodes, sorted(ordered(series_parallel(order, children).root)))
    assert graph.depth(after, graph.topological_order(after)) == graph.depth(children, order)
