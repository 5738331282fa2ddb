"""kill -9 of one of the processes that call: how soon do the others use all that is allowed, and is anything left behind?"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from bench.llm.drive import Run, drive_on, server, settled
from bench.llm.load import ACCOUNT, Load
from bench.llm.section import Cell, Options, Section, Table, Target
from bench.processes import Processes
from orchestrator.events.rules.permits import check_permits
from orchestrator.llm.limits import Limits
from orchestrator.store.keys import Keys
from orchestrator.store.llm_records import Caller
from orchestrator.store.store import Store

BIN: Final = 0.25
BINS: Final = 4
"""So many in a row make up a second, in which the rate must be back."""
BACK: Final = 0.9
TTL_SECONDS: Final = 2.0
HOW: Final = f"""SIGKILL to one of the processes in the middle of the load; nothing is started in its place. Grants are counted from
the account's events in bins of 250 ms. The rate before is that of the three seconds before the kill; it is back at the first
bin with which a second begins that has {BACK:.0%} of it. Leases last {TTL_SECONDS:g} s unless they are renewed. Limited by rate, what the killed
process had charged stays in the window, as it should: its calls may have been made. Limited by calls at once, its places
are free when its leases end, and until then the rate is lower by its part: that cannot be sooner than a lease.

When all is over and the window has passed: leases, permits, reservations that were not charged, waiters, sums of the window
that are not zero, and the difference between the account's spend and what the events say was used."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of it."""

    name: str
    before: float
    """Grants a second."""
    least: int
    """In a bin of the two seconds after the kill."""
    back: float | None
    """Seconds from the kill."""
    bins: list[int] = field(default_factory=list)
    """From three seconds before the kill."""
    left: dict[str, float] = field(default_factory=dict)
    faults: int = 0


def measure(options: Options) -> Section:
    """An account limited by rate, and one limited by calls at once."""
    loads = {
        "300 requests in 3 s": {"requests_per_minute": 300, "window_seconds": 3.0},
        "16 calls at once": {"concurrency": 16, "window_seconds": 3.0},
    }
    seen = []
    for name, limits in loads.items():
        load = Load(limits, max(options.seconds, 9.0), options.threads, ttl_seconds=TTL_SECONDS)
        one = _one(name, load, options.processes)
        back = "not" if one.back is None else f"{one.back:.2f} s"
        options.tell(f"{name}: {one.before:.0f}/s before, back after {back}, left behind: {one.left or 'nothing'}")
        seen.append(one)
    rows: list[list[Cell]] = [
        [one.name, one.before, one.before * BIN, one.least, one.back, sum(one.left.values()), one.faults]
        for one in seen
    ]
    columns = (
        "account", "grants/s before", "a bin", "least bin after", "back after, s", "left behind", "I7 faults",
    )  # fmt: skip
    section = Section("kill", "A killed process", HOW, [Table("", columns, rows)])
    for one in seen:
        late = 1e9 if one.back is None else one.back
        shown = "not at all" if one.back is None else f"{one.back:.2f} s"
        section.targets.append(Target(f"{one.name}: the rate is back after", "<= 2 s", shown, late <= 2.0))
        section.targets.append(Target.most(f"{one.name}: left behind", sum(one.left.values()), 0))
    section.data["seen"] = [asdict(one) for one in seen]
    return section


def _one(name: str, load: Load, count: int) -> Seen:
    killed: list[float] = []

    def strike(place: Processes, _store: Store, begin: float) -> None:
        time.sleep(max(0.0, begin + load.seconds / 2 - time.time()))
        victim = next(one for one in place.started if "bench.llm.caller" in one.args)  # type: ignore[operator]
        killed.append(time.time())
        place.kill(victim)

    with server() as (place, store):
        run = drive_on(place, store, load, count, strike)
        left = leftovers(store, load.account(), run)
    [at] = killed
    grants = [event.at for event in run.events if event.type == "llm.permit"]
    bins = [
        sum(at + index * BIN <= moment < at + (index + 1) * BIN for moment in grants)
        for index in range(round(-3 / BIN), int((run.begin + load.seconds - at) / BIN))
    ]
    split = round(3 / BIN)
    before = sum(bins[:split]) / 3
    after = bins[split:]
    good = [i for i in range(len(after) - BINS + 1) if sum(after[i : i + BINS]) >= BACK * before * BIN * BINS]
    back = good[0] * BIN if good else None
    faults = len(check_permits(run.events))
    return Seen(name, before, min(after[: round(2 / BIN)], default=0), back, bins, left, faults)


def leftovers(store: Store, limits: Limits, run: Run) -> dict[str, float]:
    """What should be nothing when every call is over and the window has passed."""
    caller, part = Caller(limits.as_json()), partial(Keys().llm_part, ACCOUNT)
    client: Any = store.client

    def state() -> dict[str, float]:
        store.llm.tick(ACCOUNT, caller)
        sizes = {name: client.zcard(part(name)) for name in ("leases", "queue", "owners")}
        sizes |= {name: client.hlen(part(name)) for name in ("held", "waiters", "charges")}
        record = client.hgetall(part("state"))
        sums = {name: float(text) for name, text in record.items() if name.startswith(("used_", "kept_"))}
        found = sizes | {"cells": client.llen(part("cells"))} | sums | {"gated": float(record.get("gated", 0))}
        return {name: abs(size) for name, size in found.items() if size}

    # Nobody lives now who would tick: what a dead process left is taken back by whoever asks next.
    ends = time.monotonic() + limits.window_seconds + 3 * TTL_SECONDS
    while state() and time.monotonic() < ends:
        time.sleep(BIN)
    left = state()
    events = list(store.llm.events(ACCOUNT, run.events[-1].id if run.events else "0", 10_000))
    run.events += events
    spent = int(client.hget(part("spend"), "account:tokens") or 0)
    used = sum(settled(run.events).values())
    granted = {one.data["permit"] for one in run.events if one.type == "llm.permit"}
    ended = {one.data["permit"] for one in run.events if one.type in ("llm.settled", "llm.released")}
    return left | {name: size for name, size in
                   {"spend": abs(spent - used), "permits without an end": len(granted - ended)}.items() if size}  # fmt: skip
