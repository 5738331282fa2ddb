"""What goes to the screen: text that cannot steer the terminal, JSON lines, aligned columns, durations."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import click

from orchestrator.domain.states import NodeState

_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, the marks that reorder text, and halves of surrogate pairs."""

COLOURS: Final[Mapping[str, str]] = {
    "DONE": "green",
    "FAILED": "red",
    "RUNNING": "cyan",
    "WAITING": "yellow",
    "PAUSED": "yellow",
    "AWAITING_APPROVAL": "yellow",
    "CANCELLED": "magenta",
    "DROPPED": "magenta",
}
"""States in colour; the word is always there too."""


def safe(text: object) -> str:
    """The text with everything that a terminal would obey made visible (``\\x1b``). Newlines and tabs stay.

    Titles, errors and outputs come from models and users: an escape sequence in them could rewrite the screen.
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], str(text))


def one_line(text: object, limit: int = 0) -> str:
    """`safe` without line breaks, cut to `limit` characters with an ellipsis where a limit is given."""
    flat = safe(text).replace("\n", "\\n").replace("\t", " ")
    return f"{flat[: limit - 1]}…" if limit and len(flat) > limit else flat


def json_line(value: Any) -> None:
    """Print a value as one line of JSON on stdout. ASCII only, so that nothing in it can steer a terminal."""
    click.echo(json.dumps(value, allow_nan=False))


def brief(value: Any, limit: int = 200) -> str:
    """An output on one line, in at most `limit` characters."""
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), limit)


def state(value: StrEnum) -> str:
    """A state in its colour."""
    return click.style(value.value, fg=COLOURS.get(value.value))


def duration(seconds: float | None) -> str:
    """Seconds as people write them: ``0.42 s``, ``12.3 s``, ``4 min 05 s``, ``3 h 07 min``, or ``-``."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(at: float | None) -> str:
    """A Redis time (seconds since 1970) as local date and time, or ``-``."""
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def counted(counts: Mapping[NodeState, int]) -> str:
    """``12 DONE, 2 RUNNING``: the states that occur, as the enum orders them."""
    return ", ".join(f"{counts[key]:,} {key}" for key in NodeState if counts.get(key)) or "no nodes"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head, aligned. On a terminal the last column is cut to the width; in a pipe nothing is."""
    plain = [[click.unstyle(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    room = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1) if sys.stdout.isatty() else 0
    for index, (row, bare) in enumerate(zip((head, *rows), plain, strict=True)):
        cells = [cell + " " * (width - len(text)) for cell, text, width in zip(row, bare, widths, strict=True)]
        cells[-1] = one_line(bare[-1], max(room, 12)) if room and len(bare[-1]) > room else row[-1]
        text = "  ".join(cells).rstrip()
        click.echo(click.style(text, bold=True) if index == 0 else text)
