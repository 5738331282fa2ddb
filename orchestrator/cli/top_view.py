"""How `top` draws the fleet. What comes from goals and users is neutralised and never read as markup."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output

if TYPE_CHECKING:
    from orchestrator.operate.picture import Picture

_MIB: Final = 1_048_576
_BAR: Final = 20
_BEHIND: Final = 10
"""Lines that everything but the goals needs, at least."""


def frame(picture: Picture, note: str = "", rows: int | None = -1) -> Group:
    """One picture; `rows` goals at most, None for all of them, -1 for as many as the terminal has room for."""
    if rows == -1:
        others = len(picture.fleet.workers) + len(picture.queues) + len(picture.accounts)
        rows = max(3, shutil.get_terminal_size().lines - others - _BEHIND)
    parts: list[Text | Table] = [Text.assemble(*_head(picture))]
    parts += _stops(picture)
    parts.append(
        _table(("goal", "state", "ended", "", "run", "ready", "wait", "fail", "time", "owner"), _goals(picture, rows))
    )
    if rows is not None and picture.open > rows:
        parts.append(Text(f"and {picture.open - rows:,} more open goals", "dim"))
    parts.append(_table(("worker", "", "busy", "queues", "heard"), _workers(picture)))
    if picture.queues:
        parts.append(_table(("queue", "messages", "oldest", "workers"), _queues(picture)))
    if picture.accounts:
        parts.append(_table(("model account", "in flight", "waiting", "longest", ""), _accounts(picture)))
    if note:
        parts.append(Text(note, "yellow"))
    return Group(*parts)


def _head(picture: Picture) -> Iterator[str | tuple[str, str]]:
    fleet = picture.fleet
    slots, busy = sum(one.slots for one in fleet.alive), sum(len(one.holds) for one in fleet.alive)
    yield output.clock(picture.at), "bold"
    yield f"  {picture.open:,} open goals, {len(fleet.alive)} workers, {busy}/{slots} slots busy, "
    yield f"{picture.memory_bytes / _MIB:.0f} MiB in Redis"
    if fleet.beat_late:
        yield "  beat does not tick", "red"
    if picture.poison:
        yield f"  {picture.poison} poison messages", "yellow"


def _stops(picture: Picture) -> Iterator[Text]:
    from orchestrator.operate.words import by

    for name, who in picture.fleet.holds.items():
        what = "the fleet is stopped" if name == "fleet" else f"{name.replace(':', ' ', 1)} is held"
        yield Text(output.one_line(f"{what}{by(who, picture.fleet.now_ms)}"), "yellow")


def _goals(picture: Picture, rows: int | None) -> Iterator[Sequence[Text | str]]:
    for row in islice(picture.goals, rows):
        full = round(_BAR * row.ended / row.total) if row.total else 0
        bar = Text.assemble(("█" * full, "green"), ("░" * (_BAR - full), "dim"))
        yield (
            output.one_line(row.goal), Text(row.state, output.COLOURS.get(row.state, "")), f"{row.ended:,}/{row.total:,}", bar,
            f"{row.running:,}", f"{row.ready:,}", f"{row.waiting:,}", Text(f"{row.failed:,}", "red" if row.failed else ""),
            output.duration(row.seconds), output.one_line(row.owner, 20),
        )  # fmt: skip


def _workers(picture: Picture) -> Iterator[Sequence[Text | str]]:
    for one in picture.fleet.workers:
        heard = output.duration(max(0.0, (picture.fleet.now_ms - one.heard_ms) / 1000))
        state = Text("alive", "green") if one.alive else Text("silent", "red")
        yield (
            output.one_line(one.name),
            state,
            f"{len(one.holds)}/{one.slots}",
            output.one_line(", ".join(one.queues), 40),
            heard,
        )


def _queues(picture: Picture) -> Iterator[Sequence[Text | str]]:
    for one in picture.queues:
        yield (
            output.one_line(one.queue),
            f"{one.messages:,}",
            output.duration(one.oldest),
            str(len(picture.fleet.serving(one.queue))),
        )


def _accounts(picture: Picture) -> Iterator[Sequence[Text | str]]:
    from orchestrator.operate.why_model import closed

    for name, one in picture.accounts.items():
        reason = closed(one)
        longest = max((flow.seconds for flow in one.flows), default=0.0)
        told = Text(output.one_line(reason.text, 80), "yellow") if reason else ""
        flying = f"{one.usage['concurrent'].used:,}"
        yield output.one_line(name), flying, f"{one.waiting:,}", output.duration(longest) if one.waiting else "-", told


def _table(head: Sequence[str], rows: Iterable[Sequence[Text | str]]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", expand=False)
    for name in head:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table
