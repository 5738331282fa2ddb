"""Calls as they really went out of processes, recorded beside the store, and the limits recounted from that alone.

A process appends one line an event to a file of its own, in one write each: what is in it survives a SIGKILL. Times are
CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from orchestrator.events.rules.permits import check_permits
from orchestrator.llm.errors import PermitLost
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.llm.permit import Permit
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.store import Store

ACCOUNT: Final = "acme"
TTL_SECONDS: Final = 2.0
LATE_SECONDS: Final = 0.5
"""A grant may lie so long with its thread before the limiter asks once more whether the call may begin."""


@dataclass
class Sent:
    """One call. Times are seconds."""

    permit: str
    fence: int
    process: int
    thread: str
    owner: str
    tokens: int
    """Reserved."""
    began: float
    ended: float | None = None
    used: int = 0
    settled: str = "open"
    """Or "settled", "lost" (its lease had run out), "away" (Redis did not answer), "killed"."""


class Log:
    """Where one process writes down its calls."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / f"{os.getpid()}.sent", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    def began(self, permit: Permit, owner: str) -> None:
        thread = threading.current_thread().name
        self.write("began", permit.id, permit.fence, thread, owner, permit.cost.tokens, time.monotonic())

    def end(self, permit: Permit, used: Cost) -> None:
        """Note the end of the call, then settle it, and note how that went."""
        self.write("ended", permit.id, permit.fence, used.tokens, time.monotonic())
        how = "settled"
        try:
            permit.settle(used)
        except PermitLost:
            how = "lost"
        except ConnectionFailed:
            how = "away"
        self.write(how, permit.id, permit.fence)


def sent(folder: Path) -> list[Sent]:
    """Every call of every process, by its beginning."""
    found: dict[tuple[str, str], Sent] = {}
    for path in folder.glob("*.sent"):
        for line in path.read_text().splitlines():
            kind, permit, fence, *rest = line.split(" ")
            if kind == "began":
                thread, owner, tokens, at = rest
                found[permit, fence] = Sent(
                    permit, int(fence), int(path.stem), thread, owner, int(tokens), float(at)
                )  # fmt: skip
            elif kind == "ended":
                found[permit, fence].used, found[permit, fence].ended = int(rest[0]), float(rest[1])
            else:
                found[permit, fence].settled = kind
    return sorted(found.values(), key=lambda call: call.began)


def overrun(calls: Iterable[Sent], limits: Limits, late: float = LATE_SECONDS, spare: int = 0) -> list[str]:
    """Windows that held more than the limits: a window may end at any call, and is shorter by what a call may be late.

    A call counts as reserved until it ended. `spare`: so many calls more are no fault.
    """
    faults, first, calls = [], 0, list(calls)
    for index, call in enumerate(calls):
        while calls[first].began <= call.began - (limits.window_seconds - late):
            first += 1
        inside = calls[first : index + 1]
        known = [one.ended is not None and one.ended <= call.began for one in inside]
        tokens = sum(one.used if ended else one.tokens for one, ended in zip(inside, known, strict=True))
        for name, have, most in (
            ("requests", len(inside) - spare, limits.requests_per_minute),
            ("tokens", tokens - spare * call.tokens, limits.tokens_per_minute),
        ):
            if most is not None and have > most:
                faults.append(f"{call.permit}: {have} {name}, the limit is {most}")
    return faults


def crowded(calls: Iterable[Sent], most: int, gone: Iterable[int] = (), at: float = 0.0) -> list[str]:
    """Moments with more calls in flight than `most`.

    Of the processes that are `gone` since `at`, dead or standing still, a call in flight counts for half a lease more.
    """

    def end(call: Sent) -> float:
        over = float("inf") if call.ended is None else call.ended
        return min(over, at + TTL_SECONDS / 2) if call.process in gone and call.began <= at else over

    moments = [(call.began, 1, call.permit) for call in calls] + [(end(call), 0, call.permit) for call in calls]
    faults, live = [], 0
    for _, begins, permit in sorted(moments):
        live += 1 if begins else -1
        if begins and live > most:
            faults.append(f"{permit}: {live} calls in flight, the limit is {most}")
    return faults


def history(store: Store) -> list[str]:
    """What is wrong with the account's permits by its events: I7, and fences that do not rise."""
    events = list(store.llm.events(ACCOUNT, most=100_000))
    assert any(event.type == "llm.permit" for event in events)
    return [str(fault) for fault in check_permits(events)]


def fences(calls: Iterable[Sent]) -> list[str]:
    """Fences that two calls had."""
    seen: dict[int, Sent] = {}
    faults = []
    for call in calls:
        if call.fence in seen:
            faults.append(f"{call.permit} and {seen[call.fence].permit} have the fence {call.fence}")
        seen[call.fence] = call
    return faults


def leftovers(store: Store, limiter: Limiter) -> dict[str, object]:
    """What must be empty or zero on the account once every call is over and has left the window."""
    limiter.status(ACCOUNT)
    client, part = store.client, partial(store.keys.llm_part, ACCOUNT)
    found: dict[str, object] = {name: client.zcard(part(name)) for name in ("leases", "queue")}
    found |= {name: client.hlen(part(name)) for name in ("held", "waiters", "charges")}
    found["cells"] = client.llen(part("cells"))
    sums = [f"{what}_{dim}" for what in ("used", "kept") for dim in "rio"] + ["gated", "parked"]
    found |= {name: float(client.hget(part("state"), name) or 0) for name in sums}
    return {name: size for name, size in found.items() if size}


def spend(store: Store) -> dict[str, int]:
    """Tokens by purse."""
    found = store.client.hgetall(store.keys.llm_part(ACCOUNT, "spend"))
    return {purse.removesuffix(":tokens"): int(amount) for purse, amount in found.items() if purse.endswith(":tokens")}
