"""What is said of a family of Redis keys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One family of keys. `{goal}` with its braces is part of the name: the hash tag that keeps a goal in one slot."""

    pattern: str
    type: str
    writer: str
    ttl: str
    meaning: str
