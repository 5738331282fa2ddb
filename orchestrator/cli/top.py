"""`top`: what the fleet does, live."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, client, connection_options, example, json_option
from orchestrator.domain.errors import RedisNotReachable

WIDTH: Final = 200
"""Of a picture that goes into a pipe."""
_AWAY: Final = "Redis does not answer; this is how it was"


@click.command(cls=Command, epilog=example("chordal top", "chordal top --once", "chordal top --json | jq .goals"))
@click.option("--once", is_flag=True, help="Print one picture and end; so it does where stdout is no terminal.")
@click.option(
    "--every",
    type=click.FloatRange(0.2, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it looks.",
)
@json_option
@connection_options
def top(once: bool, every: float, as_json: bool) -> None:
    """Show open goals, workers, queues, model accounts and beat, again and again until Ctrl-C.

    With --json it prints one picture as one object and ends.
    """
    from orchestrator.operate.picture import take

    operator = client().operator
    picture = take(operator)
    if as_json:
        output.json_line(picture.as_json())
        return
    from rich.console import Console
    from rich.live import Live

    from orchestrator.cli.top_view import frame

    if once or not sys.stdout.isatty():
        width = None if sys.stdout.isatty() else WIDTH
        Console(highlight=False, width=width).print(frame(picture, rows=None))
        return
    with Live(frame(picture), auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(every)
            note = ""
            try:
                picture = take(operator)
            except RedisNotReachable:
                note = _AWAY
            live.update(frame(picture, note), refresh=True)
