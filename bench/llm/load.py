"""A load on one account: what its callers ask for and use. Written to a file by the bench, read by each caller."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.llm.limits import Limits

ACCOUNT: Final = "bench"


@dataclass(frozen=True, slots=True)
class Load:
    """Every thread calls again as soon as it has ended, until the time is over. Times are seconds."""

    limits: dict[str, Any]
    """By the names of `Limits`."""
    seconds: float
    threads: int
    owners: tuple[str, ...] = ("o0", "o1", "o2", "o3", "o4")
    """Of the threads, in turn."""
    tokens: tuple[int, int] = (20, 600)
    """What a call uses, evenly spread; a sixth of it is input."""
    estimate: float = 1.0
    """How many times as much output as it uses a call reserves."""
    learned: bool = False
    """Reserve what the account has learned instead, as the client does."""
    latency: tuple[float, float] = (0.05, 0.2)
    ttl_seconds: float = 3.0

    def write(self, path: Path) -> None:
        """For the callers."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Load:
        """As a caller reads it."""
        document: dict[str, Any] = json.loads(path.read_text())
        document |= {name: tuple(value) for name, value in document.items() if isinstance(value, list)}
        return cls(**document)

    def account(self) -> Limits:
        """The limits as such."""
        return Limits(**self.limits)


@dataclass(frozen=True, slots=True)
class Called:
    """One call as it really was, by the clock of the machine."""

    began: float
    """When its caller was free to send it."""
    ended: float
    tokens: int
    """Used."""
    owner: str
    waited: float
    lost: bool
