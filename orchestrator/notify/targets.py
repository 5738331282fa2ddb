"""Who is told of which events: the webhook of the settings, and functions with ``@on``."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

from orchestrator.domain.events import EventType
from orchestrator.engine.registry import default_name
from orchestrator.notify.notice import Notice

Function = TypeVar("Function", bound=Callable[[Notice], object])

OUTCOMES: Final = ("goal.done", "goal.failed", "goal.cancelled", "node.failed")
"""What is told where nothing is said."""
WEBHOOK: Final = "webhook"
"""The name of the target that the settings describe."""
_KINDS: Final = tuple(event.value for event in EventType)


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver, as every process of the fleet knows it."""

    name: str
    events: tuple[str, ...] = OUTCOMES
    """Types of events, or patterns of them: ``node.*``."""
    owner: str = ""
    """Only goals of this owner; empty: all."""
    since_ms: int = 0
    """Since when the fleet knows it, Redis time: nothing older is told."""
    seen_ms: int = 0
    """When a worker last said that it knows it, Redis time."""

    def wants(self, kind: str) -> bool:
        """Whether it is told of events of a type."""
        return any(fnmatchcase(kind, pattern) for pattern in self.events)

    def concerns(self, owner: str) -> bool:
        """Whether it is told of goals of an owner."""
        return self.owner in ("", owner)

    def as_text(self) -> str:
        """What the fleet keeps of it, but for when it was first seen."""
        return json.dumps({"events": self.events, "owner": self.owner})

    @classmethod
    def of(cls, name: str, text: str, since: str, seen: str) -> Target:
        """The other way."""
        raw = json.loads(text)
        return cls(name, tuple(raw["events"]), raw["owner"], int(since), int(seen))


def check_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns. Raises ValueError for one that fits no type of event."""
    found = tuple(patterns)
    for pattern in found:
        if not any(fnmatchcase(kind, pattern) for kind in _KINDS):
            raise ValueError(f"no event is called {pattern!r}; there are: {', '.join(_KINDS)}")
    return found


@dataclass(slots=True)
class Callbacks:
    """The functions of this process that want to be told, by name."""

    functions: dict[str, tuple[Target, Callable[[Notice], object]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, target: Target, function: Callable[[Notice], object]) -> None:
        """Have the function told."""
        with self._lock:
            self.functions[target.name] = target, function

    def targets(self) -> Mapping[str, Target]:
        """The targets that these functions are."""
        with self._lock:
            return {name: target for name, (target, _) in self.functions.items()}


CALLBACKS: Final = Callbacks()
"""Those of this process, which ``@on`` fills."""


def on(*events: str, owner: str = "", name: str | None = None) -> Callable[[Function], Function]:
    """Have a function told of events of goals; it stays an ordinary function, and gets a `Notice`.

    ``@on("goal.done", "node.failed")``: types or patterns (``"node.*"``); without any the ends of goals and failed nodes.
    `owner`: only goals of this owner. Put it in a module of CHORDAL_IMPORTS: a worker calls it, soon after the event and
    at least once, in the order of the goal's events; one that raises is called again later. `name` is what the fleet knows
    it by, by default ``package.module:function``.

    Raises ValueError for a pattern that fits no event and TypeError for a coroutine function.
    """
    wanted = check_patterns(events or OUTCOMES)

    def register(function: Function) -> Function:
        checked: Any = function
        if inspect.iscoroutinefunction(checked):
            raise TypeError(f"{checked!r} is a coroutine function; give a plain one, which may call asyncio.run")
        known = name or default_name(function)
        if known == WEBHOOK:
            raise ValueError("the name 'webhook' is taken")
        CALLBACKS.add(Target(known, wanted, owner), function)
        return function

    return register
