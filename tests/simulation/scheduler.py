"""One heap of what happens next. The seed decides the order of what happens at once, and the faults."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

import redis

from simulation.faults import Weather
from simulation.post import Post
from simulation.wire import Operation, Receive, Steps, Wait

START_MS: Final = 4_000_000_000_000
"""Far ahead of the server's own clock."""
LATENCY_MS: Final = (0, 0, 0, 0, 1, 1, 2, 5)
STOP_MS: Final = (1500, 12_000)
"""How long a stopped process stands still: from half a lease to four."""
GHOST_MS: Final = 3000
"""How long a call that was sent twice may be under way: less than any goal is kept after its end."""


class Tally:
    """How often everything came about, over many seeds."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    def count(self, what: str, name: str, by: int = 1) -> None:
        self.counts.setdefault(what, Counter())[name] += by

    def add(self, other: dict[str, dict[str, int]]) -> None:
        """Take in what another process counted."""
        for what, names in other.items():
            for name, by in names.items():
                self.count(what, name, by)


@dataclass(eq=False, slots=True)
class Process:
    """One process: all its actors stop and die together."""

    name: str
    alive: bool = True
    stopped_until: int = 0
    actors: list[Actor] = field(default_factory=list)
    on_death: Callable[[], None] | None = None


@dataclass(eq=False, slots=True)
class Actor:
    """A thread of a process: a generator of requests."""

    process: Process
    steps: Steps


class Scheduler:
    """Time, order and faults."""

    def __init__(self, rng: Random, tally: Tally, echo: Callable[[str], None] | None = None) -> None:
        self.rng = rng
        self.tally = tally
        self.now = START_MS
        self.weather = Weather.of(rng)
        self.post = Post(self)
        self.operations = 0
        self.folder = "\0"
        """Its name differs from run to run and stays out of the trace."""
        self.faults: list[str] = []
        """What went wrong that must not: one line each."""
        self.tail: deque[str] = deque(maxlen=60)
        self.before: Callable[[Operation], None] = lambda _operation: None
        self._heap: list[tuple[int, float, int, Callable[[], None]]] = []
        self._processes: list[Process] = []
        self._serial = 0
        self._hash = hashlib.sha1(usedforsecurity=False)
        self._echo = echo

    @property
    def trace_hash(self) -> str:
        """The same for the same run."""
        return self._hash.hexdigest()[:16]

    def note(self, who: str, what: str) -> None:
        """One line of the trace."""
        line = f"{self.now - START_MS:>7} {who:<14} {what}".replace(self.folder, "...")
        self._hash.update(line.encode("utf-8", "replace"))
        self.tail.append(line)
        if self._echo is not None:
            self._echo(line)

    def at(self, delay_ms: int, event: Callable[[], None]) -> None:
        """Something happens after so many milliseconds."""
        self._serial += 1
        heappush(self._heap, (self.now + delay_ms, self.rng.random(), self._serial, event))

    def run(self, until: Callable[[], bool]) -> None:
        """Let things happen until that is so, or nothing is left to happen."""
        while self._heap and not until():
            at, _, _, event = heappop(self._heap)
            self.now = max(self.now, at)
            event()

    # -- processes --------------------------------------------------------------------------------------------------

    def spawn(self, process: Process, steps: Steps, delay_ms: int = 0) -> None:
        """A thread starts."""
        actor = Actor(process, steps)
        process.actors.append(actor)
        self._processes.append(process)
        self.at(delay_ms, lambda: self.resume(actor, None))

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        process.alive = False
        self.note(process.name, "is killed")
        for actor in process.actors:
            actor.steps.close()
        if process.on_death is not None:
            process.on_death()

    def end(self) -> None:
        """Nothing of this story may reach into the next one: what is still suspended is closed now, not when it is collected."""
        for process in self._processes:
            process.alive = False
            for actor in process.actors:
                actor.steps.close()
        self._processes.clear()
        self._heap.clear()

    def stop(self, process: Process) -> None:
        """SIGSTOP, and SIGCONT some time later."""
        process.stopped_until = self.now + self.rng.randint(*STOP_MS)
        self.note(process.name, f"is stopped for {process.stopped_until - self.now} ms")

    def resume(self, actor: Actor, reply: Any) -> None:
        """The actor goes on with a reply, or with the error that it sees in the place of one."""
        process = actor.process
        if not process.alive:
            return
        if process.stopped_until > self.now:
            self.at(process.stopped_until - self.now, lambda: self.resume(actor, reply))
            return
        try:
            request = actor.steps.throw(reply) if isinstance(reply, Exception) else actor.steps.send(reply)
        except StopIteration:
            process.actors.remove(actor)
            return
        if isinstance(request, Wait):
            self.at(request.ms, lambda: self.resume(actor, None))
        elif isinstance(request, Receive):
            self.post.receive(actor)
        else:
            self._send(actor, request)

    # -- operations -------------------------------------------------------------------------------------------------

    def _send(self, actor: Actor, operation: Operation) -> None:
        fault = self.weather.of_operation(operation.name, operation.reads)
        if fault:
            self.tally.count("fault", fault)
            self.note(actor.process.name, f"fault: {fault} at {operation.name}")
        if fault == "crash before":
            self.kill(actor.process)
            return
        if fault == "stopped before":
            self.stop(actor.process)
            self.at(actor.process.stopped_until - self.now, lambda: self._arrive(actor, operation, ""))
            return
        delay = self.rng.choice(LATENCY_MS)
        if fault == "slow":
            delay = self.rng.randint(20, 5000)
        self.at(delay, lambda: self._arrive(actor, operation, fault))
        if fault == "stopped":
            self.stop(actor.process)

    def _arrive(self, actor: Actor, operation: Operation, fault: str) -> None:
        if not actor.process.alive and fault != "crash after":
            return
        reply: Any = None
        if fault != "not sent":
            reply = self._perform(actor.process.name, operation)
        if fault == "resent":
            reply = self._perform(actor.process.name, operation)
        if fault == "ghost":
            self.at(self.rng.randint(1, GHOST_MS), lambda: self._haunt(operation))
        if fault == "crash after":
            self.kill(actor.process)
        elif fault in ("lost reply", "not sent"):
            self.resume(actor, redis.ConnectionError(fault))
        else:
            self.resume(actor, reply)

    def _haunt(self, operation: Operation) -> None:
        self._perform("ghost", operation)

    def _perform(self, who: str, operation: Operation) -> Any:
        self.operations += 1
        self.before(operation)
        try:
            reply = operation.action()
        except redis.ResponseError as error:
            self.faults.append(f"E1 {operation.goal}: {operation.name} failed in the script: {error}")
            self.note(who, f"{operation.name} {operation.goal} error {error}")
            return redis.ConnectionError(str(error))
        if not operation.reads:
            word = outcome(operation.name, reply)
            self.tally.count("operation", operation.name)
            if word:
                self.tally.count("outcome", f"{operation.name}={word}")
        self.note(who, f"{operation.name} {operation.goal} -> {str(reply)[:300]}")
        return reply


def outcome(name: str, reply: Any) -> str:
    """The word in a script's reply that says what happened."""
    if isinstance(reply, list) and name == "reap" and len(reply) >= 4:
        return str(reply[3])
    if name == "renew":
        return "lost" if reply else "renewed"
    first = reply[0] if isinstance(reply, list) and reply else reply
    return first if isinstance(first, str) and name.islower() else ""
