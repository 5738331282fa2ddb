"""One run of chaos: a schedule from the seed, faults struck one after the other under load, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from random import Random

from chaos import history
from chaos.fault import Fault, Record, Scenario
from chaos.history import Hit
from chaos.models import check_calls, leftovers
from chaos.world import REFUSALS, World, world

DRAIN_SECONDS = 180.0
"""A user's task whose message was lost is sent again after 30 s, then 60 s: the end may take a few of these."""
LEFT_SECONDS = 20.0
"""Until the leases of calls whose workers died have run out."""
CLOSE_SHARE = 0.2
"""So many of the faults are followed by the next at once. A recovery that another fault ran into is not measured."""
RECOVERED_SECONDS = 10.0
CLAIMED_SECONDS = 1.0
"""Between the end of a lease and the next claim of its node."""
FELT_SECONDS = 10.0
"""So long after its healing a fault is a suspect of what is wrong."""


@dataclass
class Run:
    """What came of a run."""

    seed: int
    seconds: float
    records: dict[str, Record] = field(default_factory=dict)
    hits: list[Hit] = field(default_factory=list)
    goals: int = 0
    nodes: int = 0
    forgotten: int = 0
    violations: list[str] = field(default_factory=list)

    def record(self, fault: str) -> Record:
        return self.records.setdefault(fault, Record(fault))


def schedule(seed: int, faults: Sequence[Fault]) -> Iterator[tuple[Fault, Random]]:
    """Rounds of every fault in an order from the seed, each with chances of its own: endless, and the same every time."""
    serial = 0
    while True:
        order = list(faults)
        Random(f"{seed}:round:{serial}").shuffle(order)
        for fault in order:
            yield fault, Random(f"{seed}:fault:{serial}:{fault.name}")
        serial += 1


def run(
    seed: int, seconds: float, faults: Sequence[Fault], say: Callable[[str], None] = print, *, tasks: bool = True,
    workers: int = 3, callers: int = 0,
) -> Run:  # fmt: skip
    """Strike the usual world for so many seconds, at least once with something, then drain and check it."""
    made = Run(seed, seconds)
    possible = [fault for fault in faults if not _skip(made, fault)]
    with world(seed, workers, tasks, callers) as one:
        one.wait(one.warm, 60, "the first goals end")
        end = time.monotonic() + seconds
        for fault, chance in schedule(seed, possible):
            if time.monotonic() >= end:
                break
            strike(made, one, fault, chance, say)
        verdict(made, one, made.hits, say)
    return made


def play(seed: int, scenarios: Sequence[Scenario], say: Callable[[str], None] = print) -> Run:
    """Each scenario in its own world."""
    made = Run(seed, 0.0)
    for scenario in scenarios:
        if _skip(made, scenario):
            continue
        with scenario.make(seed) as one:
            one.wait(one.warm, 60, "the first goals end")
            strike(made, one, scenario, Random(f"{seed}:{scenario.name}"), say)
            one.go_on(3)
            verdict(made, one, made.hits[-1:], say)
    return made


def _skip(made: Run, fault: Fault | Scenario) -> bool:
    made.record(fault.name).skipped = fault.needs()
    return bool(made.record(fault.name).skipped)


def strike(made: Run, one: World, fault: Fault | Scenario, chance: Random, say: Callable[[str], None]) -> None:
    """Inject, let it last, heal, breathe."""
    record, known = made.record(fault.name), len(one.violations)
    ended = {pid for member in one.members for _, pid, _ in member.ends}
    one.notes.clear()
    struck = fault.inject(one, chance)
    hit = Hit(fault.name, struck.at or time.time(), pids=struck.pids)
    held = one.wait(lambda: one.held_by(struck.pids), 0.1) or set()
    one.go_on(chance.uniform(*fault.lasts))
    struck.heal()
    hit.healed = struck.since or (time.time() if fault.lasts[1] else hit.at)
    one.go_on(chance.uniform(0.3, 1.2))
    if chance.random() >= CLOSE_SHARE:
        one.wait(lambda: not held & one.held_by(struck.pids), RECOVERED_SECONDS)
        one.go_on(CLAIMED_SECONDS if held else 0)
    record.count += 1
    record.exits += len(
        {pid for member in one.members for _, pid, _ in member.ends} - ended - struck.pids - struck.ended
    )
    record.notes += one.notes
    record.violations += one.violations[known:]
    made.hits.append(hit)
    say(f"{time.strftime('%H:%M:%S')} {fault.name}: {'; '.join(filter(None, [struck.detail, *one.notes])) or 'done'}")


def verdict(made: Run, one: World, hits: Sequence[Hit], say: Callable[[str], None]) -> None:
    """Wait for the end of every goal, check every history, and measure the recoveries."""
    say(f"{time.strftime('%H:%M:%S')} faults are over; {len(one.running)} goals still run")
    one.loading = False
    goals = [*one.goals, *one.doubtful, *one.extra]
    one.wait(lambda: all(one.ended(goal) for goal in goals), DRAIN_SECONDS, "every accepted goal is terminal")
    if one.provider is not None:
        store = one.chordal.store
        one.wait(lambda: not leftovers(store), LEFT_SECONDS)
        one.violations += check_calls(store, one.provider)
    found = history.check(one)
    seen = history.histories(one.chordal.store, goals)
    commits = history.commit_times(seen)
    for hit, following in zip_longest(hits, hits[1:]):
        gap = history.recovery(hit, seen, commits)
        if gap is not None and (following is None or following.at > hit.at + gap):
            made.record(hit.fault).recoveries.append(round(gap, 3))
            made.record(hit.fault).claimable += [ready] if (ready := history.claimable(hit, seen)) is not None else []
    for goal, faults in found.items():
        for hit in _suspects(one, goal, hits):
            made.record(hit.fault).violations += faults
    one.violations += [fault for faults in found.values() for fault in faults]
    made.violations += one.violations
    made.goals += len(goals)
    made.nodes += len({key for key, moments in seen.items() if any(at.kind == "node.done" for at in moments)})
    made.forgotten += len(one.forgotten)


def _suspects(one: World, goal: str, hits: Sequence[Hit]) -> list[Hit]:
    """The faults that the goal lived through."""
    with suppress(*REFUSALS):
        summary = one.chordal.summary(goal)
        last = summary.ended or summary.read_at
        return [hit for hit in hits if hit.at <= last and hit.healed + FELT_SECONDS >= summary.created]
    return list(hits)
