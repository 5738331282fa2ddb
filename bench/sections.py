"""The parts of a run, in order. Each keeps what it measures at once; when one fails the others go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import idle, makespan, polite, recovery, run, scale
from bench.results import Results
from bench.systems import CELERY, CHORDAL, System

SMOKE_SIZES: Final = (200, 500)
SECTIONS: Final = ("beside", "scale", "makespan", "idle", "polite", "recovery")
SMOKE_SECTIONS: Final = ("beside", "scale")


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the benchmark."""

    results: Results
    out: Path
    repetitions: int
    kills: int
    smoke: bool
    tell: Callable[[str], None]

    def section(self, name: str) -> None:
        """Measure one of SECTIONS."""
        self.results.attempt(name, getattr(self, name), self.tell)
        self.results.write(self.out)

    def beside(self) -> None:
        """The workloads, on every system."""
        repetitions = 1 if self.smoke else self.repetitions
        run.interleaved(self.results.systems, self.results.plan, repetitions, self.tell, self._keep, self._lost)

    def _keep(self, done: run.Repetition) -> None:
        self.results.repetitions.append(done)
        self.results.write(self.out)

    def _lost(self, name: str, reason: str) -> None:
        self.results.lost(name, reason, self.tell)

    def scale(self) -> None:
        """Goals that grow."""
        self.results.scale = scale.measure(SMOKE_SIZES if self.smoke else scale.SIZES, self.tell)

    def makespan(self) -> None:
        """Sleeping nodes."""
        for pool in makespan.SMALL_POOLS if self.smoke else makespan.POOLS:
            shapes, times = (makespan.SMALL, 1) if self.smoke else (makespan.SHAPES, makespan.TIMES)
            self.results.makespan += makespan.measure(pool, shapes, times, self.tell)
            self.results.write(self.out)

    def idle(self) -> None:
        """A fleet without work."""
        for system in (CHORDAL, CELERY):
            self.results.idle.append(idle.measure(system, self.tell, 3.0 if self.smoke else idle.SECONDS))

    def polite(self) -> None:
        """What others wait for behind a crowd."""
        tiny, times = (2000, 1) if self.smoke else (polite.TINY, polite.TIMES)
        self.results.polite = polite.measure(self.tell, tiny, times)

    def recovery(self) -> None:
        """Kills, the systems in turn."""
        for number in range(1 if self.smoke else self.kills):
            for system in self.results.systems:
                # Once is enough where nothing goes on soon: each time is a long wait.
                if system.stepper is not None and not (number and system.never):
                    self.results.attempt(f"recovery of {system.name}", partial(self._kill, system), self.tell)
                    self.results.write(self.out)

    def _kill(self, system: System) -> None:
        self.results.recovery.append(recovery.measure(system, self.tell))
