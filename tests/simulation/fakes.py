"""What the engine takes from its surroundings - clock, chance, threads - in the simulation's hands."""

from __future__ import annotations

import os
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace, TracebackType
from typing import Any, Final

import pytest
from greenlet import getcurrent  # type: ignore[import-untyped]

import orchestrator.wiring
from orchestrator.domain.errors import NodeTimeout
from orchestrator.engine import kinds, leases, reopen, time_limit
from orchestrator.engine.upkeep import hygiene, removal
from orchestrator.store import changes, goals, nodes, store, upkeep
from orchestrator.store.records import Result, Step
from simulation import wire

PID: Final = 1
RESEND_SECONDS: Final = 1.0


class Lock:
    """A lock between routines: who waits for it lets the others go on."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        while self._held:
            wire.sleep(0.001)
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False


class Inline:
    """In the place of ThreadPoolExecutor: pieces are sent by the routine itself."""

    def __init__(self, *_: Any) -> None:
        pass

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args))
        return done


class TimeLimit:
    """In the place of SIGALRM: `work` looks at the limit whenever it lets time pass."""

    def __init__(self, held: leases.Held, seconds: float | None) -> None:
        self._held = held
        self._seconds = seconds

    def __enter__(self) -> None:
        if self._seconds is not None:
            self._held.running = True
            self._held.deadline = _monotonic() + self._seconds
            getcurrent().deadline = self._held.deadline

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._held.running = False
        self._held.deadline = None
        getcurrent().deadline = None


def _monotonic() -> float:
    """The clock that the engine reads at this moment."""
    return float(vars(leases)["time"].monotonic())


def work_for(seconds: float, heeds_limit: bool = True) -> None:
    """Time passes in a node's function. Raises NodeTimeout at its limit, if it heeds that."""
    limit = getattr(getcurrent(), "deadline", None)
    left = seconds if limit is None else limit - _monotonic()
    if heeds_limit and left < seconds:
        wire.sleep(max(left, 0.001))
        raise NodeTimeout
    if seconds:
        wire.sleep(seconds)


def _client(world: Any, url: str) -> Any:
    return wire.open_client(url.removeprefix("unix://"), lambda: world.now, lambda: world.uptime)


@contextmanager
def in_place(world: Any) -> Iterator[None]:
    """The engine runs in this world: its clock, its seed, its store, its post."""
    rng = world.rng
    real: dict[str, Any] = {
        "time": time, "random": random, "secrets": secrets, "os": os, "threading": threading,
        "time_limit": time_limit.time_limit,
    }  # fmt: skip
    clock = SimpleNamespace(sleep=wire.sleep)
    clock.monotonic = clock.perf_counter = clock.time = lambda: world.now / 1000
    threads = SimpleNamespace(**{**vars(threading), "Lock": Lock})
    fake: dict[str, Any] = {
        "time": clock, "random": rng, "threading": threads, "time_limit": TimeLimit,
        "secrets": SimpleNamespace(token_hex=lambda size: f"{rng.getrandbits(8 * size):0{2 * size}x}"),
        "os": SimpleNamespace(**{**vars(os), "getpid": lambda: PID}),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith(("orchestrator.engine.", "orchestrator.notify.")) or name == "orchestrator.backend":
                for attribute, value in real.items():
                    if getattr(module, attribute, None) is value:
                        patch.setattr(module, attribute, fake[attribute])
                if hasattr(module, "TASK_RESEND_SECONDS"):
                    patch.setattr(module, "TASK_RESEND_SECONDS", RESEND_SECONDS)
        patch.setattr(kinds, "CHILD_CHECK_SECONDS", 2.0)
        patch.setattr(goals, "ThreadPoolExecutor", Inline)
        patch.setattr(goals, "PIECE", 3)
        patch.setattr(reopen, "PIECE", 3)
        patch.setattr(changes, "MOST_STOPPED", 2)
        patch.setattr(removal, "aside", Inline().submit)
        patch.setattr(hygiene, "GRACE_MS", 3000)
        patch.setattr(store, "UpkeepStore", Ordered)
        patch.setattr(store, "open_client", lambda url: _client(world, url))
        patch.setattr(store, "Scripts", lambda client: wire.SimScripts(client, lambda: world.now))
        patch.setattr(store, "NodeStore", lambda *args: Watched(world, *args))
        patch.setattr(orchestrator.wiring, "CelerySender", lambda _: world.post)
        patch.setattr(orchestrator.wiring, "Store", lambda *_: world.store)
        yield


class Ordered(upkeep.UpkeepStore):
    """Every server walks over its keys in an order of its own; a seed must repeat itself on each."""

    def all_keys(self, page: int) -> Iterator[str]:
        """The name of every key."""
        found = wire.ask(wire.Operation("SCAN", "", lambda: sorted(self._client.scan_iter(count=page))))
        return iter(found)


class Watched(nodes.NodeStore):
    """The node store, with the simulation's own book of what was sent and what was answered."""

    def __init__(self, world: Any, *args: Any) -> None:
        super().__init__(*args)
        self._world = world

    def commit(self, goal: str, results: Any, **options: Any) -> Step:
        """End leases."""
        sent: list[Result] = list(results)
        self._world.truth.sent(goal, sent)
        step = super().commit(goal, sent, **options)
        self._world.truth.answered(goal, sent, step.verdicts)
        for result, verdict in zip(sent, step.verdicts, strict=True):
            self._world.tally.count("verdict", f"{verdict.value} ahead" if result.ahead else verdict.value)
        return step
