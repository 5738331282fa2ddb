"""Keeps a set of child processes running and takes them down in order. Pumped by one thread, which owns them all."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.embedded.child import Child
from orchestrator.embedded.layout import Layout
from orchestrator.embedded.logs import trim
from orchestrator.embedded.records import ProcessInfo, Role
from orchestrator.embedded.roles import Command

#: Workers hand their work back while there is a Redis to hand it to; the server goes last.
STOP_ORDER = (
    frozenset({Role.WORKER, Role.LLM_WORKER}), frozenset({Role.BEAT, Role.MODEL}), frozenset({Role.REDIS})
)  # fmt: skip
#: Seconds between two looks at the children, and at the sizes of their logs.
TICK, TRIM_EVERY = 0.1, 30.0


class Supervisor:
    """The children of one stack. `say` gets one line for people whenever something dies or comes back."""

    def __init__(self, layout: Layout, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._layout = layout
        self._say = say
        self._changed = changed
        self._seen: tuple[ProcessInfo, ...] = ()
        self._trim_at = 0.0
        self.children: list[Child] = []

    def processes(self) -> tuple[ProcessInfo, ...]:
        """Every child as it was at the last tick."""
        return tuple(child.info for child in self.children)

    def start(self, command: Command) -> Child:
        """Start a child and keep it running. Raises OSError."""
        child = Child(command, self._layout.log(command.name))
        self.children.append(child)
        child.start(time.monotonic())
        self._tell()
        return child

    def tick(self) -> None:
        """Look at every child once."""
        now = time.monotonic()
        for child in self.children:
            happened = child.watch(now)
            if happened:
                self._say(happened)
        self._tell()
        if now >= self._trim_at:
            self._trim_at = now + TRIM_EVERY
            for child in self.children:
                trim(self._layout.log(child.command.name))

    def stop_all(self, wait: Callable[[float], bool]) -> None:
        """Stop the children group by group, each member of a group at the same time.

        `wait(seconds)` pauses, and returns True when whoever asked has lost patience: then workers and beat take
        their next, harder step at once. The server keeps its time.
        """
        for roles in STOP_ORDER:
            group = [child for child in self.children if child.command.role in roles]
            while [child for child in group if not child.stop(time.monotonic())]:
                self._tell()
                if wait(TICK / 4) and Role.REDIS not in roles:
                    for child in group:
                        child.hurry(time.monotonic())
            self._tell()

    def _tell(self) -> None:
        seen = self.processes()
        if seen != self._seen:
            self._seen = seen
            self._changed()
