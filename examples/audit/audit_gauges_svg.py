"""The account's line over the run as inline SVG, on the time axis of the Gantt above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from audit_calls import Gauge
from audit_gantt_svg import LEFT, RIGHT, WIDTH, Scale, axis
from audit_markup import Markup, tag

TOP: Final = 46.0
ROW: Final = 62.0
AREA: Final = 44.0


def gauges_svg(gauges: Sequence[Gauge], begin: float, end: float) -> Markup:
    """Three rows of steps: calls in flight under what is allowed, calls that wait, tokens of the goal."""
    scale = Scale(begin, max(end, begin + 1e-3))
    height = TOP + 3 * ROW
    allowed = max((gauge.allowed or 0 for gauge in gauges), default=0)
    label = f"calls in flight, waiting calls and tokens at {len(gauges)} moments"
    return tag(
        "svg",
        axis(scale, height),
        _row("in flight", 0, gauges, lambda gauge: gauge.in_flight, scale, end, allowed),
        _row("waiting", 1, gauges, lambda gauge: gauge.waiting, scale, end),
        _row("tokens", 2, gauges, lambda gauge: gauge.tokens, scale, end),
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}", class_="gantt gauges", role="img", aria_label=label,
    )  # fmt: skip


def _row(
    name: str, place: int, gauges: Sequence[Gauge], value: Callable[[Gauge], int], scale: Scale, end: float,
    allowed: int = 0,
) -> Markup:  # fmt: skip
    floor = TOP + ROW * place + AREA + 4
    values = [value(gauge) for gauge in gauges]
    most = max([*values, allowed, 1])
    unit = AREA / most
    words = f"{name}: at most {max(values, default=0):,}" + (f" of {allowed:,}" if allowed else "")
    limit = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=floor - allowed * unit, y2=floor - allowed * unit, class_="limit")
    path = "".join(_steps([gauge.at for gauge in gauges], values, scale, end, floor, unit))
    return tag(
        "g",
        tag("title", words),
        tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=floor, y2=floor, class_="lane"),
        tag("path", d=path, class_=f"area a{place}") if path else None,
        limit if allowed else None,
        tag("text", name, x=LEFT - 12, y=floor - AREA / 2, class_="end"),
        tag("text", words.partition(": ")[2], x=LEFT - 12, y=floor - AREA / 2 + 14, class_="end dim"),
    )


def _steps(
    times: Sequence[float], values: Sequence[int], scale: Scale, end: float, floor: float, unit: float
) -> Iterator[str]:
    """An outline that keeps each value until the next sample."""
    if not times:
        return
    yield f"M{scale.x(times[0]):.1f} {floor:.1f}"
    for at, value in zip(times, values, strict=True):
        yield f"H{scale.x(at):.1f}V{floor - value * unit:.1f}"
    yield f"H{scale.x(end):.1f}V{floor:.1f}Z"
