"""One fleet with heartbeat files: a worker of two processes, beat, and the files."""

from __future__ import annotations

from pathlib import Path

from bench.processes import Processes, until
from bench.systems import QUIET
from orchestrator.control.files.parts import this_host
from orchestrator.control.files.registry import Registered
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect


def start(place: Processes, pool: str = "prefork") -> Chordal:
    """Beat and the worker; a client, once the worker lives."""
    place.celery("orchestrator", "beat")
    place.celery("orchestrator", "worker", "-n", "w@bench", "-P", pool, "-c", "2", *QUIET)
    chordal = connect(Settings(redis_url=place.url, data_dir=place.folder / "data"))
    until(lambda: chordal.live_workers() == 1, 60, "the worker has announced itself")
    return chordal


def goal(chordal: Chordal, nodes: int, seconds: float) -> str:
    """A goal of nodes beside each other that sleep."""
    naps = [{"id": f"n{index}", "call": "bench.nodes:nap", "inputs": {"seconds": seconds}} for index in range(nodes)]
    return chordal.submit({"goal_id": "busy", "nodes": naps})


def files(chordal: Chordal, folder: Path, goal: str, count: int) -> list[Path]:
    """So many files that are read for the goal."""
    made = [folder / f"beat{index}.md" for index in range(count)]
    for path in made:
        path.write_text("# directives\n")
        chordal.files.registry.register(Registered(str(folder), path.name, this_host(), goal=goal))
    return made
