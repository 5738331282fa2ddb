"""From `echo PAUSE >> file` to the last claim: with a watcher that is told of changes, and without one."""

from __future__ import annotations

import math
import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.control import fleet
from bench.control.section import Options
from bench.llm.section import Cell, Section, Table, Target
from bench.processes import Processes, processes, until
from orchestrator.control.files.parts import this_host
from orchestrator.wiring import Chordal

NODE_SECONDS: Final = 0.02
TARGET_SECONDS: Final = 1.0
HOW: Final = """
A goal of nodes beside each other that sleep 20 ms runs on a worker of two processes beside beat. A shell does `echo PAUSE >> file`
at a random moment; the clock is read before it starts. Seconds are those until the script that pauses the goal, by the time that
Redis gives its event (server and shell are on this machine and share its clock); that no claim comes behind it is
looked up in the goal's events. Then the goal is resumed from Python, and after half a second to a second it begins again.

*Told*: the watcher in the worker is told by the system. *Looks*: a worker of greenlets, where the watcher looks every 0.25 s. *beat alone*:
somebody else holds the watcher's lease and does nothing, so that only beat looks, every 2 s.
"""


@dataclass(frozen=True, slots=True)
class Try:
    """One PAUSE."""

    seconds: float
    """From before the shell to the event."""
    late: int
    """Claims behind it."""


def measure(options: Options) -> Section:
    """The three ways, one after the other."""
    section = Section("pause", "From `echo PAUSE >> file` to no new claim", HOW)
    rows: list[Sequence[Cell]] = []
    for name, pool, tries in (
        ("told", "prefork", options.tries), ("looks", "gevent", options.others), ("beat alone", "prefork", options.others),
    ):  # fmt: skip
        if not tries:
            continue
        found = _measured(name, pool, tries, options)
        seconds = sorted(one.seconds for one in found)
        late = sum(one.late for one in found)
        rows.append((name, len(found), *(round(_share(seconds, at), 3) for at in (0.5, 0.9, 0.99, 1.0)), late))
        section.data[name] = [one.seconds for one in found]
        if name == "told":
            p99 = _share(seconds, 0.99)
            section.targets.append(Target.most("from echo to no new claim, p99", p99, TARGET_SECONDS, " s"))
        section.targets.append(Target.most(f"claims behind the pause, {name}", late, 0))
        options.tell(f"{name}: p50 {_share(seconds, 0.5):.3f} s, p99 {_share(seconds, 0.99):.3f} s")
    head = ("watcher", "tries", "p50 s", "p90 s", "p99 s", "longest s", "claims behind it")
    section.tables.append(Table("", head, rows))
    return section


def _measured(name: str, pool: str, tries: int, options: Options) -> list[Try]:
    with processes() as place:
        if name == "beat alone":
            _hold_lease(place)
        chordal = fleet.start(place, pool)
        goal = fleet.goal(chordal, options.nodes, NODE_SECONDS)
        (path,) = fleet.files(chordal, place.folder, goal, 1)
        time.sleep(options.settle_seconds)
        return [_try(chordal, goal, path) for _ in range(tries)]


def _try(chordal: Chordal, goal: str, path: Path) -> Try:
    time.sleep(0.5 + random.random() / 2)
    begun = time.time()
    subprocess.run(["sh", "-c", 'echo PAUSE >> "$0"', str(path)], check=True)
    until(lambda: chordal.summary(goal).state.value == "PAUSED", 20, "the goal is paused", pause=0.05)
    time.sleep(0.3)  # claims that come after all would show by now
    events = chordal.events(goal, after=f"{int(begun * 1000) - 1}-0", limit=10_000)
    at = next(index for index, event in enumerate(events) if event.type == "goal.paused")
    late = sum(event.type == "node.claimed" for event in events[at:])
    chordal.resume(goal)
    return Try(events[at].at - begun, late)


def _hold_lease(place: Processes) -> None:
    """Be the watcher of this machine, and watch nothing."""
    from orchestrator.store.keys import Keys
    from orchestrator.store.store import Store

    store = Store(place.url, Keys(), 2000)
    store.files.watch(this_host(), "nobody", 3_600_000)
    store.close()


def _share(ordered: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
