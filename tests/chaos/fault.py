"""What a fault is: how it strikes, how it heals, and in plain words what is guaranteed under it and what is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from chaos.world import World


def nothing() -> None:
    """What heals by itself."""


@dataclass(frozen=True)
class Struck:
    """A fault that has struck."""

    pids: frozenset[int] = frozenset()
    """Processes whose leases it took away."""
    ended: frozenset[int] = frozenset()
    """Processes that it ended without taking anything away from them."""
    heal: Callable[[], None] = nothing
    detail: str = ""
    at: float | None = None
    """When it struck (seconds since the epoch), if that is known better than by the return of `inject`."""
    since: float | None = None
    """From when the recovery counts, where it needs no healing."""


def always() -> str:
    """Nothing is missing."""
    return ""


def as_root(*tools: str) -> Callable[[], str]:
    """Why a fault that needs root and these programs cannot be injected here; empty if it can."""

    def reason() -> str:
        if os.geteuid() != 0:
            return "needs root"
        missing = [tool for tool in tools if shutil.which(tool) is None]
        return f"needs {', '.join(missing)}" if missing else ""

    return reason


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the published matrix says of a fault."""

    name: str
    does: str
    holds: str
    """What is guaranteed."""
    loses: str
    """What is not: what may be lost, done twice or late."""
    bounded: bool = False
    """Whether the bound on recovery, lease + two beats, is meant for it."""
    needs: Callable[[], str] = always
    """Why it cannot be injected here; empty if it can."""


@dataclass(frozen=True, kw_only=True)
class Fault(Described):
    """Strikes the common fleet. `inject` strikes and returns; it may wait for the moment to strike."""

    inject: Callable[[World, Random], Struck]
    lasts: tuple[float, float] = (0.0, 0.0)
    """Seconds between the strike and the healing, from the seed."""


@dataclass(frozen=True, kw_only=True)
class Scenario(Described):
    """Makes a world of its own, strikes it and returns it, healed, with what it struck."""

    make: Callable[[int], AbstractContextManager[World]]
    inject: Callable[[World, Random], Struck]
    lasts: tuple[float, float] = (3.0, 3.0)


@dataclass
class Record:
    """How often a fault struck in a run, and what followed."""

    fault: str
    count: int = 0
    recoveries: list[float] = field(default_factory=list)
    """Seconds until what the victims held ran again (or, if they held nothing, until the next commit after the healing)."""
    claimable: list[float] = field(default_factory=list)
    """Seconds until what the victims held could be claimed again, whether or not a slot was free."""
    violations: list[str] = field(default_factory=list)
    exits: int = 0
    """Workers and beats that ended by themselves meanwhile; the supervisor started them again."""
    notes: list[str] = field(default_factory=list)
    skipped: str = ""


AGAIN: Final = "A node that ran may run a second time; one commit counts."
NOTHING: Final = "Nothing."
