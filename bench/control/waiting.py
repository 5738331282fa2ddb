"""What heartbeat files cost while nobody writes into them."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.control import fleet
from bench.control.section import Options
from bench.llm.section import Section, Table, Target
from bench.machine import cpu_seconds
from bench.processes import processes, until
from bench.scale import calls
from orchestrator.control.files.parts import this_host

OWN: Final = frozenset({"info", "config|resetstat", "monitor"})
ABOUT_FILES: Final = re.compile(r"\{control\}:(files|cursors|reading|lines|watcher)")
MOST_COMMANDS: Final = 3.0
HOW: Final = """
A worker of two processes and beat have nothing to do: first without a heartbeat file, then with one, then with a hundred in one
folder. Commands are all that the server carries out, those inside scripts included; those about files are counted by `MONITOR`.
Processor time is that of the worker's main process, in which the watcher is, and of beat.
"""


@dataclass(frozen=True, slots=True)
class Idle:
    """A fleet that does nothing."""

    files: int
    commands: float
    """A second, all of them."""
    about_files: float
    """A second, those on keys of heartbeat files."""
    worker: float
    """Percent of a processor."""
    beat: float


def measure(options: Options) -> Section:
    """Without a file, with one, with many."""
    section = Section("waiting", "A watcher that has nothing to do", HOW)
    found = [_measured(count, options) for count in (0, 1, options.files)]
    head = ("files", "commands/s", "about files", "worker's main process, % CPU", "beat, % CPU")
    rows = [
        (one.files, *(round(value, 2) for value in (one.commands, one.about_files, one.worker, one.beat)))
        for one in found
    ]
    section.tables.append(Table("", head, rows))
    for one in found[1:]:
        what = f"commands a second for {one.files} idle file{'s' if one.files > 1 else ''}"
        section.targets.append(Target.most(what, round(one.about_files, 2), MOST_COMMANDS))
    section.data |= {str(one.files): asdict(one) for one in found}
    return section


def _measured(count: int, options: Options) -> Idle:
    with processes() as place:
        chordal = fleet.start(place)
        beat, worker = place.started[-2], place.started[-1]
        goal = chordal.submit({"goal_id": "waits", "nodes": [{"id": "asks", "kind": "approval"}]})
        fleet.files(chordal, place.folder, goal, count)
        if count:
            until(lambda: chordal.files.watcher(this_host()), 20, "somebody watches")
        time.sleep(options.settle_seconds)
        client = chordal.store.client
        client.config_resetstat()
        begun, cpu = time.monotonic(), (cpu_seconds(worker.pid), cpu_seconds(beat.pid))
        about = _about_files(client, options.idle_seconds)
        passed = time.monotonic() - begun
        used = [
            (cpu_seconds(pid) - before) / passed * 100 for pid, before in zip((worker.pid, beat.pid), cpu, strict=True)
        ]
        made = sum(number for name, number in calls(client).items() if name not in OWN) / passed
        options.tell(
            f"{count} files: {about / passed:.2f} of {made:.1f} commands/s, worker {used[0]:.2f} %, beat {used[1]:.2f} % CPU"
        )
        return Idle(count, made, about / passed, *used)


def _about_files(client: Any, seconds: float) -> int:
    """Commands on keys of heartbeat files in so many seconds."""
    found, end = 0, time.monotonic() + seconds
    with client.monitor() as monitor:
        while time.monotonic() < end:
            found += bool(
                ABOUT_FILES.search(str(monitor.next_command()["command"]))
            )  # beat does something every second
    return found
