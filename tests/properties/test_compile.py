"""What holds of the plan and of the canvas of every DAG."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery.canvas import _chain, chord, group
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.compile.canvas import from_canvas, to_canvas
from orchestrator.compile.plan import compile
from orchestrator.domain import graph
from orchestrator.domain.dag import Goal
from orchestrator.domain.validate import read_goal

COMMON = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def goals(draw: st.DrawFn, kind: str | None = None) -> Goal:
    size = draw(st.integers(1, 12))
    pairs = draw(st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda p: p[0] < p[1])))
    work = {"kind": kind, "call": "work"} if kind else {}
    nodes = [{"id": f"n{index}", **work} for index in range(size)]
    edges = [{"source": f"n{source}", "target": f"n{target}"} for source, target in sorted(pairs)]
    return read_goal({"nodes": nodes, "edges": edges})


def pairs_of(goal: Goal) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in goal.edges}


def reachable(pairs: set[tuple[str, str]], nodes: list[str]) -> dict[str, set[str]]:
    children = graph.successors(nodes, pairs)
    return {node: graph.descendants(children, node) for node in nodes}


@COMMON
@given(goals())
def test_a_plan_holds_every_node_and_every_edge_once(goal: Goal) -> None:
    plan = compile(goal)
    names = [name for chain in plan.chains for name in chain.nodes]
    assert sorted(names) == sorted(node.id for node in goal.nodes)
    edges = list(plan.edges())
    assert len(edges) == len(set(edges))
    assert set(edges) == pairs_of(goal)


@COMMON
@given(goals())
def test_chains_are_maximal_and_ranks_are_longest_paths(goal: Goal) -> None:
    plan = compile(goal)
    nodes = [node.id for node in goal.nodes]
    children, parents = graph.successors(nodes, pairs_of(goal)), graph.predecessors(nodes, pairs_of(goal))
    for chain in plan.chains:
        above = parents[chain.nodes[0]]
        assert len(above) != 1 or len(children[above[0]]) > 1, "it would belong to the chain before it"
    for node in nodes:
        assert plan.rank[node] == 1 + max((plan.rank[child] for child in children[node]), default=0)
    assert len(plan.critical_path) == len(plan.layers) == max(plan.rank.values())


def leaves(signature: Any) -> Iterator[str]:
    """The nodes of a canvas made by to_canvas; its own no-op is none."""
    if isinstance(signature, group | _chain):
        for part in signature.tasks:
            yield from leaves(part)
    elif isinstance(signature, chord):
        yield from leaves(group(signature.tasks))
        yield from leaves(signature.body)
    elif "node" in signature.kwargs:
        yield signature.kwargs["node"]["id"]


def orders(signature: Any) -> Iterator[tuple[str, str]]:
    """Which node a canvas runs before which."""
    if isinstance(signature, _chain):
        parts = list(signature.tasks)
        for place, part in enumerate(parts):
            yield from orders(part)
            for later in parts[place + 1 :]:
                yield from ((one, two) for one in leaves(part) for two in leaves(later))
    elif isinstance(signature, group):
        for part in signature.tasks:
            yield from orders(part)
    elif isinstance(signature, chord):
        yield from orders(group(signature.tasks))
        yield from orders(signature.body)
        yield from ((one, two) for one in leaves(group(signature.tasks)) for two in leaves(signature.body))


@COMMON
@given(goals())
def test_a_canvas_keeps_every_order_and_reports_what_it_adds(goal: Goal) -> None:
    canvas = to_canvas(goal)
    nodes = [node.id for node in goal.nodes]
    assert sorted(leaves(canvas.signature)) == sorted(nodes)
    wanted = {(one, two) for one, later in reachable(pairs_of(goal), nodes).items() for two in later}
    kept = set(orders(canvas.signature))
    assert wanted <= kept
    assert canvas.exact == (kept == wanted)


@COMMON
@given(goals(kind="task"))
def test_an_exact_canvas_comes_back_as_the_same_goal(goal: Goal) -> None:
    canvas = to_canvas(goal)
    if not canvas.exact:
        return
    again = read_goal(from_canvas(canvas.signature))
    mine = [node.id for node in again.nodes if node.call == "work"]
    assert len(mine) == len(goal.nodes)

    def shape(nodes: list[str], pairs: set[tuple[str, str]], real: list[str]) -> list[tuple[int, int]]:
        below = reachable(pairs, nodes)
        above = {one: sum(one in below[two] for two in real) for one in real}
        return sorted((above[one], len(below[one] & set(real))) for one in real)

    names = [node.id for node in goal.nodes]
    assert shape(names, pairs_of(goal), names) == shape([node.id for node in again.nodes], pairs_of(again), mine)
