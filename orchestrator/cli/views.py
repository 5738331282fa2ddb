"""How the progress of a goal is shown, always on stderr: a live display, plain lines, NDJSON events, or nothing."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol

import click

from orchestrator.cli import output
from orchestrator.cli.context import again
from orchestrator.cli.tally import Row, Tally
from orchestrator.domain.states import NODE_TERMINAL, NodeState

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

    from orchestrator.domain.events import Event

KINDS: Final = ("auto", "tty", "plain", "json")
ICONS: Final = {
    NodeState.DONE: "✓",
    NodeState.FAILED: "✗",
    NodeState.RUNNING: "▶",
    NodeState.WAITING: "…",
    NodeState.SKIPPED: "↷",
    NodeState.DROPPED: "↓",
    NodeState.CANCELLED: "⊘",
}
_BAR, _ROLES, _FAILURES = 24, 10, 20


class View(Protocol):
    """Something that shows a tally."""

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:
        """Show where the goal stands now, and what has happened since the last call."""

    def note(self, text: str) -> None:
        """Say something that is not an event and passes, such as that Redis does not answer."""

    def close(self) -> None:
        """Leave the screen in order. May be called twice."""


class Screen(View, Protocol):
    """A view on which something can stay."""

    def say(self, text: str) -> None:
        """Say something once that is not an event, and leave it where it can be read."""


class JsonView:
    """Each event as one line of JSON."""

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:  # noqa: ARG002
        for event in events:
            click.echo(json.dumps(event.as_json(), allow_nan=False), err=True)

    def note(self, text: str) -> None:
        click.echo(json.dumps({"type": "cli.note", "message": text}), err=True)

    say = note

    def close(self) -> None:
        pass


class PlainView:
    """At most one line a second, and only when something has changed; each failure and approval once, at once."""

    def __init__(self) -> None:
        self._shown = ""
        self._at = self._noted = float("-inf")
        self._failures = 0

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:
        for event in events:
            self._mention(tally, event, elapsed_seconds)
        standing = f"{tally.state}: {output.counted(tally.counts)}"
        if standing == self._shown or (time.monotonic() - self._at < 1.0 and not tally.over):
            return
        self._shown, self._at = standing, time.monotonic()
        _at(elapsed_seconds, f"{tally.goal} {standing}{_left(tally, elapsed_seconds)}")

    def _mention(self, tally: Tally, event: Event, elapsed_seconds: float) -> None:
        row = tally.rows.get(event.node or "")
        if row is None or event.type not in ("node.failed", "node.waiting"):
            return
        text = ""
        if event.type != "node.waiting":
            self._failures += 1
            if self._failures <= _FAILURES:
                text = f"{event.node} FAILED: {output.one_line(row.remark, 300)}"
        elif "approval" in row.remark:
            text = f"{event.node} waits for approval: {again('approve', tally.goal, str(event.node))}"
        if text:
            _at(elapsed_seconds, text)

    def note(self, text: str) -> None:
        if time.monotonic() - self._noted >= 5.0:
            self._noted = time.monotonic()
            click.echo(text, err=True)

    def say(self, text: str) -> None:
        click.echo(output.safe(text), err=True)

    def close(self) -> None:
        pass


class TtyView:
    """A display that redraws itself: a line a role, what runs below, elapsed time and time left at the foot."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        self._at = float("-inf")
        self._note = ""

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:  # noqa: ARG002
        if time.monotonic() - self._at >= 0.1:
            self._at = time.monotonic()
            self._live.update(frame(tally, elapsed_seconds, self._note), refresh=True)
        self._note = ""

    def note(self, text: str) -> None:
        self._note = text

    def say(self, text: str) -> None:
        from rich.text import Text

        self._live.console.print(Text(output.safe(text)))  # above the display, which moves down

    def close(self) -> None:
        self._live.stop()


def frame(tally: Tally, elapsed_seconds: float, note: str = "") -> Group:
    """One picture of the live display. Everything that comes from a goal is neutralised and never read as markup."""
    from rich.console import Group
    from rich.text import Text

    title = f"  {output.one_line(tally.title, 60)}" if tally.title and tally.title != tally.goal else ""
    head = Text.assemble((tally.goal, "bold"), title, "  ", (tally.state.value, output.COLOURS.get(tally.state, "")))
    largest = sorted(tally.roles, key=lambda role: -sum(tally.roles[role].values()))[:_ROLES]
    shown = {role: counts for role, counts in tally.roles.items() if role in largest and any(counts.values())}
    width = max(map(len, shown), default=0)
    lines = [_role_line(role.ljust(width), counts) for role, counts in shown.items()]
    room = max(3, shutil.get_terminal_size().lines - len(lines) - 5)
    now = max(tally.at, time.time())
    lines += [_running_line(name, row, now) for name, row in islice(tally.running.items(), room)]
    if len(tally.running) > room:
        lines.append(Text(f"  and {len(tally.running) - room:,} more running", "dim"))
    foot = f"{tally.ended:,}/{len(tally.rows):,} nodes, {output.duration(elapsed_seconds)}"
    foot += _left(tally, elapsed_seconds) + (f"  {output.one_line(tally.reason, 100)}" if tally.reason else "")
    lines.append(Text(f"{foot}  (Ctrl-C lets go of it)", "dim"))
    return Group(head, *lines, *([Text(note, "yellow")] if note else []))


def _running_line(name: str, row: Row, now: float) -> Text:
    from rich.text import Text

    title = f"  {output.one_line(row.title, 50)}" if row.title not in ("", name) else ""
    spent = output.duration(max(0.0, now - row.since) if row.since else None)
    return Text.assemble(("▶ ", "cyan"), output.one_line(name), title, (f"  {spent}", "dim"))


def _role_line(role: str, counts: Mapping[NodeState, int]) -> Text:
    from rich.text import Text

    total = sum(counts.values())
    ended = sum(count for state, count in counts.items() if state in NODE_TERMINAL)
    full = round(_BAR * ended / total)
    line = Text.assemble("  ", output.one_line(role), "  ", ("█" * full, "green"), ("░" * (_BAR - full), "dim"))
    line.append(f"  {ended:,}/{total:,}")
    for state, icon in ICONS.items():
        if counts.get(state) and state is not NodeState.DONE:
            line.append(f"  {icon} {counts[state]:,} {state.value.lower()}", output.COLOURS.get(state.value))
    return line


def _at(elapsed_seconds: float, text: str) -> None:
    click.echo(f"{output.duration(elapsed_seconds):>8}  {text}", err=True)


def _left(tally: Tally, elapsed_seconds: float) -> str:
    left = tally.eta_seconds(elapsed_seconds)
    if left is None:
        return ""
    return f", about {f'{ceil(left)} s' if left < 60 else output.duration(left)} left"


def make_view(kind: str) -> Screen:
    """The view of that kind; `auto` is the live display where stderr is a terminal, else plain lines."""
    if kind == "auto":
        kind = "tty" if sys.stderr.isatty() else "plain"
    if kind == "tty":
        return TtyView()
    return JsonView() if kind == "json" else PlainView()
