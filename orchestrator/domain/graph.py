"""Walks over a DAG given as ids and (source, target) pairs. All iterative: a chain of 100,000 is no deeper than one of 3."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence


def successors(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each node's direct successors, in edge order; every node has an entry."""
    out: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        out[source].append(target)
    return out


def predecessors(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each node's direct predecessors, in edge order; every node has an entry."""
    return successors(nodes, ((target, source) for source, target in edges))


def topological_order(children: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes so that every edge points forward; nodes on or behind a cycle are left out (Kahn 1962)."""
    waiting = dict.fromkeys(children, 0)
    for targets in children.values():
        for target in targets:
            waiting[target] += 1
    ready = deque(node for node, count in waiting.items() if not count)
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for target in children[node]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return order


def find_cycle(children: Mapping[str, Sequence[str]]) -> list[str]:
    """One cycle as a path that ends where it begins (``[a, b, a]``), or an empty list."""
    sorted_nodes = set(topological_order(children))
    left = {node for node in children if node not in sorted_nodes}
    if not left:
        return []
    # Every node that Kahn leaves over has a predecessor that is left over too, so walking backwards must close a loop.
    parents: dict[str, str] = {}
    for node in children:
        if node in left:
            for target in children[node]:
                if target in left:
                    parents.setdefault(target, node)
    seen: dict[str, int] = {}
    path: list[str] = []
    node = next(node for node in children if node in left)
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = parents[node]
    return [node, *reversed(path[seen[node] :])]


def depth(children: Mapping[str, Sequence[str]], order: Sequence[str]) -> int:
    """The number of nodes on the longest path; 0 for an empty graph."""
    level = dict.fromkeys(children, 1)
    for node in order:
        for target in children[node]:
            if level[target] <= level[node]:
                level[target] = level[node] + 1
    return max(level.values(), default=0)


def upward_rank(children: Mapping[str, Sequence[str]], order: Sequence[str]) -> dict[str, int]:
    """For each node the nodes on the longest path from it to an end, itself included (HEFT's rank, all costs 1).

    Source: Topcuoglu, Hariri and Wu, "Performance-effective and low-complexity task scheduling", 2002.
    """
    rank = dict.fromkeys(children, 1)
    for node in reversed(order):
        targets = children[node]
        if targets:
            rank[node] = 1 + max(rank[target] for target in targets)
    return rank


def ancestors(parents: Mapping[str, Sequence[str]], node: str) -> set[str]:
    """Every node from which there is a path to `node`, without `node` itself."""
    seen: set[str] = set()
    stack = list(parents.get(node, ()))
    while stack:
        current = stack.pop()
        if current not in seen:
            seen.add(current)
            stack.extend(parents.get(current, ()))
    return seen


def descendants(children: Mapping[str, Sequence[str]], node: str) -> set[str]:
    """Every node that can be reached from `node`, without `node` itself."""
    return ancestors(children, node)
