"""The goals that a command is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.domain.command import Command
from orchestrator.domain.verbs import Scope, Verb
from orchestrator.store.store import Store

PAGE: Final = 200
_OPEN: Final = frozenset({"PLANNING", "AWAITING_APPROVAL", "RUNNING", "PAUSED"})
_WANTED: Final[Mapping[Verb, frozenset[str]]] = {
    Verb.RETRY: frozenset({"FAILED"}),
    Verb.RESUME: frozenset({"PAUSED"}),
}
"""In which states a goal is meant by a command for an owner or for all; any other command means those that are open."""


def goals_of(store: Store, command: Command) -> Iterator[str]:
    """The goals that the command is for; of an owner or all, those that are there now, the newest first.

    One that it reaches while it pages is not met: a command for goals to come is HOLD or STOP.
    """
    if command.goal is not None:
        yield command.goal
        return
    wanted = _WANTED.get(command.verb, _OPEN)
    owner = command.owner if command.scope is Scope.OWNER else None
    for name, record in every_goal(store):
        if record.get("state") in wanted and owner in (None, record.get("owner", "default")):
            yield name


def every_goal(store: Store) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every stored goal with its record, the newest first."""
    names = [name for page in _pages(store) for name in page]
    for at in range(0, len(names), PAGE):
        chunk = names[at : at + PAGE]
        yield from zip(chunk, store.goals.records(chunk), strict=True)


def _pages(store: Store) -> Iterator[list[str]]:
    """The ids first, quickly: places in the index move while goals come and go."""
    start = 0
    while page := store.goals.newest(start, 5000):
        yield page
        start += len(page)
