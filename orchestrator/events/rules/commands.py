"""I9: a command acts at most once on each receiver, and not after its expiry.

The events (`data` in braces), in the history of the goal that a command reached:

- `command.applied` {command, expires}: the goal, or the node that the event names, acted on the command of this id; `expires`
  is Redis time in seconds, or left out.
- `command.refused` {command, expires}: it did not, and will not.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.events.plan import Plan
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story
from orchestrator.events.violation import Note, Violation


class Commands(Rule):
    """A receiver acts on a command, or refuses it, once; and acts on none after its expiry."""

    invariant = "I9"
    types = frozenset({EventType.COMMAND_APPLIED.value, EventType.COMMAND_REFUSED.value})

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._answered: dict[tuple[str, str], str] = {}
        """What became of a command, by its id and the receiver: a node, or the goal (empty)."""

    def see(self, story: Story, event: Event) -> Iterator[Violation]:  # noqa: ARG002
        command, word = str(event.data.get("command", "")), event.type.partition(".")[2]
        who = event.node or "the goal"
        if not command:
            yield self.fault(event, "a command without an id")
            return
        before = self._answered.setdefault((command, event.node), word)
        if before is not word:
            yield self.fault(event, f"command {command} was {word} at {who}, and {before} there before")
        expires = event.data.get("expires")
        if expires is not None and event.at > float(expires):
            yield self.fault(event, f"command {command} was {word} at {who} after its expiry")

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        return None if self._answered else Note("no command in this history", True)
