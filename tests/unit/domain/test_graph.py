"""Walks over graphs; none recurses."""

from __future__ import annotations

import itertools
import time

from orchestrator.domain import graph

DIAMOND = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


def children(edges: list[tuple[str, str]], nodes: str = "abcd") -> dict[str, list[str]]:
    return graph.successors(nodes, edges)


def test_successors_and_predecessors_have_an_entry_for_every_node() -> None:
    assert children(DIAMOND) == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
    assert graph.predecessors("abcd", DIAMOND) == {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_every_edge_points_forward_in_topological_order() -> None:
    order = graph.topological_order(children(DIAMOND))
    assert sorted(order) == list("abcd")
    assert all(order.index(source) < order.index(target) for source, target in DIAMOND)


def test_nodes_on_and_behind_a_cycle_are_left_out() -> None:
    looped = children([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")])
    assert graph.topological_order(looped) == ["a"]


def test_the_cycle_is_a_path_that_ends_where_it_begins() -> None:
    looped = children([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")])
    path = graph.find_cycle(looped)
    assert path[0] == path[-1]
    assert all(target in looped[source] for source, target in itertools.pairwise(path))
    assert set(path) == {"b", "c"}
    assert graph.find_cycle(children([("a", "a")], "a")) == ["a", "a"]
    assert graph.find_cycle(children(DIAMOND)) == []


def test_a_cycle_is_found_from_a_tail_behind_it() -> None:
    """The node that the search starts from may lie behind the cycle rather than on it."""
    looped = graph.successors("dabc", [("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")])
    path = graph.find_cycle(looped)
    assert path[0] == path[-1]
    assert set(path) == {"a", "b", "c"}


def test_depth_and_rank_count_nodes_on_the_longest_path() -> None:
    shape = children([*DIAMOND, ("b", "c")])
    order = graph.topological_order(shape)
    assert graph.depth(shape, order) == 4
    assert graph.upward_rank(shape, order) == {"a": 4, "b": 3, "c": 2, "d": 1}
    assert graph.depth({}, []) == 0


def test_ancestors_and_descendants() -> None:
    assert graph.ancestors(graph.predecessors("abcd", DIAMOND), "d") == {"a", "b", "c"}
    assert graph.descendants(children(DIAMOND), "b") == {"d"}
    assert graph.ancestors({}, "x") == set()


def test_a_chain_of_a_hundred_thousand_needs_no_recursion() -> None:
    names = [f"n{index}" for index in range(100_000)]
    pairs = list(itertools.pairwise(names))
    began = time.perf_counter()
    line = graph.successors(names, pairs)
    order = graph.topological_order(line)
    assert order == names
    assert graph.depth(line, order) == 100_000
    assert graph.upward_rank(line, order)["n0"] == 100_000
    assert len(graph.descendants(line, "n0")) == 99_999
    line["n99999"].append("n0")
    assert len(graph.find_cycle(line)) == 100_001
    assert time.perf_counter() - began < 30, "hours, if it were quadratic"
