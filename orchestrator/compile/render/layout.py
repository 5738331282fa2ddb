"""A layered layout for diagrams: columns by longest path, order in a column by barycentre, then straight lines.

Source: Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures", 1981. A line that
skips columns passes each of them through a bend of its own. Positions in a column are the least-squares ones that keep
the order and the distances (pool adjacent violators). Everything is deterministic.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

BOX_HEIGHT: Final = 30.0
_GAP: Final = 14.0
_BEND: Final = 12.0
_BETWEEN_COLUMNS: Final = 56.0
_SWEEPS: Final = 8
_MOST_BENDS: Final = 20_000
"""Above it long lines run straight to their end: nobody could follow them anyway."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes, in pixels from the top left."""

    corners: tuple[Point, ...]
    """Each box's top left corner."""
    routes: tuple[tuple[Point, ...], ...]
    """For each arrow the points that it passes, from the right side of a box to the left side of another."""
    width: float
    height: float


def layout(widths: Sequence[float], arrows: Sequence[tuple[int, int]], rooms: Sequence[float] = ()) -> Layout:
    """Lay out boxes of these widths; arrows point from an earlier box to a later one.

    `rooms` are the widths of what is written on the arrows, just behind their sources.
    """
    grid = _Grid(len(widths), arrows)
    grid.order()
    heights = grid.heights()
    column_width = [
        max((widths[item] for item in column if item < len(widths)), default=0.0) for column in grid.columns
    ]
    gaps = [_BETWEEN_COLUMNS] * len(column_width)
    for (source, _), room in zip(arrows, rooms, strict=False):
        gaps[grid.column[source]] = max(gaps[grid.column[source]], room)
    left = [0.0]
    for width, gap in zip(column_width, gaps, strict=True):
        left.append(left[-1] + width + gap)
    corners = tuple((left[grid.column[box]], heights[box] - BOX_HEIGHT / 2) for box in range(len(widths)))
    routes = []
    for (source, target), bends in zip(arrows, grid.bends, strict=True):
        points = [(left[grid.column[source]] + widths[source], heights[source])]
        for bend in bends:
            start = left[grid.column[bend]]
            points += [(start, heights[bend]), (start + column_width[grid.column[bend]], heights[bend])]
        routes.append((*points, (left[grid.column[target]], heights[target])))
    bottom = max((heights[box] for box in range(len(widths))), default=0.0)
    lowest = max([bottom + BOX_HEIGHT / 2, *(y for route in routes for _, y in route)])
    return Layout(corners, tuple(routes), left[-1] - (gaps[-1] if gaps else 0.0), lowest)


class _Grid:
    """Boxes and bends in columns. Items are numbers: the boxes first, then the bends."""

    def __init__(self, boxes: int, arrows: Sequence[tuple[int, int]]) -> None:
        self.boxes = boxes
        self.column = _longest_path(boxes, arrows)
        spans = sum(max(0, self.column[target] - self.column[source] - 1) for source, target in arrows)
        self.bends = [self._bends_of(source, target) if spans <= _MOST_BENDS else [] for source, target in arrows]
        self.before: list[list[int]] = [[] for _ in self.column]
        """For each item those in the column in front of it that it has a line to; `behind` is the other side."""
        self.behind: list[list[int]] = [[] for _ in self.column]
        for (source, target), bends in zip(arrows, self.bends, strict=True):
            for one, next_one in pairwise([source, *bends, target]):
                self.behind[one].append(next_one)
                self.before[next_one].append(one)
        self.columns: list[list[int]] = [[] for _ in range(max(self.column, default=-1) + 1)]
        for item, column in enumerate(self.column):
            self.columns[column].append(item)

    def _bends_of(self, source: int, target: int) -> list[int]:
        between = range(self.column[source] + 1, self.column[target])
        first = len(self.column)
        self.column.extend(between)
        return list(range(first, first + len(between)))

    def order(self) -> None:
        """Sort each column by where the neighbours stand, forth and back, and keep the order with the fewest crossings."""
        best, fewest = [list(column) for column in self.columns], self.crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            forth = sweep % 2 == 0
            neighbours = self.before if forth else self.behind
            for column in self.columns[1:] if forth else reversed(self.columns[:-1]):
                place = self.places()
                near = {item: _mean([place[other] for other in neighbours[item]], place[item]) for item in column}
                column.sort(key=near.__getitem__)
            crossings = self.crossings()
            if crossings < fewest:
                best, fewest = [list(column) for column in self.columns], crossings
        self.columns = best

    def places(self) -> list[float]:
        # Between 0 and 1, so that columns of different sizes compare.
        place = [0.0] * len(self.column)
        for column in self.columns:
            for index, item in enumerate(column):
                place[item] = (index + 0.5) / len(column)
        return place

    def crossings(self) -> int:
        place = self.places()
        total = 0
        for column in self.columns[:-1]:
            ends = [end for item in column for end in sorted(place[other] for other in self.behind[item])]
            seen: list[float] = []
            for end in ends:
                total += len(seen) - bisect_right(seen, end)
                insort(seen, end)
        return total

    def heights(self) -> list[float]:
        """The middle of each item, from the top."""
        height = [0.0] * len(self.column)
        for column in self.columns:
            offset = 0.0
            for one, next_one in pairwise([*column, None]):
                if one is not None:
                    height[one] = offset
                    offset += self.distance(one, next_one) if next_one is not None else 0.0
        for sweep in range(_SWEEPS):
            forth = sweep % 2 == 0
            for column in self.columns if forth else reversed(self.columns):
                sides = (self.before,) if forth and sweep < _SWEEPS - 2 else (self.before, self.behind)
                wanted = [
                    _mean([height[other] for side in sides for other in side[item]], height[item]) for item in column
                ]
                gaps = [self.distance(one, next_one) for one, next_one in pairwise(column)]
                for item, place in zip(column, _spread(wanted, gaps), strict=True):
                    height[item] = place
        top = min((height[item] - self.half(item) for item in range(len(height))), default=0.0)
        return [value - top for value in height]

    def distance(self, one: int, other: int) -> float:
        return self.half(one) + self.half(other) + _GAP

    def half(self, item: int) -> float:
        return (BOX_HEIGHT if item < self.boxes else _BEND) / 2


def _longest_path(boxes: int, arrows: Iterable[tuple[int, int]]) -> list[int]:
    column = [0] * boxes
    for source, target in sorted(arrows):
        column[target] = max(column[target], column[source] + 1)
    return column


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _spread(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The positions nearest to those wanted (least squares) that keep the gaps: pool adjacent violators."""
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, size = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            before, count = blocks.pop()
            total, size = total + before, size + count
        blocks.append((total, size))
    means = [total / size for total, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
