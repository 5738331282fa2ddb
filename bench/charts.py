"""Plots as self-contained SVG, light or dark as the reader's page is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
_LEFT, _RIGHT, _TOP, _ROW, _BAR = 132, 168, 52, 28, 16
_PANEL_HEIGHT: Final = 300
# The background is drawn too: an image does not know the page that it is shown on.
_STYLE: Final = """
.plot{--page:#fff;--ink:#1f2328;--soft:#59636e;--grid:#d8dee4;--other:#8c959f;--ours:#0969da;--bad:#cf222e;\
font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){.plot{--page:#0d1117;--ink:#e6edf3;--soft:#9198a1;--grid:#30363d;--other:#6e7681;\
--ours:#58a6ff;--bad:#ff7b72}}
.plot .page{fill:var(--page)} .plot text{fill:var(--ink)} .plot .title{font-size:14px;font-weight:600}
.plot .soft{fill:var(--soft)} .plot .end{text-anchor:end} .plot .middle{text-anchor:middle}
.plot .grid{stroke:var(--grid)} .plot .other{fill:var(--other);stroke:var(--other)} .plot .ours{fill:var(--ours);stroke:var(--ours)}
.plot .loose{fill-opacity:.15;stroke-dasharray:3 2} .plot .spread{stroke:var(--ink);stroke-width:1.5}
.plot .line{fill:none;stroke:var(--ours);stroke-width:2} .plot .limit{stroke:var(--bad);stroke-dasharray:5 4} .plot .bad{fill:var(--bad)}
.plot .strong{font-weight:600}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar."""

    label: str
    value: float
    text: str
    """What stands at its end."""
    ours: bool = False
    loose: bool = False
    """Drawn hollow: it does not keep what the others keep."""
    least: float | None = None
    most: float | None = None
    nothing: bool = False
    """There is no value: only the text is drawn, below the others."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A line over the sizes of goals."""

    title: str
    points: Sequence[tuple[int, float, str]]
    """(size, value, what stands at the point)"""
    limit: float
    limit_text: str


def bars(title: str, about: str, made: Sequence[Bar], unit: str, linear: bool = False) -> str:
    """Bars from the smallest to the largest, on a logarithmic axis or on one that begins at 0."""
    made = sorted(made, key=lambda bar: (bar.nothing, bar.value))
    values = [
        edge for bar in made if not bar.nothing for edge in (bar.value, bar.least or bar.value, bar.most or bar.value)
    ]
    bottom = _TOP + len(made) * _ROW
    # The shortest bar should still be seen as one: a logarithmic axis begins well below it.
    low, high = (0, max(values)) if linear else (math.floor(math.log10(min(values) / 1.5)), math.log10(max(values)))

    def x(value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * ((value if linear else math.log10(value)) - low) / (high - low)

    lines = []
    step = _nice(high / 6) if linear else 0.0
    for tick in [step * number for number in range(int(high / step) + 1)] if linear else _ticks(low, high):
        lines.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP - 4}" y2="{bottom + 4}"/>')
        lines.append(f'<text class="soft middle" x="{x(tick):.1f}" y="{bottom + 20}">{tick:g} {unit}</text>')
    for at, bar in enumerate(made):
        lines += _bar(bar, _TOP + at * _ROW, x)
    return _page(title, about, bottom + 34, [_title(title, about), *lines])


def _bar(bar: Bar, top: float, x: Callable[[float], float]) -> Iterator[str]:
    kind = ("ours" if bar.ours else "other") + (" loose" if bar.loose else "")
    middle, right = top + _ROW / 2, _LEFT + 0.0
    strong = " strong" if bar.ours else ""
    yield f'<text class="end{strong}" x="{_LEFT - 8}" y="{middle + 4:.1f}">{_safe(bar.label)}</text>'
    if not bar.nothing:
        right = x(bar.value)
        width = f'width="{right - _LEFT:.1f}" height="{_BAR}"'
        yield f'<rect class="{kind}" x="{_LEFT}" y="{middle - _BAR / 2:.1f}" {width} rx="2"/>'
    if bar.least is not None and bar.most is not None and bar.most > bar.least:
        yield f'<path class="spread" d="M{x(bar.least):.1f} {middle:.1f}H{x(bar.most):.1f}"/>'
        right = max(right, x(bar.most))
    yield f'<text class="{"strong" if bar.ours else "plain"}" x="{right + 7:.1f}" y="{middle + 4:.1f}">{_safe(bar.text)}</text>'


def _ticks(low: int, high: float) -> list[float]:
    decades = [10.0**power for power in range(low, math.floor(high + 1e-9) + 1)]
    if len(decades) > 2:
        return decades
    return [tick for decade in decades for tick in (decade, 2 * decade, 5 * decade) if math.log10(tick) <= high]


def panels(title: str, about: str, made: Sequence[Panel]) -> str:
    """Lines beside each other, the size of the goal on a logarithmic axis."""
    lines = [_title(title, about)]
    each = WIDTH / len(made)
    for at, panel in enumerate(made):
        lines += _panel(panel, at * each + 56, each - 84)
    return _page(title, about, _PANEL_HEIGHT + 50, lines)


def _panel(panel: Panel, left: float, room: float) -> Iterator[str]:
    top, bottom = _TOP + 34, _PANEL_HEIGHT + 10
    sizes = [math.log10(size) for size, _, _ in panel.points]
    span = max(sizes[-1] - sizes[0], 0.01)
    step = _nice(max(panel.limit, *(value for _, value, _ in panel.points)) * 1.15 / 4)
    high = step * math.ceil(max(panel.limit, *(value for _, value, _ in panel.points)) * 1.1 / step)

    def y(value: float) -> float:
        return bottom - (bottom - top) * max(value, 0.0) / high

    def x(size: int) -> float:
        return left + 26 + (room - 52) * (math.log10(size) - sizes[0]) / span

    yield f'<text class="strong" x="{left - 40:.1f}" y="{top - 16}">{_safe(panel.title)}</text>'
    for number in range(round(high / step) + 1):
        value = number * step
        yield f'<line class="grid" x1="{left:.1f}" x2="{left + room:.1f}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        yield f'<text class="soft end" x="{left - 6:.1f}" y="{y(value) + 4:.1f}">{value:g}</text>'
    at = y(panel.limit)
    yield f'<line class="limit" x1="{left:.1f}" x2="{left + room:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
    yield f'<text class="bad end" x="{left + room:.1f}" y="{at - 6:.1f}">{_safe(panel.limit_text)}</text>'
    path = "L".join(f"{x(size):.1f} {y(value):.1f}" for size, value, _ in panel.points)
    yield f'<path class="line" d="M{path}"/>'
    for size, value, text in panel.points:
        yield f'<circle class="ours" cx="{x(size):.1f}" cy="{y(value):.1f}" r="4"/>'
        yield f'<text class="middle strong" x="{x(size):.1f}" y="{y(value) + 20:.1f}">{_safe(text)}</text>'
        yield f'<text class="soft middle" x="{x(size):.1f}" y="{bottom + 18}">{size:,}</text>'
    yield f'<text class="soft middle" x="{left + room / 2:.1f}" y="{bottom + 36}">nodes of the goal</text>'


def _nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def _title(title: str, about: str) -> str:
    return (
        f'<text class="title" x="16" y="22">{_safe(title)}</text><text class="soft" x="16" y="40">{_safe(about)}</text>'
    )


def _page(title: str, about: str, height: float, lines: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}">'
    )
    text = [head, f"<title>{_safe(title)}</title>", f"<desc>{_safe(about)}</desc>", f"<style>{_STYLE}</style>"]
    return "\n".join([*text, f'<rect class="page" width="{WIDTH}" height="{height:.0f}"/>', *lines, "</svg>"]) + "\n"


def _safe(text: str) -> str:
    return escape(text)
