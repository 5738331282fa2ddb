"""What the machine is, and how busy others keep it: figures from a noisy machine must be known as such."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, Any]:
    """The machine and the versions that a figure depends on."""
    from importlib.metadata import version

    from orchestrator.embedded.binary import find_server

    packages = ("chordal", "celery", "kombu", "redis", "hiredis")
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_model(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "server": str(find_server()),
        "packages": {name: version(name) for name in packages},
        "load_average": list(os.getloadavg()),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def memory_bytes(pids: Iterable[int]) -> int | None:
    """Memory of processes, pages that several share divided among them (PSS); None where the system does not tell."""
    try:
        return sum(_pss(pid) for pid in pids) or None
    except OSError:
        return None


def resident_bytes(pids: Iterable[int]) -> int | None:
    """Memory of processes as the system's tools add it up (RSS); None where the system does not tell."""
    try:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") or None


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class OthersBusy:
    """How many CPUs processes that are not ours kept busy on average since this was made."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._begun = time.monotonic()
        self._all = _busy_seconds()
        self._own = self._own_seconds()

    def cpus(self) -> float | None:
        """None where the system does not tell."""
        now = _busy_seconds()
        if now is None or self._all is None:
            return None
        others = (now - self._all) - (self._own_seconds() - self._own)
        return max(0.0, round(others / max(time.monotonic() - self._begun, 0.01), 2))

    def _own_seconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in {os.getpid(), *self._pids()})


def _busy_seconds() -> float | None:
    try:
        fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq = fields
    return (user + nice + system + irq + softirq) / _TICKS


def cpu_seconds(pid: int) -> float:
    """Of the process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(part) for part in fields[11:15]) / _TICKS
