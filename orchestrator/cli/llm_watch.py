"""`llm watch`: the gauges of the line, live."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count as counter
from typing import TYPE_CHECKING, Final, Protocol

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, connection_options, example, json_option
from orchestrator.cli.llm_accounts import AccountName, Accounts, Amount, Seen
from orchestrator.cli.llm_view import frame, line
from orchestrator.domain.errors import RedisNotReachable

if TYPE_CHECKING:
    from rich.live import Live

SCAN_SECONDS: Final = 10.0
"""How often to look for accounts that are used for the first time: it scans the keys of the whole database."""
PATIENCE_SECONDS: Final = 60.0
"""How long Redis may be away before the command gives up; it must answer at the start."""


@click.command(
    cls=Command,
    epilog=example(
        "chordal llm watch", "chordal llm watch openai --interval 0.5", "chordal llm watch --json --count 10"
    ),
)
@click.argument("account", type=AccountName(), metavar="[ACCOUNT]", required=False)
@click.option(
    "--interval",
    type=Amount(0.1, 3600),
    metavar="SECONDS",
    default=1.0,
    show_default=True,
    help="Pause between looks.",
)
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="End after so many looks; without it, at Ctrl-C."
)
@json_option
@connection_options
def watch(account: str | None, interval: float, count: int | None, as_json: bool) -> None:
    """Watch allowance, use and waiters of each account until Ctrl-C.

    Gauges on a terminal; where stdout is none, a line an account and look; with --json, an object a look.
    """
    accounts = Accounts()
    _Watch(accounts, accounts.choose(account), interval, count).run(_picture(as_json))


class _Watch:
    def __init__(self, accounts: Accounts, names: Sequence[str], interval_seconds: float, count: int | None) -> None:
        self._accounts, self._names = accounts, names
        self._interval, self._count = interval_seconds, count
        self._scanned = self._answered = float("-inf")

    def run(self, picture: Picture) -> None:
        try:
            with picture.shown():
                for number in counter(1):
                    self._look(picture)
                    if number == self._count:
                        return
                    time.sleep(self._interval)
        except KeyboardInterrupt:
            return  # the way to end it

    def _look(self, picture: Picture) -> None:
        now = time.monotonic()
        try:
            if now - self._scanned >= SCAN_SECONDS:
                self._accounts.find_used()
                self._scanned = now
            picture.draw([self._accounts.glance(name) for name in self._names])
            self._answered = time.monotonic()
        except RedisNotReachable:
            if now - self._answered > PATIENCE_SECONDS:
                raise
            picture.note(f"Redis does not answer for {now - self._answered:.0f} s; it is asked again")


class Picture(Protocol):
    """Where the looks go."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Takes the screen, and leaves it in order."""
        ...

    def draw(self, accounts: Sequence[Seen]) -> None:
        """One look."""
        ...

    def note(self, text: str) -> None:
        """Say something else."""
        ...


class _Lines:
    """A line an account, or an object a look."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    @contextmanager
    def shown(self) -> Iterator[None]:
        yield

    def draw(self, accounts: Sequence[Seen]) -> None:
        if self._as_json:
            output.json_line({"at": time.time(), "accounts": [one.as_json() for one in accounts]})
        else:
            for one in accounts:
                click.echo(f"{time.strftime('%H:%M:%S')}  {line(one)}")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        click.echo(text, err=True)


class _Gauges:
    """A display that redraws itself."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live: Live = Live(auto_refresh=False)
        self._last: Sequence[Seen] = ()

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._live:
            yield

    def draw(self, accounts: Sequence[Seen]) -> None:
        self._last = accounts
        self._live.update(frame(accounts), refresh=True)

    def note(self, text: str) -> None:
        self._live.update(frame(self._last, text), refresh=True)


def _picture(as_json: bool) -> Picture:
    return _Lines(as_json) if as_json or not sys.stdout.isatty() else _Gauges()
