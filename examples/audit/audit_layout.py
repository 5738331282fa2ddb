"""Where packages stand in the drawing of the import graph: importers above, what they import below.

Packages are boxes with their modules as rows. Circles among packages are broken where the fewest imports run
(Eades, Lin and Smyth 1993, weighted); layers are longest paths; the order in a layer follows the neighbours' mean place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 1120.0
ROW: Final = 17.0
HEAD: Final = 26.0
PAD: Final = 9.0
GAP_X: Final = 22.0
GAP_Y: Final = 40.0
LETTER: Final = 6.8
"""The mean width of a letter of the rows' type, in the drawing's units."""
NAME_LETTERS: Final = 22

Weights = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Box:
    """A package: its place, and its modules' rows in columns."""

    name: str
    modules: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    columns: int

    def place(self, index: int) -> tuple[float, float]:
        """The centre of the mark of the module at `index`."""
        rows = -(-len(self.modules) // self.columns)
        column, row = divmod(index, rows)
        step = (self.width - PAD) / self.columns
        return self.x + PAD + 5 + column * step, self.y + HEAD + ROW * (row + 0.5)


def grouped(names: Sequence[tuple[str, str]], limit: int) -> dict[str, list[str]]:
    """Modules (name, package) by package; packages are cut to fewer parts until there are at most `limit` groups."""
    depth = max((package.count(".") + 1 for _, package in names), default=1)
    while True:
        groups: dict[str, list[str]] = {}
        for name, package in names:
            groups.setdefault(".".join(package.split(".")[:depth]), []).append(name)
        if len(groups) <= limit or depth == 1:
            return {key: sorted(groups[key]) for key in sorted(groups)}
        depth -= 1


def lay_out(groups: Mapping[str, Sequence[str]], weights: Weights) -> tuple[list[Box], float]:
    """The boxes in drawing order, and the height of the drawing. `weights` counts import-time imports between groups."""
    layers = layered(list(groups), weights)
    boxes: list[Box] = []
    y = 8.0
    for row in _rows(layers, groups):
        sizes = [_size(groups[name], name) for name in row]
        total = sum(width for width, _, _ in sizes) + GAP_X * (len(row) - 1)
        gap = min(GAP_X * 3, GAP_X + (WIDTH - total) / (len(row) + 1))
        x = (WIDTH - total + GAP_X * (len(row) - 1) - gap * (len(row) - 1)) / 2
        for name, (width, height, columns) in zip(row, sizes, strict=True):
            boxes.append(Box(name, tuple(groups[name]), x, y, width, height, columns))
            x += width + gap
        y += max(height for _, height, _ in sizes) + GAP_Y
    return boxes, y - GAP_Y + 8


def layered(names: Sequence[str], weights: Weights) -> list[list[str]]:
    """The groups in layers from importers to imported, each layer ordered to keep connected groups near each other."""
    rank = {name: place for place, name in enumerate(_sequence(names, weights))}
    forward = {pair: weight for pair, weight in weights.items() if rank[pair[0]] < rank[pair[1]]}
    level = dict.fromkeys(names, 0)
    for source in sorted(names, key=rank.__getitem__):
        for pair in forward:
            if pair[0] == source:
                level[pair[1]] = max(level[pair[1]], level[source] + 1)
    for source in sorted(names, key=rank.__getitem__, reverse=True):  # pull lone importers down to what they import
        below = [level[target] for origin, target in forward if origin == source]
        if below:
            level[source] = max(level[source], min(below) - 1)
    layers = [[name for name in names if level[name] == depth] for depth in range(max(level.values(), default=-1) + 1)]
    return _ordered([layer for layer in layers if layer], weights)


def _sequence(names: Sequence[str], weights: Weights) -> list[str]:
    """A line-up in which few imports point back: sinks to the end, sources to the front, else the most one-sided group."""
    left = set(names)
    front: list[str] = []
    back: list[str] = []
    while left:
        out = dict.fromkeys(sorted(left), 0)
        into = dict.fromkeys(sorted(left), 0)
        for (source, target), weight in weights.items():
            if source in left and target in left:
                out[source] += weight
                into[target] += weight
        sinks = [name for name in out if not out[name]]
        sources = [name for name in out if not into[name] and out[name]]
        if sinks:
            back[:0] = sinks
            left.difference_update(sinks)
        elif sources:
            front += sources
            left.difference_update(sources)
        else:
            pick = max(out, key=lambda name: out[name] - into[name])
            front.append(pick)
            left.discard(pick)
    return front + back


def _ordered(layers: list[list[str]], weights: Weights) -> list[list[str]]:
    place = {name: (i + 0.5) / len(layer) for layer in layers for i, name in enumerate(layer)}
    near: dict[str, list[tuple[str, int]]] = {name: [] for name in place}
    for (source, target), weight in weights.items():
        near[source].append((target, weight))
        near[target].append((source, weight))
    for sweep in range(8):
        for layer in layers if sweep % 2 else layers[::-1]:
            wish = {name: _mean(near[name], place, place[name]) for name in layer}
            layer.sort(key=lambda name, wish=wish: (wish[name], name))  # type: ignore[misc]
            place.update({name: (i + 0.5) / len(layer) for i, name in enumerate(layer)})
    return layers


def _mean(near: Sequence[tuple[str, int]], place: Mapping[str, float], own: float) -> float:
    total = sum(weight for _, weight in near)
    return sum(place[name] * weight for name, weight in near) / total if total else own


def _rows(layers: Sequence[Sequence[str]], groups: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Layers as rows of the drawing; a layer that is too wide takes several."""
    rows: list[list[str]] = []
    for layer in layers:
        rows.append([])
        used = 0.0
        for name in layer:
            width = _size(groups[name], name)[0]
            if rows[-1] and used + width > WIDTH:
                rows.append([])
                used = 0.0
            rows[-1].append(name)
            used += width + GAP_X
    return rows


def _size(modules: Sequence[str], name: str) -> tuple[float, float, int]:
    letters = min(NAME_LETTERS, max(len(short_name(module, name)) for module in modules))
    column = letters * LETTER + 24
    columns = min(max(1, round((len(modules) / 5) ** 0.75)), max(1, int((WIDTH - PAD) // column)), len(modules))
    rows = -(-len(modules) // columns)
    title = (min(len(name), 34) + len(str(len(modules))) + 2) * (LETTER + 0.6) + 2 * PAD
    return max(columns * column + PAD, title), HEAD + rows * ROW + 8, columns


def short_name(module: str, package: str) -> str:
    """A module's name inside its package's box."""
    return "__init__" if module == package else module.removeprefix(f"{package}.")
