"""What a fleet costs that has nothing to do: commands that the server carries out, and time of the processors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import redis

from bench.machine import cpu_seconds
from bench.processes import processes
from bench.scale import calls
from bench.systems import System

SECONDS: Final = 30.0
WARM_SECONDS: Final = 6.0
"""Start-up is over and every duty of beat has run once."""
OWN: Final = frozenset({"info", "config|resetstat"})


@dataclass(frozen=True, slots=True)
class Idle:
    """A 2-process worker, with beat where the system has one."""

    system: str
    seconds: float
    commands_a_second: float
    """All that the server carried out, those inside scripts included."""
    commands: Mapping[str, float]
    """The same by command, the most frequent first."""
    cpu_percent: float
    """Of one CPU: fleet and server."""

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


def measure(system: System, tell: Callable[[str], None], seconds: float = SECONDS) -> Idle:
    """Watch a fleet do nothing."""
    with processes(system.server) as place:
        system.start(place)
        time.sleep(WARM_SECONDS)
        client = redis.Redis.from_url(place.url)
        pids = place.pids()
        client.config_resetstat()
        begun, cpu = time.monotonic(), sum(map(cpu_seconds, pids))
        time.sleep(seconds)
        passed = time.monotonic() - begun
        used = sum(map(cpu_seconds, pids)) - cpu
        made = {name: count / passed for name, count in calls(client).items() if name not in OWN}
        client.close()
    tell(f"idle {system.name}: {sum(made.values()):.1f} commands/s")
    by = {name: round(rate, 2) for name, rate in sorted(made.items(), key=lambda item: -item[1])}
    return Idle(system.name, passed, sum(made.values()), by, used / passed * 100)
