"""Which orders are series-parallel, and what it costs to make the others so."""

from __future__ import annotations

import pytest

from orchestrator.compile.series_parallel import MAX_NODES, Barrier, Parallel, Series, TooLarge, Tree, series_parallel
from orchestrator.domain import graph


def tree(pairs: str) -> Tree:
    ids = dict.fromkeys(name for pair in pairs.split() for name in pair.split(">"))
    edges = [(source, target) for source, target in (pair.split(">") for pair in pairs.split() if ">" in pair)]
    children = graph.successors(ids, edges)
    return series_parallel(graph.topological_order(children), children)


def test_the_smallest_order_that_is_not_series_parallel_takes_one_barrier() -> None:
    found = tree("a>c b>c b>d")
    assert found.root == Series((Parallel(("a", "b")), Parallel(("c", "d"))))
    assert found.barriers == (Barrier(("a", "b"), ("c", "d"), 1),)


def test_what_surrounds_it_and_stands_beside_it_stays_as_it_is() -> None:
    found = tree("s>a s>b a>c b>c b>d c>t d>t x>y")
    assert found.root == Parallel((Series(("s", Parallel(("a", "b")), Parallel(("c", "d")), "t")), Series(("x", "y"))))
    assert len(found.barriers) == 1


def test_the_barrier_is_where_it_orders_the_smallest_share() -> None:
    """Behind a long chain: one pair, where a barrier in front of it would order ten."""
    run = " ".join(f"a{place}>a{place + 1}" for place in range(9))
    found = tree(f"{run} a9>c b>c b>d")
    assert [barrier.extra for barrier in found.barriers] == [1]
    assert found.barriers[0].after == ("c",)


def test_a_ladder_is_cut_in_the_middle_first_and_in_time() -> None:
    rungs = 599
    pairs = [f"{side}{place}>{side}{place + 1}" for side in "ab" for place in range(rungs)]
    found = tree(" ".join([*pairs, *(f"a{place}>b{place + 1}" for place in range(rungs))]))
    assert found.barriers[0].before == (f"a{rungs // 2}", f"b{rungs // 2}")


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(TooLarge, match="5,001 nodes"):
        series_parallel([str(place) for place in range(MAX_NODES + 1)], {})
