"""Heartbeat files driven by hand: a folder, a look a call, and what was carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.control.files import looker, reader
from orchestrator.control.files.declared import reparsed
from orchestrator.control.files.looker import Looker
from orchestrator.control.files.reader import Reader
from orchestrator.control.files.registry import Registered, Registry
from orchestrator.domain.command import Answer, Command
from orchestrator.store.store import Store
from support.servers import until

HOST = "here"


@dataclass
class Taken:
    """A service that keeps what it is given, and answers an id that it knows as the first time."""

    commands: list[Command] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    repeated: int = 0
    before: Callable[[Command], object] = lambda _: None
    after: Callable[[Command], object] = lambda _: None

    def __call__(self, command: Command) -> Answer:
        self.before(command)
        if command.id in self.answers:
            self.repeated += 1
            return self.answers[command.id]
        self.commands.append(command)
        self.answers[command.id] = Answer(command.id, command.verb, command.target, 200, "done")
        self.after(command)
        return self.answers[command.id]

    @property
    def words(self) -> list[str]:
        """What was asked for, in order: the command and, if it has one, the reason."""
        return [f"{one.verb} {one.reason}".strip() for one in self.commands]


@dataclass
class Watched:
    """One registered file, and readers of it."""

    store: Store
    path: Path
    taken: Taken = field(default_factory=Taken)
    lookers: list[Looker] = field(default_factory=list)

    def register(self, *, goal: str | None = "g", **fields: Any) -> Watched:
        """Let it be read from its end on."""
        file = Registered(str(self.path.parent), self.path.name, HOST, goal=goal, **fields)
        self.registry.register(file)
        self.restart()
        return self

    @property
    def registry(self) -> Registry:
        return Registry(self.store)

    def restart(self, readers: int = 1, carry_out: Callable[[Command], Answer] | None = None) -> None:
        """New readers, which know nothing."""
        act = carry_out or self.taken
        self.lookers = [Looker(lambda file: Reader(file, self.store, act, reparsed)) for _ in range(readers)]

    def look(self) -> float:
        """One look of each reader; returns the seconds until there is more to do."""
        files = self.registry.of_host(HOST)
        return min(looker.look(files)[1] for looker in self.lookers)

    def settle(self) -> list[str]:
        """Look until nothing is left to do; returns what was carried out so far."""
        until(lambda: self.look() > 5, 60, "nothing is left to do")
        return self.taken.words

    def add(self, *lines: str) -> Watched:
        """Append lines."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
        return self

    def save(self, text: str) -> Watched:
        """Write it anew as most editors do: another file, renamed over it."""
        other = self.path.with_name(f".{self.path.name}.new")
        other.write_text(text, encoding="utf-8")
        other.replace(self.path)
        return self

    def replies(self) -> list[str]:
        """The answers without their times."""
        log = self.path.with_name(f"{self.path.name}.log")
        lines: Sequence[str] = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line.partition(" ")[2] for line in lines]


def hurry(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.15) -> None:
    """Let nothing move for a shorter time before it is believed."""
    monkeypatch.setattr(looker, "COARSE_SECONDS", 0.01)
    monkeypatch.setattr(looker, "STILL_SECONDS", seconds)
    monkeypatch.setattr(reader, "STILL_SECONDS", seconds)
