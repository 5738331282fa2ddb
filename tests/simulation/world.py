"""One seed from its first message to the last key that is removed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from orchestrator.engine.patch import Patcher
from orchestrator.engine.registry import Registry
from orchestrator.settings import Settings
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from orchestrator.wiring import Chordal
from simulation import actors, commands, fakes, nodes, plans, talks
from simulation.ears import Ears
from simulation.judge import OPEN, Inspector
from simulation.scheduler import START_MS, Process, Scheduler, Tally
from simulation.truth import Truth
from simulation.wire import Operation, Steps

BOUND_MS = 600_000
"""Within this time after the faults have healed everything that was accepted must have ended."""
MOST_OPERATIONS = 20_000
"""A seed that needs more runs in circles."""
ENDED = ("DONE", "FAILED", "CANCELLED")


class World(Scheduler):
    """Goals, processes and faults of one seed on an empty server."""

    def __init__(
        self, seed: int, url: str, folder: Path, tally: Tally, echo: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(Random(seed), tally, echo)
        self.folder = str(folder)
        self.truth = Truth()
        self.submitting = 0
        self._ended = False
        self.registry = Registry()
        rng = self.rng
        self.brief = rng.random() < 0.3
        """Goals are removed soon after their end, so that late calls find them gone."""
        self._age = rng.choice([0, 3600])
        """Of the server, in seconds, when the story begins."""
        ttl = 4.0 if self.brief else 3600.0
        own = {
            "redis_url": url, "data_dir": folder, "dispatch_seconds": 0.4, "backoff_seconds": 0.2, "inline_bytes": 1024,
            "lost_limit": rng.choice([2, 3, 6]), "pack_limit": rng.choice([1, 4, 16]), "done_ttl_seconds": ttl,
            "failed_ttl_seconds": ttl * 1.5, "cancelled_ttl_seconds": ttl, "building_ttl_seconds": 10.0,
            "record_digests": True,
        }  # fmt: skip
        self.settings = _defaults().model_copy(update=own)
        with self._in_place():
            self.store = Store(url, Keys(), 400)
            self.store.client.flushall()
            nodes.register(self)
            self.inspector = Inspector(self)
            self.ears = Ears.of(rng)
            self.ears.introduce(self.store)
            self.before = self._before
            self.slow, self.quick = rng.choice([0.0, 0.05, 0.3, 0.6]), rng.random() < 0.5
            names = [f"g{index}" for index in range(rng.randint(1, 3))]
            self.documents = {name: plans.document(rng, name) for name in names}

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        with fakes.in_place(self), _errors_of_the_engine(self.faults):
            yield

    def live(self) -> None:
        """Run the whole story; what is wrong stands in `faults`."""
        with self._in_place():
            try:
                self._live()
            finally:
                self.end()
                self.store.close()

    def _live(self) -> None:
        self._start()
        horizon = self.now + self.rng.choice([2_000, 8_000, 20_000])
        self.at(horizon - self.now, lambda: None)  # lest the heap run dry
        self.run(lambda: self.now >= horizon or self._broken())
        self._heal()
        bound = self.now + BOUND_MS
        self._look_again()
        self.run(lambda: self.now >= bound or self._broken() or self._ended)
        if not self.faults:
            self._after(bound)

    def _broken(self) -> bool:
        return bool(self.faults or self.truth.twice) or self.operations > MOST_OPERATIONS

    def _after(self, bound: int) -> None:
        if self.truth.twice:
            self.faults.extend(self.truth.twice)
        elif not self._ended:
            self.faults += self.inspector.unfinished(self.now >= bound)
        else:
            self.inspector.everything()
            if not self.faults:
                self.inspector.removal()

    # -- processes --------------------------------------------------------------------------------------------------

    def parts(self, name: str) -> Chordal:
        """The engine as one process has it."""
        app: Any = None
        parts = Chordal(self.settings, app, self.settings.redis_url or "")
        parts.registry = self.registry
        parts.committer.name = name
        parts.kinds.agents = partial(talks.Talkers, self, parts)
        if self.quick:  # the worker has run such nodes before: it takes packs, and runs ahead
            for call in ("work", ""):
                parts.runner.durations.note(call, 0.0)
        parts.keeper._pid = fakes.PID  # no thread: the keeper is an actor
        self.ears.listen(self, parts)
        return parts

    def patcher(self, parts: Chordal) -> Patcher:
        return parts.patcher

    def _start(self) -> None:
        rng = self.rng
        for index in range(rng.randint(1, 4)):
            self._worker(f"w{index}", 0)
        for index in range(rng.choice([1, 1, 1, 2])):
            self._process(f"b{index}", 0, lambda parts: [actors.beat(self, parts)], again=True)
        for name, document in self.documents.items():
            for index in range(rng.choice([1, 1, 2, 3])):
                self._submitter(f"s{name}{index}", document)
        for index in range(rng.choice([0, 1, 1, 2])):
            self._process(f"c{index}", 0, lambda parts: [commands.commander(self, parts)], again=False)

    def _worker(self, name: str, delay_ms: int) -> None:
        threads = self.rng.choice([1, 1, 2])
        self._process(
            name, delay_ms,
            lambda parts: [*(actors.worker(self, parts) for _ in range(threads)), actors.keeper(self, parts)], again=True,
        )  # fmt: skip

    def _submitter(self, name: str, document: dict[str, Any]) -> None:
        self.submitting += 1
        process = self._process(name, 0, lambda parts: [actors.submitter(self, parts, document)], again=False)

        def died() -> None:
            self.submitting -= 1
            if self.rng.random() < 0.7:  # whoever wanted the goal asks again
                self._submitter(f"{name}+", document)

        process.on_death = died

    def _process(
        self, name: str, delay_ms: int, threads: Callable[[Chordal], list[Steps]], *, again: bool, life: int = 1
    ) -> Process:
        full = f"{name}#{life}"
        process = Process(full)
        for thread in threads(self.parts(full)):
            self.spawn(process, thread, delay_ms)

        def died() -> None:
            if again:
                self._process(name, self.rng.randint(100, 3000), threads, again=True, life=life + 1)

        process.on_death = died
        return process

    def _heal(self) -> None:
        self.note("weather", "is calm from now on")
        self.weather.calm = True
        self._process("caretaker", 0, lambda parts: [commands.caretaker(self, parts)], again=False)

    # -- what actors may look at ------------------------------------------------------------------------------------

    @property
    def uptime(self) -> int:
        """Seconds since the server was started."""
        return self._age + (self.now - START_MS) // 1000

    def duration_ms(self) -> int:
        """How long a node works."""
        rng = self.rng
        if rng.random() < self.slow:
            return rng.randint(200, 9000)
        return 0 if self.quick else rng.choice([0, 0, 1, 5, 60])

    def some_goal(self) -> tuple[str, str]:
        """A goal to command, and its state as the commander last saw it."""
        known = self.store.goals.newest(0, 100)
        goal = self.rng.choice(sorted(self.documents) + known)
        return goal, self.store.goals.field(goal, "state") or ""

    def some_nodes(self, goal: str) -> tuple[str, str]:
        """Two nodes of a goal, preferably such as have not ended."""
        names = sorted(self.store.goals.part(goal, "nodes"))
        tasks = self.store.nodes.states(goal, names)
        still = [name for name, task in zip(names, tasks, strict=True) if task.get("state") in OPEN]
        pool = still if still and self.rng.random() < 0.8 else [*names, "n0"]
        return self.rng.choice(pool), self.rng.choice(pool)

    def some_node(self, goal: str, sort: str) -> str:
        """A node of an agent, or of a deferred tool, if the goal has one."""
        specs = {name: json.loads(spec) for name, spec in self.store.goals.part(goal, "nodes").items()}
        found = sorted(name for name, spec in specs.items() if spec.get("kind") == sort or sort in spec)
        return self.rng.choice(found) if found else ""

    def some_failed(self, goal: str) -> str:
        """A node of a goal that FAILED, if there is one."""
        names = sorted(self.store.goals.part(goal, "nodes"))
        tasks = self.store.nodes.states(goal, names)
        found = [name for name, task in zip(names, tasks, strict=True) if task.get("state") == "FAILED"]
        return self.rng.choice(found) if found else ""

    def open_goals(self) -> list[tuple[str, str, list[tuple[str, str]]]]:
        """Goals that have not ended, with what their parked nodes wait for."""
        found = []
        for goal in self.store.goals.newest(0, 1000):
            record = self.store.client.hgetall(self.store.keys.goal(goal))
            state = record.get("state", "")
            if state and state not in ENDED:
                parked = self.store.client.hgetall(self.store.keys.part(goal, "parked"))
                notes = [(node, str(json.loads(raw)["reason"])) for node, raw in sorted(parked.items())]
                found.append((goal, state, notes))
        return found

    def _look_again(self) -> None:
        """Whether all has ended, every half second."""
        self._ended = self.submitting == 0 and not self.open_goals()
        if not self._ended:
            self.at(500, self._look_again)

    def _before(self, operation: Operation) -> None:
        if operation.name == "remove":
            self.inspector.before_removal(operation.goal)


@cache
def _defaults() -> Settings:
    return Settings()


@contextmanager
def _errors_of_the_engine(faults: list[str]) -> Iterator[None]:
    """What the engine logs as an exception of its own is a fault: it only goes on because it must."""

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info is not None and record.levelno >= logging.ERROR:
                error = record.exc_info[1]
                faults.append(f"E2 {record.getMessage()}: {type(error).__name__}: {error}")

    logger, handler = logging.getLogger("orchestrator"), Collect()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
