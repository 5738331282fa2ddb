"""Receivers of notifications in a simulated fleet, and what they must have heard when a goal goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from orchestrator.notify.notice import Notice
from orchestrator.notify.targets import OUTCOMES, Callbacks, Target
from orchestrator.store.store import Store
from orchestrator.store.tell import id_pair
from orchestrator.wiring import Chordal
from simulation import wire

if TYPE_CHECKING:
    from simulation.world import World


@dataclass(frozen=True, slots=True)
class Telling:
    """The message that has a worker tell of a goal."""

    goal: str
    node: str = ""
    attempt: str = "tell"


@dataclass(slots=True)
class Ears:
    """What each receiver wants, and what it has heard: event ids in their order."""

    wants: dict[str, tuple[str, ...]]
    heard: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rng: Random) -> Ears:
        """The receivers of a seed: none in most."""
        if rng.random() < 0.6:
            return cls({})
        return cls({"ends": OUTCOMES} if rng.random() < 0.5 else {"ends": OUTCOMES, "all": ("*",)})

    def introduce(self, store: Store) -> None:
        """The fleet knows the receivers from the beginning."""
        store.tell.register({name: Target(name, wants).as_text() for name, wants in self.wants.items()})

    def listen(self, world: World, parts: Chordal) -> None:
        """Let a process know the receivers. They are deaf at times, slow at others, until the faults have healed."""
        parts.notify._callbacks = Callbacks()
        for name, wants in self.wants.items():
            parts.notify._callbacks.add(Target(name, wants), partial(self._hear, world, name))

    def _hear(self, world: World, name: str, notice: Notice) -> None:
        if not world.weather.calm and world.rng.random() < 0.2:
            raise ValueError("it was not heard")
        if world.rng.random() < 0.1:
            wire.sleep(world.rng.choice([0.5, 20.0]))
        self.heard.setdefault(name, []).append(notice.id)
        world.tally.count("told", name)

    def missed(self, store: Store, goal: str, events: list[tuple[str, dict[str, Any]]]) -> list[str]:
        """What a goal that goes was to be told of and was not, or in another order than it happened."""
        given_up = {(entry["target"], entry["event"]) for entry in store.tell.untold()}
        found = []
        for name, wants in self.wants.items():
            heard = list(dict.fromkeys(one for one in self.heard.get(name, ()) if one.startswith(f"{goal}/")))
            wanted = [f"{goal}/{id}" for id, event in events if any(fnmatchcase(event["type"], one) for one in wants)]
            there = [one for one in heard if one in set(wanted)]
            found += [
                f"T11 {one}: {name} was never told"
                for one in wanted
                if one not in there and (name, one) not in given_up
            ]
            if there != sorted(there, key=lambda one: id_pair(one.partition("/")[2])):
                found.append(f"T12 {goal}: {name} was told in another order: {there}")
        return found
