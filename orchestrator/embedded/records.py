"""What runs in a data directory, as the supervisor writes it down (`stack.json`) and as others read it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.embedded.identity import identity
from orchestrator.embedded.layout import Layout
from orchestrator.embedded.lock import holder


class Role(StrEnum):
    """What a process of the stack is there for."""

    SUPERVISOR = "supervisor"
    REDIS = "redis"
    WORKER = "worker"
    LLM_WORKER = "llm-worker"
    BEAT = "beat"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process of a stack."""

    role: Role
    name: str
    pid: int | None
    alive: bool
    restarts: int
    started: float
    """Unix time, seconds."""
    identity: str = ""
    """Tells this process from a later one with the same pid."""

    def as_json(self) -> dict[str, Any]:
        """The row of `chordal ps --json`."""
        return {
            "role": str(self.role), "name": self.name, "pid": self.pid, "alive": self.alive, "restarts": self.restarts
        }  # fmt: skip

    def observed(self) -> ProcessInfo:
        """The same row with `alive` as the operating system sees it now."""
        return replace(self, alive=bool(self.pid and self.identity and identity(self.pid) == self.identity))


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that the stack serves on loopback."""

    url: str
    """Its OpenAI-compatible API."""
    name: str
    slots: int
    """Calls at the same time."""
    context_tokens: int
    """Of one call, input and output together."""
    threads: int


@dataclass(frozen=True, slots=True)
class StackInfo:
    """One stack."""

    pid: int
    """The supervisor's."""
    since: float
    """Unix time, seconds."""
    command: str
    ready: bool
    """Redis and every worker answered once."""
    redis_url: str
    data_dir: Path
    logs: Path
    processes: tuple[ProcessInfo, ...] = ()
    model: LocalModel | None = None


_CODEC = TypeAdapter(StackInfo)


def write(path: Path, info: StackInfo) -> None:
    """Replace the record in one step: a reader sees the old one or the new one. Raises OSError."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_CODEC.dump_json(info, indent=1))
    draft.replace(path)


def read(path: Path) -> StackInfo | None:
    """The record as it was last written, whether or not that stack still runs; None if there is none."""
    try:
        return _CODEC.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def running(data_dir: Path) -> StackInfo | None:
    """The live stack of `data_dir`, each process checked now; None if none runs (or it only begins to start)."""
    layout = Layout.of(data_dir)
    who = holder(layout.lock)
    info = read(layout.state) if who else None
    if who is None or info is None or info.pid != who.pid:
        return None
    return replace(info, processes=tuple(process.observed() for process in info.processes))
