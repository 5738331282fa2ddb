"""What a process with many calls in flight did, and the server of slow answers that it called."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.request import urlopen

from bench.processes import Processes, free_port, listening, until

LIMIT_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Flight:
    """What one process did."""

    who: str
    milliseconds: int
    calls: int
    failed: int
    in_flight: int
    """At most, as the server saw it."""
    idle_bytes: int
    peak_bytes: int
    added_p50: float
    added_p99: float
    """Seconds beyond the server's own time."""
    per_second: float

    @property
    def bytes_a_call(self) -> float:
        """Memory above the idle process, divided among what was in flight."""
        return (self.peak_bytes - self.idle_bytes) / max(1, self.in_flight)


def start_server(place: Processes) -> str:
    """The server of slow answers; its URL without a path."""
    port = free_port()
    place.start("slow", sys.executable, "-m", "bench.llm.slow_server", str(port))
    until(lambda: listening(port), 20, "the slow server listens")
    return f"http://127.0.0.1:{port}"


def most_open(url: str) -> int:
    """The most calls that the server had open since it was asked before."""
    with urlopen(f"{url}/count", timeout=20) as answer:
        return int(json.load(answer)["most"])


def quantile(ascending: Sequence[float], part: float) -> float:
    """By the nearest rank; 0 of nothing."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * part))] if ascending else 0.0
