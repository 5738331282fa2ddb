"""`events`: the history of a goal, once or as it happens; or what happens in every goal."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, Id, StreamId, client, connection_options, example, json_option

if TYPE_CHECKING:
    from orchestrator.domain.events import Event
    from orchestrator.wiring import Chordal

PAGE: Final = 1000
POLL_SECONDS: Final = 1.0
_LAST: Final = frozenset({"goal.done", "goal.failed", "goal.cancelled"})


@click.command(
    cls=Command,
    epilog=example(
        "chordal events g1",
        "chordal events g1 --follow --json | jq -c 'select(.node == \"fetch\")'",
        "chordal events g1 --last 20 --type 'node.*'",
        "chordal events --follow --type goal.failed --type node.failed",
    ),
)
@click.argument("goal", type=Id(), metavar="[GOAL]", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until the goal has ended.")
@click.option(
    "--after", type=StreamId(), default="0", metavar="ID", help="Only events after this one; ids are in the JSON."
)
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="Only the last N of what is there.")
@click.option("--type", "types", multiple=True, metavar="PATTERN", help="Only these, as in node.* . Repeatable.")
@click.option("--chunks", is_flag=True, help="Pieces of models' answers instead, of calls with `stream`.")
@json_option
@connection_options
def events(
    goal: str | None, follow: bool, after: str, last: int | None, types: tuple[str, ...], chunks: bool, as_json: bool
) -> None:
    """Print what has happened in a goal, oldest first; without GOAL what happens in every goal from now on.

    JSON is one object a line: id, at (Redis time, seconds), type, goal, node, attempt, token, worker, data. Old events
    of a long goal are dropped; the first that is left is printed first. Without GOAL it needs --follow, and Ctrl-C ends it.
    """
    door = client()
    if goal is None:
        if not follow or chunks or last is not None or after != "0":
            raise click.UsageError("without GOAL give --follow, and neither --after, --last nor --chunks")
        found = everywhere(door)
    else:
        door.summary(goal)
        found = pieces(door, goal, after, follow) if chunks else history(door, goal, after, follow, last)
    for event in found:
        if types and not any(fnmatchcase(event.type, pattern) for pattern in types):
            continue
        if as_json:
            click.echo(json.dumps(event.as_json(), allow_nan=False))
        else:
            click.echo(_line(event, goal is None))


def everywhere(door: Chordal) -> Iterator[Event]:
    """What happens in every goal, until the reader has enough."""
    following = door.operator.following()
    while True:
        with door.reachable():
            yield from following.next(POLL_SECONDS)


def history(
    door: Chordal, goal: str, after: str = "0", follow: bool = False, last: int | None = None
) -> Iterator[Event]:
    """The events of a goal, oldest first, of those that are there the `last` only; with `follow` to its end."""
    newest = ""
    if last is not None:
        kept: deque[Event] = deque(maxlen=last)
        for event in history(door, goal, after):
            after, newest = event.id, event.type
            kept.append(event)
        yield from kept
        if not follow or newest in _LAST:
            return
    while True:
        batch = door.events(goal, after=after, block_seconds=POLL_SECONDS if follow else 0.0, limit=PAGE)
        for event in batch:
            after, newest = event.id, event.type
            yield event
        if len(batch) < PAGE and (not follow or newest in _LAST):
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


def _line(event: Event, with_goal: bool = False) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(event.at)) + f"{event.at % 1:.3f}"[1:]
    node = f" {event.goal}" if with_goal else ""
    node += f" {output.one_line(event.node)}" if event.node else ""
    attempt = f" #{event.attempt}" if event.attempt else ""
    worker = f" on {output.one_line(event.worker)}" if event.worker else ""
    told = {name: value for name, value in event.data.items() if name != "trace"}  # `show GOAL NODE` prints that one
    data = f" {output.brief(told, 300)}" if told else ""
    return f"{clock} {event.type}{node}{attempt}{worker}{data}"
