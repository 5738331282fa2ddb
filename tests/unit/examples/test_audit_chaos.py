"""The kill: the right worker, at the right moment, with everything below it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import IO

import pytest

from audit_chaos import ChaosView, busiest, descendants, kill_tree, parents
from orchestrator.cli.tally import Tally
from orchestrator.cli.views import View
from orchestrator.domain.events import Event
from orchestrator.embedded.records import ProcessInfo, Role

#: A process with a child and a grandchild; each says its pid once it runs.
FAMILY = """
import os, sys, time
for _ in range(2):
    if os.fork():
        break
os.write(1, f"{os.getpid()}\\n".encode())
time.sleep(60)
"""


class Silent:
    """A view that shows nothing."""

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


def worker(name: str, pid: int) -> ProcessInfo:
    return ProcessInfo(Role.WORKER, name, pid, True, 0, 0.0)


@pytest.fixture
def family() -> Iterator[tuple[list[int], IO[bytes]]]:
    """The pids of a process, its child and its grandchild, and the pipe that closes when the last of them is gone."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE) as process:
        assert process.stdout
        pids = [int(process.stdout.readline()) for _ in range(3)]
        try:
            yield [process.pid, *(pid for pid in pids if pid != process.pid)], process.stdout
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def feed(view: ChaosView, *events: tuple[str, str, dict[str, int]]) -> None:
    tally = Tally("g")
    numbers = count(1)
    batch = [Event(f"{next(numbers)}-0", 1.0, kind, "g", node, data=data) for kind, node, data in events]
    for event in batch:
        tally.apply(event)
    view.draw(tally, batch, 1.0)


def test_a_whole_process_tree_dies(family: tuple[list[int], IO[bytes]]) -> None:
    pids, pipe = family
    assert set(descendants(pids[0], parents())) == set(pids[1:])
    killed = kill_tree(pids[0])
    assert set(killed) == set(pids)
    assert killed[0] == pids[0]
    assert pipe.read() == b""


def test_a_pid_that_means_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="0 is not the pid of a worker"):
        kill_tree(0)


def test_descendants_are_found_level_by_level() -> None:
    assert descendants(1, {2: 1, 3: 1, 4: 2, 5: 4, 6: 9}) == [2, 3, 4, 5]


def test_the_worker_that_holds_the_most_is_chosen() -> None:
    workers = [worker("w1", 1), worker("w2", 2), worker("w22", 3)]
    assert busiest(workers, {"w2@host:7": 1, "w2@host:8": 1, "w1@host:9": 1}).name == "w2"
    assert busiest(workers, {}).name == "w1"


def test_the_kill_comes_when_half_of_the_items_are_done(family: tuple[list[int], IO[bytes]]) -> None:
    inner: View = Silent()
    pids, _ = family
    processes = [worker("w1", pids[0])]
    view = ChaosView(inner, "modules", lambda: processes)
    feed(view, ("node.expanded", "modules", {"items": 4}), ("node.done", "modules.0", {}), ("node.done", "scan", {}))
    assert view.said == []
    feed(view, ("node.done", "modules.3", {}))
    assert view.kill is not None
    assert set(view.kill.pids) == set(pids)
    assert "2 of 4 modules done" in view.said[0]
    processes[0] = worker("w1", os.getpid())
    feed(view)
    assert view.said[1:] == [f"the supervisor started w1 again as process {os.getpid()}"]


def test_nothing_is_killed_after_the_last_item() -> None:
    view = ChaosView(Silent(), "modules", lambda: [worker("w1", 0)])
    feed(view, ("node.expanded", "modules", {"items": 1}), ("node.done", "modules.0", {}))
    assert view.kill is None
    assert view.said == []
