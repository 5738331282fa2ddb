"""`events`: the history of a goal, once or as it happens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, client, connection_options, example, goal_argument, json_option

if TYPE_CHECKING:
    from orchestrator.domain.events import Event
    from orchestrator.wiring import Chordal

PAGE: Final = 1000
POLL_SECONDS: Final = 1.0
_LAST: Final = frozenset({"goal.done", "goal.failed", "goal.cancelled"})


@click.command(
    cls=Command,
    epilog=example("chordal events g1", "chordal events g1 --follow --json | jq -c 'select(.node == \"fetch\")'"),
)
@goal_argument
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until the goal has ended.")
@click.option("--after", default="0", metavar="ID", help="Only events after this one; ids are in the JSON.")
@click.option("--chunks", is_flag=True, help="Pieces of models' answers instead, of calls with `stream`.")
@json_option
@connection_options
def events(goal: str, follow: bool, after: str, chunks: bool, as_json: bool) -> None:
    """Print what has happened in a goal, oldest first.

    JSON is one object a line: id, at (Redis time, seconds), type, goal, node, attempt, token, worker, data. Old events
    of a long goal are dropped; the first that is left is printed first.
    """
    door = client()
    door.status(goal)
    for event in pieces(door, goal, after, follow) if chunks else history(door, goal, after, follow):
        if as_json:
            click.echo(json.dumps(event.as_json(), allow_nan=False))
        else:
            click.echo(_line(event))


def history(door: Chordal, goal: str, after: str = "0", follow: bool = False) -> Iterator[Event]:
    """The events of a goal, oldest first; with `follow` to its end."""
    last = ""
    while True:
        batch = door.events(goal, after=after, block_seconds=POLL_SECONDS if follow else 0.0, limit=PAGE)
        for event in batch:
            after, last = event.id, event.type
            yield event
        if len(batch) < PAGE and (not follow or last in _LAST):
            return


def pieces(door: Chordal, goal: str, after: str = "0", follow: bool = False) -> Iterator[Event]:
    """Pieces of answers, oldest first; with `follow` until the goal has ended and none is left."""
    while True:
        ended = door.summary(goal).terminal
        batch = door.chunks(goal, after=after, block_seconds=POLL_SECONDS if follow and not ended else 0.0, limit=PAGE)
        for event in batch:
            after = event.id
            yield event
        if len(batch) < PAGE and (ended or not follow):
            return


def _line(event: Event) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(event.at)) + f"{event.at % 1:.3f}"[1:]
    node = f" {output.one_line(event.node)}" if event.node else ""
    attempt = f" #{event.attempt}" if event.attempt else ""
    worker = f" on {output.one_line(event.worker)}" if event.worker else ""
    told = {name: value for name, value in event.data.items() if name != "trace"}  # `show GOAL NODE` prints that one
    data = f" {output.brief(told, 300)}" if told else ""
    return f"{clock} {event.type}{node}{attempt}{worker}{data}"
