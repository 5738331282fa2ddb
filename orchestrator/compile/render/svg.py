"""A plan as one self-contained SVG, light or dark as the reader's page is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from orchestrator.compile.plan import Plan
from orchestrator.compile.render.layout import BOX_HEIGHT, Layout, Point, layout
from orchestrator.compile.render.picture import Arrow, Box, Picture, picture
from orchestrator.compile.render.words import clipped
from orchestrator.domain.dag import Goal

MOST_BOXES: Final = 500
MOST_ARROWS: Final = 3_000
_MARGIN: Final = 12.0
_NOTE_HEIGHT: Final = 22.0
_MOST_CHARACTERS: Final = 34
_MOST_ON_ARROW: Final = 24
_CHARACTER: Final = 7.2
_PADDING: Final = 24.0

_SIGNS: Final = {
    "DONE": "✓",
    "FAILED": "✗",
    "RUNNING": "▶",
    "WAITING": "◷",
    "SKIPPED": "–",
    "DROPPED": "–",
    "CANCELLED": "⊘",
}
_STYLE: Final = """
.dagplan{--ink:#1f2328;--soft:#59636e;--line:#8c959f;--box:#f6f8fa;--edge:#6e7781;--path:#0969da;--bad:#cf222e;--good:#1a7f37;--wait:#9a6700;\
font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){.dagplan{--ink:#e6edf3;--soft:#9198a1;--line:#6e7681;--box:#161b22;--edge:#848d97;--path:#58a6ff;--bad:#ff7b72;\
--good:#3fb950;--wait:#d29922}}
.dagplan text{fill:var(--ink)} .dagplan .note{fill:var(--soft)} .dagplan .on{fill:var(--soft);font-size:10px}
.dagplan rect{fill:var(--box);stroke:var(--edge)} .dagplan .critical rect{stroke:var(--path);stroke-width:2.5}
.dagplan .DONE text.sign{fill:var(--good)} .dagplan .FAILED text.sign{fill:var(--bad)} .dagplan .FAILED rect{stroke:var(--bad)}
.dagplan .RUNNING text.sign{fill:var(--path)} .dagplan .WAITING text.sign{fill:var(--wait)}
.dagplan .SKIPPED,.dagplan .DROPPED,.dagplan .CANCELLED{opacity:.55}
.dagplan .arrow{fill:none;stroke:var(--line)} .dagplan .head{fill:var(--line)}
.dagplan .failed .arrow{stroke:var(--bad);stroke-dasharray:5 3} .dagplan .failed .head{fill:var(--bad)}
.dagplan .finished .arrow{stroke-dasharray:2 3}
.dagplan .critical .arrow{stroke:var(--path);stroke-width:2} .dagplan .critical .head{fill:var(--path)}
"""


def svg(plan: Plan, goal: Goal, states: Mapping[str, str] | None = None) -> str:
    """The drawing; each box and each arrow that says something has a tooltip. `states`: node states by id, shown if given."""
    shown = picture(plan, MOST_BOXES, MOST_ARROWS)
    labels = [clipped(box.label, _MOST_CHARACTERS) for box in shown.boxes]
    widths = [len(label) * _CHARACTER + _PADDING + (16 if states else 0) for label in labels]
    rooms = [len(clipped(arrow.label, _MOST_ON_ARROW)) * _CHARACTER for arrow in shown.arrows]
    place = layout(widths, [(arrow.source, arrow.target) for arrow in shown.arrows], rooms)
    width = place.width + 2 * _MARGIN
    height = place.height + 2 * _MARGIN + (_NOTE_HEIGHT if shown.note else 0)
    name = goal.title or goal.goal_id or "goal"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="dagplan" role="img" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-_MARGIN:.0f} {-_MARGIN:.0f} {width:.0f} {height:.0f}">',
        f"<title>{_safe(f'Plan of {name}')}</title>",
        f"<desc>{_safe(_described(plan, shown))}</desc>",
        f"<style>{_STYLE}</style>",
        *_arrows(shown.arrows, place),
        *_boxes(shown.boxes, labels, widths, place.corners, states or {}),
        *_said(shown.arrows, place),
    ]
    if shown.note:
        lines.append(f'<text class="note" x="0" y="{place.height + _NOTE_HEIGHT:.0f}">{_safe(shown.note)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _described(plan: Plan, shown: Picture) -> str:
    path = " -> ".join(plan.critical_path[:20]) + (" ..." if len(plan.critical_path) > 20 else "")
    return f"{len(plan.order):,} nodes, {len(plan.dag.edges):,} edges. Critical path: {path}. {shown.note}".rstrip()


def _boxes(
    boxes: Sequence[Box],
    labels: Sequence[str],
    widths: Sequence[float],
    corners: Sequence[Point],
    states: Mapping[str, str],
) -> Iterator[str]:
    for box, label, width, (x, y) in zip(boxes, labels, widths, corners, strict=True):
        state = states.get(box.nodes[0], "") if len(box.nodes) == 1 else ""
        classes = " ".join(part for part in (box.kind, "critical" if box.critical else "", state) if part)
        about = box.about + (f" [{state}]" if state else "")
        tooltip = about if box.label in box.about else f"{box.label}\n{about}"
        rounding = {"wait": 15, "approval": 15, "map": 0, "goal": 0}.get(box.kind, 5)
        sign = _SIGNS.get(state)
        yield f'<g class="{_safe(classes)}"><title>{_safe(tooltip)}</title>'
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX_HEIGHT:.0f}" rx="{rounding}"/>'
        if box.kind in ("map", "goal"):  # a second line on the left: more nodes are inside
            yield f'<rect x="{x:.1f}" y="{y:.1f}" width="4" height="{BOX_HEIGHT:.0f}"/>'
        if sign:
            yield f'<text class="sign" x="{x + 10:.1f}" y="{y + 19:.1f}">{sign}</text>'
        yield f'<text x="{x + (26 if sign else _PADDING / 2):.1f}" y="{y + 19:.1f}">{_safe(label)}</text></g>'


def _arrows(arrows: Sequence[Arrow], place: Layout) -> Iterator[str]:
    # The critical path last, so that it lies on top.
    for arrow, route in sorted(zip(arrows, place.routes, strict=True), key=lambda pair: pair[0].critical):
        classes = " ".join(part for part in (arrow.on, "critical" if arrow.critical else "") if part)
        x, y = route[-1]
        path = f"M{route[0][0]:.1f} {route[0][1]:.1f}" + "".join(_curve(*pair) for pair in _pairs(route))
        head = f"M{x:.1f} {y:.1f}l-7 -3.5v7z"
        yield f'<g class="{_safe(classes)}">' + (f"<title>{_safe(arrow.label)}</title>" if arrow.label else "")
        yield f'<path class="arrow" d="{path}"/><path class="head" d="{head}"/>'
        yield "</g>"


def _said(arrows: Sequence[Arrow], place: Layout) -> Iterator[str]:
    for arrow, route in zip(arrows, place.routes, strict=True):
        if arrow.label:
            (x0, y0), (x1, y1) = route[0], route[1]
            text = _safe(clipped(arrow.label, _MOST_ON_ARROW))
            yield f'<text class="on" text-anchor="middle" x="{(x0 + x1) / 2:.1f}" y="{(y0 + y1) / 2 - 4:.1f}">{text}</text>'


def _pairs(route: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Consecutive points; the last one short of the box, where the arrow's head is."""
    for index in range(1, len(route)):
        x, y = route[index]
        yield route[index - 1], (x - 6, y) if index == len(route) - 1 else (x, y)


def _curve(start: Point, end: Point) -> str:
    (x0, y0), (x1, y1) = start, end
    if abs(y0 - y1) < 0.5:
        return f"L{x1:.1f} {y1:.1f}"
    middle = (x0 + x1) / 2
    return f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"


def _safe(text: str) -> str:
    """Text for XML: escaped, and without the control characters that XML cannot hold."""
    return escape("".join(char if char >= " " or char == "\n" else " " for char in text))
