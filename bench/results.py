"""The results of a run: kept in memory, and in a file that is written again after every measurement."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.client import Plan
from bench.idle import Idle
from bench.makespan import Makespan
from bench.polite import Polite
from bench.recovery import Recovery
from bench.run import Repetition, rows
from bench.scale import Scale
from bench.scale import as_json as scales_as_json
from bench.systems import System, modes
from bench.targets import standings


@dataclass
class Results:
    """Everything that was measured so far. What could not be measured is in `missing`, with the reason."""

    date: str
    machine: Mapping[str, Any]
    plan: Plan
    systems: list[System] = field(default_factory=list)
    repetitions: list[Repetition] = field(default_factory=list)
    scale: list[Scale] = field(default_factory=list)
    makespan: list[Makespan] = field(default_factory=list)
    recovery: list[Recovery] = field(default_factory=list)
    idle: list[Idle] = field(default_factory=list)
    polite: list[Polite] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """How long the run has taken."""

    def as_json(self) -> dict[str, Any]:
        """What goes to the file and what tables, page and plots are made from."""
        made = {
            "date": self.date,
            "seconds": round(self.seconds),
            "machine": self.machine,
            "plan": asdict(self.plan),
            "systems": {system.name: list(system.requirements) for system in self.systems},
            "modes": modes(),
            "rows": [row.as_json() for row in rows(self.repetitions)],
            "scale": scales_as_json(self.scale) if self.scale else [],
            "makespan": [one.as_json() for one in self.makespan],
            "recovery": [one.as_json() for one in self.recovery],
            "idle": [one.as_json() for one in self.idle],
            "polite": [one.as_json() for one in self.polite],
            "missing": self.missing,
            "repetitions": [asdict(repetition) for repetition in self.repetitions],
        }
        return {**made, "targets": [standing.as_json() for standing in standings(made)]}

    def write(self, path: Path) -> None:
        """All of it, so that a run that is broken off keeps what it has. Never half a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.as_json(), indent=1) + "\n")
        new.replace(path)

    def attempt(self, what: str, measure: Callable[[], None], tell: Callable[[str], None]) -> None:
        """One measurement; when it fails the others go on."""
        try:
            measure()
        except Exception as error:  # whatever it was: the run has hours of other figures to keep
            self.lost(what, f"{type(error).__name__}: {error}", tell)

    def lost(self, what: str, reason: str, tell: Callable[[str], None]) -> None:
        """Note that something is not measured, and why."""
        self.missing[what] = reason[:4000]
        tell(f"not measured: {what}: {reason}")


def read(path: Path) -> dict[str, Any]:
    """The results of an earlier run. Raises OSError and ValueError."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found
