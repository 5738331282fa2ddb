"""What others wait for behind a goal of 10,000 tiny nodes: a second goal, a PAUSE, and a node of one second.

A time slice is what a goal may take in a row, so it is what each of the three should wait at most.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.chordal_client import FLEET_SECONDS
from bench.graphs import chain, dag, document
from bench.processes import BenchError, processes, until
from bench.systems import CHORDAL
from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import GOAL_TERMINAL, GoalState
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

TINY: Final = 10_000
WIDTH: Final = 50
TIMES: Final = 5
POLL_SECONDS: Final = 0.001
LONG_SECONDS: Final = 1.0

WHAT: Final[Mapping[str, str]] = {
    "idle": "a goal of one node on an idle fleet, until it is done",
    "second goal": "a second goal of one node, until it is done",
    "long, another goal": "a second goal of one node of 1 s, until it begins",
    "long, same goal": "a node of 1 s half-way down the same goal, from its last parent until it begins",
    "pause": "PAUSE, until the last claim after it",
}


@dataclass(frozen=True, slots=True)
class Polite:
    """One question. Waits are seconds."""

    what: str
    slice_seconds: float
    waits: list[float] = field(default_factory=list)

    @property
    def slices(self) -> float:
        """The median in time slices."""
        return statistics.median(self.waits) / self.slice_seconds

    def as_json(self) -> dict[str, Any]:
        """With what follows from the measurements."""
        return {**asdict(self), "median": statistics.median(self.waits), "most": max(self.waits), "slices": self.slices}


def measure(tell: Callable[[str], None], tiny: int = TINY, times: int = TIMES) -> list[Polite]:
    """Every question, `times` each, on one fleet of two processes."""
    with processes() as place:
        CHORDAL.start(place)
        chordal = connect(Settings(redis_url=place.url, data_dir=place.folder / "data"))
        until(lambda: chordal.live_workers() and chordal.store.fleet.slots(), 30, "a worker and a beat")
        time.sleep(FLEET_SECONDS)
        asked = _Asked(chordal, tiny)
        asked.ended(asked.crowd())  # warm
        questions = {
            "idle": lambda: asked.single(False), "second goal": lambda: asked.single(True),
            "long, another goal": asked.another, "long, same goal": asked.same, "pause": asked.pause,
        }  # fmt: skip
        done = []
        for what, ask in questions.items():
            one = Polite(what, chordal.settings.slice_seconds, [ask() for _ in range(times)])
            tell(f"{what}: {one.slices:.2f} slices")
            done.append(one)
        chordal.store.close()
    return done


class _Asked:
    """The questions, each on a crowd of its own."""

    def __init__(self, chordal: Chordal, tiny: int) -> None:
        self._chordal, self._tiny = chordal, tiny
        self._graph = dag(tiny, tiny // WIDTH)

    def crowd(self, long: str = "") -> str:
        """Submit the tiny nodes; the node `long` takes a second."""
        goal = document(self._graph)
        for node in goal["nodes"]:
            if node["id"] == long:
                node.update(call="bench.nodes:nap", inputs={"seconds": LONG_SECONDS})
        return self._chordal.submit(goal)

    def busy(self) -> str:
        """A crowd whose nodes are being run."""
        name = self.crowd()
        until(lambda: self._left(name) < 0.95 * self._tiny, 60, "the crowd runs", POLL_SECONDS)
        return name

    def _left(self, name: str) -> int:
        return int(self._chordal.store.goals.field(name, "left") or 0)

    def ended(self, name: str) -> None:
        """Wait until a goal has ended."""
        until(lambda: self._state(name) in GOAL_TERMINAL, 120, f"{name} ends", POLL_SECONDS)

    def _state(self, name: str) -> str:
        return str(self._chordal.store.goals.field(name, "state"))

    def single(self, crowded: bool) -> float:
        """From the submission of a goal of one node to its end, by the server's clock."""
        crowd = self.busy() if crowded else None
        name = self._chordal.submit(document(chain(1)))
        self.ended(name)
        return self._between(name, EventType.NODE_DONE, crowd)

    def another(self) -> float:
        """From the submission of a goal of one long node to its claim."""
        crowd = self.busy()
        goal = document(chain(1), "bench.nodes:nap")
        goal["nodes"][0]["inputs"] = {"seconds": LONG_SECONDS}
        name = self._chordal.submit(goal)
        self.ended(name)
        return self._between(name, EventType.NODE_CLAIMED, crowd)

    def same(self) -> float:
        """From the commit of the long node's last parent to its claim; half-way down the goal."""
        long = list(self._graph)[self._tiny // 2]
        name = self.crowd(long)
        self.ended(name)
        events = self._events(name)
        ready = max(e.at for e in events if e.node in self._graph[long] and e.type == EventType.NODE_DONE)
        return next(e.at for e in events if e.node == long and e.type == EventType.NODE_CLAIMED) - ready

    def pause(self) -> float:
        """From the call to the last claim, both by the server's clock; 0 when none came after it."""
        name = self.busy()
        seconds, micros = self._chordal.store.client.time()
        called = float(seconds + micros / 1e6)
        self._chordal.pause(name)
        if self._state(name) != GoalState.PAUSED:
            raise BenchError("the crowd had ended before it was paused: nothing was measured")
        time.sleep(5 * self._chordal.settings.slice_seconds)
        claims = [event.at for event in self._events(name) if event.type == EventType.NODE_CLAIMED]
        self._chordal.cancel(name)
        self.ended(name)
        return max(0.0, max(claims) - called)

    def _between(self, name: str, last: str, crowd: str | None) -> float:
        """From the goal's start to its event `last`, which must be before the crowd's end."""
        at: Mapping[str, float] = {event.type: event.at for event in self._events(name)}
        if crowd:
            self.ended(crowd)
            if (self._chordal.summary(crowd).ended or 0.0) < at[last]:
                raise BenchError("the crowd had ended before what it should delay: nothing was measured")
        return at[last] - at[EventType.GOAL_STARTED]

    def _events(self, name: str) -> list[Event]:
        found: list[Event] = []
        while page := self._chordal.events(name, found[-1].id if found else "0", limit=10_000):
            found += page
        return found
