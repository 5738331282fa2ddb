"""The limiter among real processes: one is killed, nothing is leaked, and the others go on at the full rate."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.domain.events import Event
from orchestrator.events.rules.permits import check_permits
from orchestrator.llm.limiter import Limiter
from orchestrator.store.store import Store
from support import callers
from support.servers import until

SECONDS = 6.0
THREADS = 12


def spawn(url: str) -> subprocess.Popen[bytes]:
    script = str(Path(callers.__file__))
    return subprocess.Popen([sys.executable, "-P", script, url, str(SECONDS), str(THREADS)])


def grants(events: list[Event], begin: float, end: float) -> int:
    return sum(one.type == "llm.permit" and begin <= one.at < end for one in events)


def all_events(store: Store) -> list[Event]:
    return list(store.llm.events("acme", most=100_000))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_processes_go_on_at_the_full_rate_when_one_is_gone(store: Store, number: int) -> None:
    limiter = Limiter(store, {"acme": callers.LIMITS})
    processes = [spawn(store.url) for _ in range(3)]
    try:
        until(lambda: len(all_events(store)) > 500, 30, "they call")
        hit = store.fleet.clock_ms() / 1000
        processes[0].send_signal(number)
        for one in processes[1:]:
            assert one.wait(40) == 0
        if number == signal.SIGSTOP:
            processes[0].send_signal(signal.SIGCONT)
            assert processes[0].wait(40) == 0
    finally:
        for one in processes:
            one.kill()
            one.wait(10)
    events = all_events(store)
    # From two seconds behind the blow on, one whole window holds all that is allowed.
    assert grants(events, hit + 2, hit + 3) >= 0.9 * 200
    assert [str(fault) for fault in check_permits(events)] == []
    until(lambda: not limiter.status("acme").leases, 10, "no lease is left")
    until(lambda: not limiter.status("acme").waiting, 10, "nobody is left in line")
    until(lambda: not any(one.used for one in limiter.status("acme").usage.values()), 10, "the window has passed")
