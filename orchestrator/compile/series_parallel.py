"""A DAG as a tree of series and parallel parts, with as few extra barriers as it takes.

An order of nodes is series-parallel if it contains no N: a before c and d, b before d only, nothing else (Valdes, Tarjan
and Lawler, "The recognition of series parallel digraphs", 1982). Parts that are come out exactly. A part that is not is
cut in two by a barrier, everything before it ending first; the cut lies between two levels of the part, so the longest path
never gets longer, and among those it is the one that orders the smallest share of the pairs it separates. Finding the
fewest extra orderings over all is a hard problem; this is the greedy answer to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from orchestrator.domain import graph
from orchestrator.domain.errors import ChordalError

MAX_NODES: Final = 5_000
MAX_NESTING: Final = 100


class TooLarge(ChordalError):
    """The DAG is too large, or nested too deeply, to be written as one expression. Run it as it is."""


@dataclass(frozen=True, slots=True)
class Series:
    """Parts that run one after the other. None of them is a series."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parts that do not wait for each other. None of them is parallel."""

    parts: tuple[Part, ...]


Part = str | Series | Parallel
"""A node's id, or parts of parts."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """An ordering that the DAG does not ask for: all of `before` end before any of `after` starts."""

    before: tuple[str, ...]
    """The last nodes in front of the barrier; what leads to them is in front of it too."""
    after: tuple[str, ...]
    """The first nodes behind it."""
    extra: int
    """Pairs of nodes that it orders and the DAG does not."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree of a DAG. With no barriers it orders exactly the pairs that the DAG orders."""

    root: Part
    barriers: tuple[Barrier, ...]


def series_parallel(order: Sequence[str], children: Mapping[str, Sequence[str]]) -> Tree:
    """The tree of a DAG with at least one node, `order` being topological. Raises TooLarge above 5,000 nodes or 100 levels."""
    if len(order) > MAX_NODES:
        raise TooLarge(f"the DAG has {len(order):,} nodes, an expression holds at most {MAX_NODES:,}")
    builder = _Builder(order, children)
    root = builder.part(list(range(len(order))), 1)
    return Tree(root, tuple(builder.barriers))


class _Builder:
    """Sets of nodes are the bits of integers, node i being the i-th in topological order."""

    def __init__(self, order: Sequence[str], children: Mapping[str, Sequence[str]]) -> None:
        index = {node: place for place, node in enumerate(order)}
        self.order = order
        self.parents = [[index[parent] for parent in found] for found in _in_order(order, children)]
        self.above = _closure(self.parents)
        """For each node all that come before it, and in `below` all that come after."""
        self.below = [0] * len(order)
        for node in reversed(range(len(order))):
            for parent in self.parents[node]:
                self.below[parent] |= self.below[node] | 1 << node
        self.barriers: list[Barrier] = []

    def part(self, nodes: list[int], depth: int) -> Part:
        """The tree of these nodes, which are in order and leave no node out that lies between two of them."""
        if len(nodes) == 1:
            return self.order[nodes[0]]
        if depth > MAX_NESTING:
            raise TooLarge(f"the DAG nests series and parallel parts more than {MAX_NESTING} deep")
        sides = self.components(nodes)
        if len(sides) > 1:
            return Parallel(tuple(self.part(side, depth + 1) for side in sides))
        return Series(tuple(self.part(piece, depth + 1) for piece in self.pieces(nodes)))

    def components(self, nodes: list[int]) -> list[list[int]]:
        """The nodes split where no node of one side is before or after one of the other."""
        left, found = _bits(nodes), []
        while left:
            side = frontier = left & -left
            while frontier:
                reached = 0
                for node in _each(frontier):
                    reached |= self.above[node] | self.below[node]
                frontier = reached & left & ~side
                side |= frontier
            left &= ~side
            found.append(side)
        return [list(_each(side)) for side in found]

    def pieces(self, nodes: list[int]) -> Iterator[list[int]]:
        """Connected nodes split into pieces, all of one piece before all of the next, with barriers where it takes them."""
        pending = [nodes]
        while pending:
            current = pending.pop()
            if len(current) == 1 or len(self.components(current)) > 1:
                yield current
                continue
            split = self.series(current)
            pending.extend(reversed(split if len(split) > 1 else self.cut(current)))

    def series(self, nodes: list[int]) -> list[list[int]]:
        """The nodes split at every place where all that stand before it come before all that stand after it."""
        rest, shared, start = _bits(nodes), -1, 0
        pieces = []
        for place, node in enumerate(nodes, 1):
            rest &= ~(1 << node)
            shared &= self.below[node]
            if rest & ~shared == 0:
                pieces.append(nodes[start:place])
                start = place
        return pieces

    def cut(self, nodes: list[int]) -> list[list[int]]:
        """The nodes in two, with a barrier between them that is now on record."""
        cuts = [cut for levels in (self.early(nodes), self.late(nodes)) for cut in self.cuts(nodes, levels)]
        # Of cuts that are equally cheap the one nearest to the middle: halves keep the tree flat and the work small.
        front, extra, _ = min(cuts, key=lambda cut: (Fraction(cut[1], cut[2]), -cut[2]))
        back = _bits(nodes) & ~front
        last = [node for node in _each(front) if not self.below[node] & front]
        first = [node for node in _each(back) if not self.above[node] & back]
        self.barriers.append(Barrier(self.names(last), self.names(first), extra))
        return [list(_each(front)), list(_each(back))]

    def cuts(self, nodes: list[int], level: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
        """(front, pairs newly ordered, pairs separated) for the cut behind each level but the last."""
        front, back, ordered = 0, _bits(nodes), 0
        ranked = sorted(nodes, key=level.__getitem__)
        for place, node in enumerate(ranked, 1):
            back &= ~(1 << node)
            ordered += (self.below[node] & back).bit_count() - (self.above[node] & front).bit_count()
            front |= 1 << node
            if place < len(ranked) and level[ranked[place]] > level[node]:
                pairs = place * (len(ranked) - place)
                yield front, pairs - ordered, pairs

    def early(self, nodes: list[int]) -> dict[int, int]:
        """Each node as near to the start as it can be."""
        level: dict[int, int] = {}
        for node in nodes:
            level[node] = 1 + max((level[parent] for parent in self.parents[node] if parent in level), default=-1)
        return level

    def late(self, nodes: list[int]) -> dict[int, int]:
        """Each node as near to the end as it can be; levels count up to 0."""
        level = dict.fromkeys(nodes, 0)
        for node in reversed(nodes):
            for parent in self.parents[node]:
                if parent in level:
                    level[parent] = min(level[parent], level[node] - 1)
        return level

    def names(self, nodes: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.order[node] for node in nodes)


def _in_order(order: Sequence[str], children: Mapping[str, Sequence[str]]) -> list[list[str]]:
    parents = graph.predecessors(order, ((node, child) for node in order for child in children[node]))
    return [parents[node] for node in order]


def _closure(parents: Sequence[Sequence[int]]) -> list[int]:
    above: list[int] = []
    for found in parents:
        reached = 0
        for parent in found:
            reached |= above[parent] | 1 << parent
        above.append(reached)
    return above


def _bits(nodes: Sequence[int]) -> int:
    found = 0
    for node in nodes:
        found |= 1 << node
    return found


def _each(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
