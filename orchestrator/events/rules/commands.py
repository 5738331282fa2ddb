"""I9: a command acts as often as it should, where it should, while it should.

The events (`data` in braces):

- `command.accepted` {command, target, expires}: `command` is its id, `target` one receiver, or `*` for all there are,
  `expires` Redis time in seconds or null.
- `command.applied` {command, receiver}: a receiver acted on it.
- `command.expired` {command}: nobody acts on it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.events import Event
from orchestrator.events.plan import Plan
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story
from orchestrator.events.violation import Note, Violation

ACCEPTED: Final = "command.accepted"
APPLIED: Final = "command.applied"
EXPIRED: Final = "command.expired"
EVERYONE: Final = "*"


@dataclass(slots=True)
class _Command:
    target: str
    expires: float | None
    gone: bool = False
    receivers: set[str] = field(default_factory=set)


class Commands(Rule):
    """Each command is applied by its target once, a broadcast by each receiver once, and by nobody after its expiry."""

    invariant = "I9"
    types = frozenset({ACCEPTED, APPLIED, EXPIRED})

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._commands: dict[str, _Command] = {}

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        name = str(event.data.get("command", ""))
        command = self._commands.get(name)
        if event.type == ACCEPTED:
            if command is not None:
                yield self.fault(event, f"command {name} was accepted twice")
            expires = event.data.get("expires")
            target = str(event.data.get("target", EVERYONE))
            self._commands[name] = _Command(target, None if expires is None else float(expires))
        elif command is None:
            if story.whole:
                yield self.fault(event, f"{event.type} of command {name}, which was never accepted")
        elif event.type == EXPIRED:
            command.gone = True
        else:
            yield from self._apply(name, command, event)

    def _apply(self, name: str, command: _Command, event: Event) -> Iterator[Violation]:
        receiver = str(event.data.get("receiver", ""))
        if command.target not in (EVERYONE, receiver):
            yield self.fault(event, f"command {name} for {command.target} was applied by {receiver}")
        if receiver in command.receivers:
            yield self.fault(event, f"command {name} was applied by {receiver} again")
        if command.gone or (command.expires is not None and event.at > command.expires):
            yield self.fault(event, f"command {name} was applied by {receiver} after its expiry")
        command.receivers.add(receiver)

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        return None if self._commands else Note("no command in this history", True)
