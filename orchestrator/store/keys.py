"""Every Redis key that Chordal writes: its name, type, writer and end. Nothing else may be left behind.

The catalogue is in three parts: keys_of_goals.py, keys_of_fleet.py and keys_of_models.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from orchestrator.store.key_spec import KeySpec
from orchestrator.store.keys_of_fleet import FLEET_KEYS
from orchestrator.store.keys_of_goals import GOAL_KEYS
from orchestrator.store.keys_of_models import MODEL_KEYS

__all__ = ["CATALOGUE", "FAMILIES", "KeySpec", "Keys", "catalogue_pattern"]

CATALOGUE: Final = (*GOAL_KEYS, *FLEET_KEYS, *MODEL_KEYS)
NAME: Final = r"[A-Za-z0-9._-]{1,64}"
"""What goals, nodes, agents and queues may be called, in a pattern."""
FAMILIES: Final = tuple(dict.fromkeys(f"{spec.pattern.partition(':')[0]}:" for spec in CATALOGUE))
"""How the names of our keys begin; a broker's keys may live beside them."""


def catalogue_pattern(prefix: str = "") -> re.Pattern[str]:
    """What a key may be called: one of the catalogue's names."""
    return re.compile(f"{re.escape(prefix)}(?:{'|'.join(map(_form, CATALOGUE))})")


def _form(spec: KeySpec) -> str:
    """What keys of a family may be called, in a pattern."""
    form = re.escape(spec.pattern).replace(re.escape("{goal}"), r"\{" + NAME + r"\}").replace(r"\*", ".*")
    return re.sub(r"<[a-z]+>", lambda found: ".{1,200}" if found[0] == "<key>" else NAME, form)


_GOAL_FORMS: Final = tuple((re.compile(_form(spec)), spec.type) for spec in GOAL_KEYS)


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of keys under one prefix."""

    prefix: str = ""

    def type_of(self, key: str) -> str | None:
        """The Redis type of one of the goals' keys, by the catalogue; None for a name that is not in it."""
        name = key.removeprefix(self.prefix)
        return next((type for form, type in _GOAL_FORMS if form.fullmatch(name)), None)

    def goal(self, goal: str) -> str:
        """The goal's record; the goal's other keys begin with it."""
        return f"{self.prefix}dag:{{{goal}}}"

    def tasks(self, goal: str) -> str:
        """What the keys of the goal's nodes begin with."""
        return f"{self.prefix}task:{{{goal}}}"

    def pair(self, goal: str) -> tuple[str, str]:
        """The two keys that every script on a goal declares."""
        return self.goal(goal), self.tasks(goal)

    def part(self, goal: str, name: str) -> str:
        """One of the goal's keys, such as `nodes` or `events`."""
        return f"{self.goal(goal)}:{name}"

    def task(self, goal: str, node: str) -> str:
        """The node's record."""
        return f"{self.tasks(goal)}:{node}"

    def idempotency(self, owner: str, key: str) -> str:
        """Where an idempotency key is remembered."""
        return f"{self.prefix}goals:idem:{owner}:{key}"

    def llm(self, account: str) -> str:
        """The record of an account of LLM calls; its other keys begin with the same tag."""
        return f"{self.prefix}{{llm:{account}}}:state"

    def llm_part(self, account: str, name: str) -> str:
        """One of the account's keys, such as `events`."""
        return f"{self.prefix}{{llm:{account}}}:{name}"

    def llm_cache(self, request: str) -> str:
        """A kept answer, by the hash of its request."""
        return f"{self.prefix}llm:cache:{request}"

    def llm_flight(self, request: str, name: str) -> str:
        """A part of a call that several wait for, by the hash of its request."""
        return f"{self.prefix}{{llm-flight:{request}}}:{name}"

    def memory(self, owner: str, agent: str) -> str:
        """What an agent remembers for an owner."""
        return f"{self.prefix}agent:{agent}:memory:{owner}"

    def control(self, name: str) -> str:
        """A key about commands, such as `audit`; they share a tag, so that one script reaches them."""
        return f"{self.prefix}{{control}}:{name}"

    def order(self, id: str) -> str:
        """A command that was taken in."""
        return self.control(f"order:{id}")

    @property
    def index(self) -> str:
        """Every goal by creation."""
        return f"{self.prefix}goals:index"

    @property
    def due(self) -> str:
        """Every goal by when it must be looked at."""
        return f"{self.prefix}goals:due"

    @property
    def workers(self) -> str:
        """Heartbeats of worker processes."""
        return f"{self.prefix}fleet:workers"

    @property
    def slots(self) -> str:
        """Slots of the live fleet by queue."""
        return f"{self.prefix}fleet:slots"

    @property
    def poison(self) -> str:
        """Broker messages that could not be read."""
        return f"{self.prefix}fleet:poison"

    def beat(self, name: str) -> str:
        """One of the keys that beat keeps, such as `minutes`."""
        return f"{self.prefix}beat:{name}"

    @property
    def ticks(self) -> str:
        """Last tick of each beat duty."""
        return f"{self.prefix}beat:ticks"
