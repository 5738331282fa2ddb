"""What a SIGKILL costs: a chain of 20 steps of 0.5 s, its worker killed in the seventh, started again a second later."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench import steps
from bench.install import interpreter
from bench.processes import BenchError, Processes, processes, until
from bench.systems import System

STEPS: Final = 20
STEP_SECONDS: Final = 0.5
KILL_IN: Final = 6
"""The step, counted from 0, in which the worker dies."""
AWAY_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 45.0
"""When no step begins within this time after the kill, the figure is that none did."""
FLEET_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """One kill."""

    system: str
    next_step: float | None
    """Seconds from the kill to the next beginning of a step, the second without a worker included; None: none began."""
    repeated: int
    """Steps that began more than once."""
    completed: bool
    """Whether the last step was reached."""
    why: str = ""
    """Why no step began, where that is known."""

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


def measure(system: System, tell: Callable[[str], None]) -> Recovery:
    """Kill once. Raises BenchError when the chain does not even begin."""
    if system.stepper is None:
        raise BenchError(f"{system.name} has nothing to kill")
    with processes(system.server, interpreter(system)) as place:
        place.extra["BENCH_CHAIN"] = f"{STEPS} {STEP_SECONDS}"
        done = _kill(system, place, system.stepper)
    tell(f"recovery of {system.name}: {done.next_step and round(done.next_step, 2)} s")
    return done


def _kill(system: System, place: Processes, stepper: Callable[[Processes], Any]) -> Recovery:
    file = place.folder / "steps"
    worker = stepper(place)
    if system.beside is not None:
        system.beside(place)
    if system.submits:
        place.steps("submit", system.client)
    begun = f"step {KILL_IN} of {system.name} begins"
    until(lambda: any(step.at == KILL_IN for step in steps.read(file)), FLEET_SECONDS + STEPS, begun)
    time.sleep(STEP_SECONDS / 2)
    place.kill(worker)
    killed = time.time()
    before = len(steps.read(file))
    time.sleep(AWAY_SECONDS)
    stepper(place)
    try:
        until(lambda: len(steps.read(file)) > before, PATIENCE_SECONDS - AWAY_SECONDS, "a step after the kill")
    except BenchError:
        return Recovery(system.name, None, 0, False, system.never)
    taken = steps.read(file)
    again = taken[before].began - killed
    try:
        until(lambda: steps.read(file)[-1].at == STEPS - 1, PATIENCE_SECONDS, "the last step begins")
        completed = True
    except BenchError:
        completed = False
    counts = Counter(step.at for step in steps.read(file))
    return Recovery(system.name, again, sum(count > 1 for count in counts.values()), completed)
