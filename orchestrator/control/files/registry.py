"""Which heartbeat files are read, for whom, and on which machine they lie."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from orchestrator.agents.declare.files import Refused
from orchestrator.control.files.grammar import Place
from orchestrator.control.files.opening import FolderAway, Where, read_file
from orchestrator.control.files.position import Cursor, Position, lines_of
from orchestrator.domain.errors import ChordalError
from orchestrator.store.store import Store

ANY_HOST: Final = ""
"""The file lies on a volume that every machine has at the same path."""


class NotReadable(ChordalError):
    """A heartbeat file cannot be read; the text says why. It was not registered."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A heartbeat file that is read."""

    root: str
    """The folder that nothing outside of is opened."""
    name: str
    """The path below it."""
    host: str
    """The machine that it lies on; empty: every machine has it."""
    goal: str | None = None
    agent: str | None = None
    owner: str | None = None
    alone: bool = False
    """The agent is the only one of its goal."""
    instructions: str = ""
    """Where the goal's agents are declared, for REPARSE; empty without."""
    declared: tuple[str, ...] = ()
    """The agents that were declared there when it was registered."""
    epoch: str = ""
    """Another one with each registration."""

    @property
    def key(self) -> str:
        """Its name in Redis."""
        return hashlib.sha256(f"{self.host}\0{self.where.path}".encode()).hexdigest()[:16]

    @property
    def where(self) -> Where:
        """Where it lies."""
        return Where(Path(self.root), self.name)

    @property
    def place(self) -> Place:
        """For whom it is read."""
        return Place(self.goal, self.agent, self.owner, self.alone)

    @property
    def sender(self) -> str:
        """As policies and the audit trail name it: the path, or its end."""
        path = "".join(one if one.isprintable() else "?" for one in str(self.where.path))
        return path if len(path) <= 200 else f"…{path[-199:]}"

    def as_json(self) -> str:
        """As it is kept. What it is for is kept apart, too: registered for the same again, nothing changes."""
        raw = asdict(self)
        told = (self.goal, self.agent, self.owner, self.alone, self.instructions, *self.declared)
        return json.dumps({**raw, "purpose": json.dumps(told)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The other way."""
        raw: dict[str, Any] = json.loads(text)
        raw.pop("purpose", None)
        return cls(**{**raw, "declared": tuple(raw["declared"])})


class Registry:
    """The registered files, kept until the registry changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: str | None = None
        self._known: tuple[Registered, ...] = ()

    def all(self) -> Sequence[Registered]:
        """Every registered file; one command where nothing has changed."""
        version = self._store.files.version()
        if version != self._version:
            self._version, found = self._store.files.all()
            self._known = tuple(map(Registered.from_json, found.values()))
        return self._known

    def of_host(self, host: str) -> list[Registered]:
        """Those that a machine has."""
        return [one for one in self.all() if one.host in (host, ANY_HOST)]

    def register(self, file: Registered) -> str:
        """Read a file, from what stands there now on: 'registered', or 'known' where it is read for the same already.

        A file is for one purpose: registered for another, it is no longer read for the one before. Raises NotReadable.
        """
        try:
            shot = read_file(file.where)
        except FolderAway:
            shot = None  # an agent's may be made later
        except Refused as refusal:
            raise NotReadable(f"{file.where.path}: {refusal}") from None
        at = Position() if shot is None else Position.at_end(shot.raw, shot.inode)
        lines = {} if shot is None else lines_of(shot.raw)
        anew = replace(file, epoch=secrets.token_hex(4))
        return self._store.files.register(
            file.key, anew.as_json(), Cursor(at, modified_ns=shot.modified_ns if shot else 0).as_json(), lines
        )

    def forget(self, file: Registered) -> bool:
        """Read a file no more, unless it was registered anew meanwhile; whether it was read."""
        return self._store.files.forget(file.key, file.epoch) == "forgotten"

    def forget_goals(self, gone: Iterable[str]) -> int:
        """Read the files of goals no more that are gone; returns how many."""
        goals = set(gone)
        return sum(self.forget(file) for file in self.all() if file.goal in goals)
