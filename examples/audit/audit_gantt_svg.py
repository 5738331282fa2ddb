"""The run as inline SVG: a lane a worker, a bar an attempt, the critical path above, kills as lines across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audit_markup import Markup, tag
from audit_run import Attempt, Outcome, RunRecord, Step, attempts, critical_path, map_of, process_of, span

WIDTH: Final = 1120.0
LEFT: Final = 168.0
RIGHT: Final = 14.0
TOP: Final = 46.0
LANE: Final = 30.0
BAR: Final = 18.0
MAX_LANES: Final = 24
PALETTE: Final = 9
CALLS: Final = "Model calls"


def phases(record: RunRecord) -> list[str]:
    """The kinds of work of a run in the order in which they began; the items of a map count as the map, and
    model calls as one."""
    return list(dict.fromkeys(phase_of(run.node, record) for run in attempts(record)))


def phase_of(node: str, record: RunRecord) -> str:
    """What a node counts as."""
    if any(call.node == node for call in record.calls):
        return CALLS
    return map_of(node, record.states) or node


def gantt_svg(record: RunRecord) -> Markup:
    """The drawing. Attempts that were lost with their worker are hatched."""
    runs = attempts(record)
    begin, end = span(record)
    lanes = lanes_of(runs)
    shown = list(dict.fromkeys(lanes))[:MAX_LANES]
    scale = Scale(begin, max(end, begin + 1e-3))
    height = TOP + LANE * (len(shown) + 1) + 8
    colour = {phase: f"p{place % PALETTE}" for place, phase in enumerate(phases(record))}
    label = f"{len(runs)} attempts on {len(shown)} workers in {end - begin:.2f} seconds"
    return tag(
        "svg",
        _hatch(),
        axis(scale, height),
        _lane("critical path", 0),
        [_lane(lane, place + 1) for place, lane in enumerate(shown)],
        [_path_bar(step, record, colour, scale) for step in critical_path(record)],
        [
            _bar(run, shown.index(lane) + 1, record, colour, scale)
            for run, lane in zip(runs, lanes, strict=True)
            if lane in shown
        ],
        [_kill_line(kill.name, scale.x(kill.at), height) for kill in record.kills],
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}", class_="gantt", role="img", aria_label=label,
    )  # fmt: skip


def lanes_of(runs: Sequence[Attempt]) -> list[str]:
    """The lane of each attempt: its worker, with a number where one worker runs several nodes at a time."""
    free: dict[str, list[float]] = {}
    lanes = []
    for run in runs:
        worker = process_of(run.worker)
        slots = free.setdefault(worker, [])
        slot = next((place for place, until in enumerate(slots) if until <= run.start + 1e-4), len(slots))
        slots[slot : slot + 1] = [run.end]
        lanes.append(f"{worker} ({slot + 1})" if slot else worker)
    return lanes


class Scale:
    """Redis time to the drawing's horizontal place."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin, self.seconds = begin, end - begin

    def x(self, at: float) -> float:
        """The place of a moment."""
        share = min(1.0, max(0.0, (at - self.begin) / self.seconds))
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def ticks(seconds: float, about: int = 10) -> list[float]:
    """Round moments from 0 to `seconds`, roughly `about` of them."""
    step = 10.0**-6
    while seconds / step > about:
        for factor in (2.0, 2.5, 2.0):
            step *= factor
            if seconds / step <= about:
                break
    return [place * step for place in range(int(seconds / step + 1e-9) + 1)]


def axis(scale: Scale, height: float) -> list[Markup]:
    """Lines at round moments, with their names."""
    drawn = []
    for moment in ticks(scale.seconds):
        x = scale.x(scale.begin + moment)
        drawn.append(tag("line", x1=x, x2=x, y1=TOP - 8, y2=height - 6, class_="tick"))
        drawn.append(tag("text", f"{moment:g} s", x=x, y=TOP - 13, class_="dim middle"))
    return drawn


def _lane(name: str, place: int) -> Markup:
    middle = TOP + LANE * place + LANE / 2
    shown = name if len(name) <= 24 else f"{name[:9]}…{name[-14:]}"
    return tag(
        "g",
        tag("title", name),
        tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=middle, y2=middle, class_="lane"),
        tag("text", shown, x=LEFT - 12, y=middle + 4, class_="end strong" if not place else "end"),
    )


def _bar(run: Attempt, lane: int, record: RunRecord, colour: dict[str, str], scale: Scale) -> Markup:
    phase = phase_of(run.node, record)
    lost = run.outcome is Outcome.LOST
    x1, x2 = scale.x(run.start), scale.x(run.end)
    words = (
        f"{record.titles.get(run.node) or run.node}, attempt {run.number}: {run.outcome}, {_time(run.end - run.start)}"
    )
    return tag(
        "rect",
        tag("title", words),
        x=x1, y=TOP + LANE * lane + (LANE - BAR) / 2, width=max(1.6, x2 - x1 - 0.4), height=BAR, rx=2,
        class_="bar lost" if lost else f"bar {colour.get(phase, 'p0')}",
    )  # fmt: skip


def _path_bar(step: Step, record: RunRecord, colour: dict[str, str], scale: Scale) -> Markup:
    phase = phase_of(step.node, record)
    y = TOP + (LANE - BAR) / 2
    ready, start, end = scale.x(step.ready), scale.x(step.start), scale.x(step.end)
    words = f"{record.titles.get(step.node) or step.node}: waited {_time(step.waited)}, ran {_time(step.ran)}"
    waited = tag("rect", x=ready, y=y + BAR / 2 - 2, width=start - ready, height=4, class_="waited")
    ran = tag(
        "rect", x=start, y=y, width=max(1.6, end - start), height=BAR, rx=2, class_=f"bar {colour.get(phase, 'p0')}"
    )
    return tag("g", tag("title", words), waited if start - ready > 0.5 else None, ran)


def _kill_line(name: str, x: float, height: float) -> Markup:
    words = f"SIGKILL {name}"
    near_end = x > WIDTH - 180
    return tag(
        "g",
        tag("line", x1=x, x2=x, y1=8, y2=height - 4, class_="kill"),
        tag("text", words, x=x - 6 if near_end else x + 6, y=15, class_="killed end" if near_end else "killed"),
    )


def _hatch() -> Markup:
    line = tag("path", d="M-1 1l2-2M0 6l6-6M5 7l2-2", class_="hatching")
    return tag("defs", tag("pattern", line, id="hatch", width=6, height=6, patternUnits="userSpaceOnUse"))


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def legend(record: RunRecord, runs: Sequence[Attempt]) -> Markup:
    """What the colours mean; the hatching only where something was lost."""
    colours = [
        tag("li", tag("i", class_=f"swatch p{place % PALETTE}"), record.titles.get(phase) or phase)
        for place, phase in enumerate(phases(record))
    ]
    if any(run.outcome is Outcome.LOST for run in runs):
        colours.append(tag("li", tag("i", class_="swatch lost"), "lost with its worker, run again"))
    return tag("ul", colours, class_="legend")
