"""Kill a worker in the middle of a run: wait until half of a map's items are done, then SIGKILL its whole process tree."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from audit_run import Kill, map_of
from orchestrator.cli.tally import Tally
from orchestrator.cli.views import TtyView, View
from orchestrator.domain.events import Event
from orchestrator.embedded.records import ProcessInfo, Role


@dataclass
class ChaosView:
    """A progress view that, besides showing the run, kills one worker once. What it did is in `kill` and `said`."""

    inner: View
    map_node: str
    processes: Callable[[], Sequence[ProcessInfo]]
    kill: Kill | None = None
    said: list[str] = field(default_factory=list)
    _items: int = 0
    _done: int = 0
    _back: bool = False

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:
        """Count the map's items; strike when half of them are done."""
        for event in events:
            if event.type == "node.expanded" and event.node == self.map_node:
                self._items = int(event.data.get("items") or 0)
            elif event.type == "node.done" and map_of(event.node, (self.map_node,)):
                self._done += 1
        if self.kill is None and self._items > self._done >= self._items / 2 and not tally.over:
            self._strike(tally)
        elif self.kill is not None and not self._back:
            self._look_for_return(self.kill)
        if self.said and is_live(self.inner):
            self.inner.note("\n".join(self.said))  # a live display shows a note until the next frame
        self.inner.draw(tally, events, elapsed_seconds)

    def note(self, text: str) -> None:
        """Pass it on."""
        self.inner.note(text)

    def close(self) -> None:
        """Close the display; a live one takes its notes with it, so they are said again."""
        self.inner.close()
        if is_live(self.inner):
            print(*self.said, sep="\n")

    def _strike(self, tally: Tally) -> None:
        workers = [one for one in self.processes() if one.role is Role.WORKER and one.alive and one.pid]
        if not workers:
            return
        busy = Counter(row.worker for row in tally.running.values())
        victim = busiest(workers, busy)
        at = time.time()
        pids = kill_tree(victim.pid or 0)
        self.kill = Kill(at, victim.name, pids)
        whole = f"process {pids[0]} and its {len(pids) - 1} children"
        self._say(f"SIGKILL {victim.name} ({whole}) with {self._done:,} of {self._items:,} modules done")

    def _look_for_return(self, kill: Kill) -> None:
        back = next((one for one in self.processes() if one.name == kill.name and one.pid not in kill.pids), None)
        if back is not None and back.alive and back.pid:
            self._back = True
            self._say(f"the supervisor started {kill.name} again as process {back.pid}")

    def _say(self, text: str) -> None:
        self.said.append(text)
        if not is_live(self.inner):
            print(text, flush=True)


def is_live(view: View) -> bool:
    """Whether a display redraws itself, so that only its notes are seen."""
    return isinstance(view, TtyView) or bool(getattr(view, "live", False))


def busiest(workers: Sequence[ProcessInfo], busy: Mapping[str, int]) -> ProcessInfo:
    """The worker that holds the most nodes. Claims name it by its name (`w1@host ...`), a process each."""
    return max(workers, key=lambda one: sum(n for worker, n in busy.items() if worker.startswith(f"{one.name}@")))


def kill_tree(pid: int) -> tuple[int, ...]:
    """SIGKILL a process and everything below it; returns the pids, the process itself first."""
    if pid <= 1:  # to `kill`, 0 and below mean groups of processes
        raise ValueError(f"{pid} is not the pid of a worker")
    doomed = (pid, *descendants(pid, parents()))
    for one in doomed:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    return doomed


def descendants(pid: int, parent_of: Mapping[int, int]) -> list[int]:
    """Everything below a process, nearest first."""
    found: list[int] = []
    level = {pid}
    while level:
        level = {child for child, parent in parent_of.items() if parent in level}
        found.extend(sorted(level))
    return found


def parents() -> dict[int, int]:
    """The parent of every process: from /proc, else from ps."""
    if Path("/proc/self/stat").exists():
        return dict(_from_proc(Path("/proc").glob("[0-9]*/stat")))
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in (line.split() for line in lines.splitlines())}


def _from_proc(files: Iterable[Path]) -> Iterable[tuple[int, int]]:
    for file in files:
        with suppress(OSError):  # it may end while we look
            after_name = file.read_text(errors="replace").rpartition(")")[2].split()
            yield int(file.parent.name), int(after_name[1])
