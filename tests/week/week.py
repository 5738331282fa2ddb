"""The week: a heap of what happens when, beat's duties among it, on a clock that jumps from one to the next."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from orchestrator.domain.errors import ChordalError
from orchestrator.engine.duty import Duty
from orchestrator.events.fleet import check_fleet
from orchestrator.settings import Settings
from orchestrator.store.fleet import Tick, Worker
from orchestrator.store.store import Store
from support.crew import Crew
from week.clock import Clock, timed_store
from week.people import People

HOUR: Final = 3600.0
WORKER: Final = Worker("w@week", 1, 8, ("default", "gpu", "q0", "q1", "q2"), "prefork", 0.0)
STAYS: Final = ("beat:", "fleet:", "{control}:", "goals:idem:")
"""What is left when every goal is gone: of beat and the fleet, each bounded."""
SAMPLED: Final = 50
"""Every so many ticks of a duty its commands are counted."""


@dataclass
class Day:
    """What was measured in one simulated day."""

    memory: list[int] = field(default_factory=list)
    """Bytes that Redis uses, once an hour."""
    keys: list[int] = field(default_factory=list)
    goals: list[int] = field(default_factory=list)


@dataclass
class Week:
    """What came of it."""

    days: list[Day] = field(default_factory=list)
    ticks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds that each tick of a duty took."""
    commands: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Redis commands of single ticks, those inside scripts too."""
    notes: dict[str, str] = field(default_factory=dict)
    submitted: int = 0
    retried: int = 0
    left: list[str] = field(default_factory=list)
    """Keys that are there at the end and should not be."""
    violations: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    total_commands: int = 0
    seconds: float = 0.0
    """Of the real clock."""


@dataclass(frozen=True)
class Plan:
    """How long and how full the week is."""

    goals: int
    days: float = 7.0
    seed: int = 1
    pace: float = 30.0
    """Beat ticks that many times more rarely than in earnest; what is due is done all the same."""
    hour: float = HOUR
    """Seconds that an hour has in this week, for people and for times to live; leases and duties have their own."""


class Run:
    """One week on an empty server."""

    def __init__(self, store: Store, clock: Clock, folder: Path, plan: Plan) -> None:
        self.clock, self.store, self.week, self._pace = clock, store, Week(), plan.pace
        usual, share = Settings(), plan.hour / HOUR
        ttl = {
            f"{end}_ttl_seconds": getattr(usual, f"{end}_ttl_seconds") * share
            for end in ("done", "failed", "cancelled")
        }
        self.crew = Crew(store, folder, worker_stale_seconds=10 * plan.pace, **ttl)
        self.people = People(self.crew, Random(plan.seed), plan.hour)
        days, goals = plan.days, plan.goals
        self._day = 24 * plan.hour
        self._until = clock.now_ms + round(days * self._day * 1000)
        self._goals, self._gap = goals, days * self._day / goals
        self._order = count()
        self._heap: list[tuple[int, int, Callable[[], object]]] = []
        self._refused = 0
        self._hygiene = plan.pace * usual.hygiene_seconds
        self._empty_since = clock.now_ms

    # -- what happens -------------------------------------------------------------------------------------------------

    def _at(self, seconds: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._heap, (self.clock.now_ms + round(seconds * 1000), next(self._order), act))

    def _arrive(self) -> None:
        story = self.people.arrive()
        self._go_on(story)
        if self.people.submitted < self._goals:
            self._at(self._gap * self.people.chance.uniform(0.5, 1.5), self._arrive)

    def _go_on(self, story: Iterator[Any]) -> None:
        for seconds, act in story:
            self._at(seconds, partial(self._try, act))

    def _try(self, act: Callable[[], object]) -> None:
        """People come too late now and then, and are told so."""
        try:
            act()
        except ChordalError:
            self._refused += 1

    def _tick(self, duty: Duty) -> None:
        sampled = len(self.week.ticks[duty.name]) % SAMPLED == 0
        before = self._commands() if sampled else 0
        begun = time.perf_counter()
        note = duty.act()
        took = time.perf_counter() - begun
        if sampled:
            self.week.commands[duty.name].append(self._commands() - before - 1)
            self.store.fleet.record_ticks({duty.name: Tick(took, duty.seconds, note)})
            self.week.notes[duty.name] = note
        self.week.ticks[duty.name].append(took)
        self._at(0.02 if duty.left() else duty.seconds * self._pace, lambda: self._tick(duty))

    def _commands(self) -> int:
        return int(self.store.client.info("stats")["total_commands_processed"])

    def _sample(self) -> None:
        if self.clock.now_ms < self._until:
            at = int((self._until - self.clock.now_ms - 1) // (self._day * 1000))
            day = self.week.days[-1 - at] if at < len(self.week.days) else self.week.days[0]
            day.memory.append(int(self.store.client.info("memory")["used_memory"]))
            day.keys.append(int(self.store.client.dbsize()))
            day.goals.append(int(self.store.client.zcard(self.store.keys.index)))
            self._empty_since = self.clock.now_ms
        elif self.store.client.zcard(self.store.keys.index):
            self._empty_since = self.clock.now_ms
        self._at(self.people.hour / 4, self._sample)

    # -- the story ----------------------------------------------------------------------------------------------------

    def live(self, show: Callable[[str], None]) -> Week:
        """Live through it, and through the days after it in which the last goals go."""
        begun = time.monotonic()
        self.week.days = [Day() for _ in range(max(1, round((self._until - self.clock.now_ms) / 1000 / self._day)))]
        self.store.fleet.beat(WORKER)
        for duty in self.crew.duties.all():
            self._at(0, partial(self._tick, duty))
        self._at(0, self._heartbeat)
        self._at(0, self._sample)
        self._at(0, self._arrive)
        hour = 0
        while not self._over():
            self.clock.now_ms, _, act = heapq.heappop(self._heap)
            act()
            self.crew.work(100_000)
            if (passed := self._hours()) >= hour + 6:
                hour = passed
                show(
                    f"hour {hour}: {self.people.submitted} goals came, {self.store.client.zcard(self.store.keys.index)} are there"
                )
        self._end(begun)
        return self.week

    def _heartbeat(self) -> None:
        self.store.fleet.beat(WORKER)
        self._at(self._pace, self._heartbeat)

    def _hours(self) -> int:
        length = self._goals * self._gap / self.people.hour
        return int(length - (self._until - self.clock.now_ms) / 1000 / self.people.hour)

    def _over(self) -> bool:
        """Every goal is gone, and hygiene has walked over all keys since, twice."""
        late = self.clock.now_ms - self._until
        if late < 0 or self.people.submitted < self._goals:
            return False
        return (
            self.clock.now_ms - self._empty_since > max(2 * self.people.hour, 10 * self._hygiene) * 1000
            or late > 10 * self._day * 1000
        )

    def _end(self, begun: float) -> None:
        week, client = self.week, self.store.client
        week.submitted, week.retried = self.people.submitted, self.people.retried
        week.left = sorted(key for key in client.scan_iter(count=1000) if not key.startswith(STAYS))
        week.violations = [str(one) for one in check_fleet(self.store, alone=True)]
        week.totals = self.store.upkeep.totals()
        week.total_commands = self._commands()
        week.seconds = time.monotonic() - begun
        folder = self.crew.wired.settings.data_dir / "artifacts"
        week.left += [str(path.relative_to(folder)) for path in folder.rglob("*.json")]


def live(url: str, folder: Path, plan: Plan, show: Callable[[str], None] = lambda _: None) -> Week:
    """A week on an empty server."""
    clock = Clock()
    with timed_store(url, clock, 2000) as store:
        return Run(store, clock, folder, plan).live(show)
