"""Stay with a goal until it ends: read its events, keep the tally, feed the view; then say how it ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import again
from orchestrator.cli.goals import header
from orchestrator.cli.tally import Tally, map_of
from orchestrator.cli.views import View
from orchestrator.domain.errors import RedisNotReachable
from orchestrator.domain.states import NodeState

if TYPE_CHECKING:
    from orchestrator.domain.events import Event
    from orchestrator.domain.views import GoalStatus
    from orchestrator.wiring import Chordal

PAGE: Final = 1000
_CALL: Final = re.compile(r"(.+)\.[a-z]\d+\.\d+")
"""Names of nodes that an agent's turns add."""
POLL_SECONDS: Final = 0.25
PACE_SECONDS: Final = 0.05
"""At most one read in this time: a busy goal has thousands of events a second, and reading each alone costs a core."""
IDLE_SECONDS: Final = 10.0
"""After so long without an event the goal's record is read: the tally is only as good as the events that arrived."""
PATIENCE_SECONDS: Final = 60.0
"""How long Redis may be away before the command gives up. Workers wait and go on; so does whoever watches."""


class Parting(Enum):
    """Why following ended."""

    OVER = auto()
    TIMEOUT = auto()
    CTRL_C = auto()


@dataclass
class Follower:
    """Follows one goal, once. `elapsed_seconds` is how old the run was when following began."""

    client: Chordal
    tally: Tally
    view: View
    elapsed_seconds: float = 0.0
    timeout_seconds: float | None = None
    give_up: Callable[[], bool] = bool
    """Asked while Redis is away: whether it is certain that it will not come back."""
    each_second: Callable[[], None] | None = None
    """Called once a second while Redis answers; it may raise RedisNotReachable."""

    _cursor: str = field(default="0", init=False)
    _away: float | None = field(default=None, init=False)
    """Since when Redis does not answer. All times here are of the monotonic clock."""
    _heard: float = field(default_factory=time.monotonic, init=False)
    _checked: float = field(default_factory=time.monotonic, init=False)
    _check_cost: float = field(default=0.0, init=False)
    _ticked: float = field(default_factory=time.monotonic, init=False)

    def run(self) -> Parting:
        """Return when the goal has ended, the time is up, or Ctrl-C was pressed; the goal itself is left alone.

        Raises GoalNotFound where it was removed and RedisNotReachable where Redis stayed away for a minute.
        """
        began = time.monotonic()
        try:
            while True:
                batch = self._read()
                self.view.draw(self.tally, batch, self.elapsed_seconds + time.monotonic() - began)
                caught_up = len(batch) < PAGE and self._away is None
                if caught_up and self.tally.over:
                    return Parting.OVER
                if self.timeout_seconds is not None and time.monotonic() - began >= self.timeout_seconds:
                    return Parting.TIMEOUT
                self._tick()
                if caught_up:
                    self._check()
                    time.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - self._heard)))
        except KeyboardInterrupt:
            return Parting.CTRL_C
        finally:
            self.view.close()

    def _read(self) -> list[Event]:
        try:
            batch = self.client.events(self.tally.goal, after=self._cursor, block_seconds=POLL_SECONDS, limit=PAGE)
            self._away = None
        except RedisNotReachable:
            now = time.monotonic()
            self._away = self._away or now
            if now - self._away > PATIENCE_SECONDS or self.give_up():
                raise
            self.view.note(f"Redis does not answer for {now - self._away:.0f} s; workers wait for it, and so does this")
            time.sleep(POLL_SECONDS)
            return []
        for event in batch:
            self.tally.apply(event)
        if batch:
            self._cursor, self._heard = batch[-1].id, time.monotonic()
        return list(batch)

    def _tick(self) -> None:
        now = time.monotonic()
        if self.each_second is None or self._away is not None or now - self._ticked < 1.0:
            return
        self._ticked = now
        try:
            self.each_second()
        except RedisNotReachable:
            return  # the next read says so

    def _check(self) -> None:
        """Read the goal where events do not tell enough, and all of its nodes never so often that this costs much."""
        now = time.monotonic()
        try:
            if self.tally.stale and now - self._checked > max(1.0, 10 * self._check_cost):
                self.tally.refresh(self.client.status(self.tally.goal))
                self._checked = time.monotonic()
                self._check_cost = self._checked - now
            elif now - self._heard > IDLE_SECONDS:
                self.tally.state = self.client.summary(self.tally.goal).state
                self._heard = now
        except RedisNotReachable:
            return  # the next read says so


def epilogue(status: GoalStatus, way: str = "", retry: bool = True) -> None:
    """Print how a goal ended: the head, the failing nodes with the command that retries each, the last outputs.

    `way` is the command that starts the stack that has stopped, where it was the run's own.
    """
    header(status)
    failed = [node for node in status.nodes.values() if node.state is NodeState.FAILED]
    for node in failed[:5]:
        click.echo(f"\n{click.style(node.id, bold=True)} {output.state(node.state)} at attempt {node.attempt}:")
        click.echo(_indented(node.error or "no reason was given"))
        if retry:
            click.echo(f"  retry with: {again('retry', status.goal_id, '--node', node.id)}")
    if len(failed) > 5:
        click.echo(f"\n... and {len(failed) - 5:,} more failed nodes: {again('status', status.goal_id)}")
    if failed and retry and way:
        click.echo(f"The stack of this run stops now; start one like it first:\n  {way}")
    if not failed:
        _last_outputs(status)


def _last_outputs(status: GoalStatus) -> None:
    """The outputs of the few nodes that nothing follows: the result of the goal."""
    sources = {source for source, _ in status.edges}
    ends = [node for node in status.nodes.values() if node.id not in sources and node.output is not None]
    last = [node for node in ends if _owner_of(node.id) not in status.nodes]
    for node in last if len(last) <= 3 else ():
        click.echo(f"{output.one_line(node.id)}: {output.brief(_said(node.output))}")


def _owner_of(node: str) -> str:
    """The map whose item a node would be, or the agent's node whose call, by its id; empty for other forms."""
    call = _CALL.fullmatch(node)
    return call[1] if call else map_of(node)


def _said(value: Any) -> Any:
    """An output; of an agent's the answer, without its turns and tokens."""
    return value["output"] if isinstance(value, dict) and value.keys() >= {"text", "output", "turns"} else value


def _indented(text: str, most_lines: int = 12) -> str:
    lines = output.safe(text).rstrip().splitlines() or [""]
    shown = lines if len(lines) <= most_lines else [*lines[:3], "...", *lines[-(most_lines - 4) :]]
    return "\n".join(f"  {line}" for line in shown)
