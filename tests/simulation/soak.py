"""Many seeds on several processes, one again, and the report."""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from simulation.plants import planted
from simulation.scheduler import Tally
from simulation.world import World
from support.servers import Server, server

OPTIONS: Final = (
    "--appendonly", "no", "--hash-max-listpack-entries", "100000", "--hash-max-listpack-value", "1000000",
)  # fmt: skip
"""No file, since no seed kills the server; and hashes that keep the order in which they were written."""
SHOWN: Final = ("fault", "operation", "outcome", "verdict", "command", "event", "goal", "left")
_told: Final = [0]
"""Where the progress does not go to a terminal: in which ten seconds it was last told."""


@contextmanager
def quick_server() -> Iterator[Server]:
    """A server that answers the same seed in the same way."""
    with server() as one:
        one.stop()
        one.start(*OPTIONS)
        yield one


def play(seed: int, url: str, tally: Tally, echo: Callable[[str], None] | None = None) -> World:
    """Run one seed."""
    with tempfile.TemporaryDirectory(prefix="chordal-sim-") as folder:
        world = World(seed, url, Path(folder), tally, echo)
        try:
            world.live()
        except Exception as error:
            world.note("world", f"{type(error).__name__}: {error}")
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            world.faults.append(f"E3 raised by the engine at {place}: {type(error).__name__}: {error}")
    tally.count("run", "seeds")
    tally.count("run", "operations", world.operations)
    tally.count("run", "goals", len(world.documents))
    return world


def replay(seed: int, plant: str) -> str:
    """The one command that plays a seed again."""
    return f"make soak SEED={seed}" + (f" PLANT={plant}" if plant else "") + ' ARGS="--trace"'


def one(seed: int, plant: str, trace: bool) -> int:
    """Run one seed; 1 if it broke a rule."""
    with quick_server() as redis, planted(plant):
        world = play(seed, redis.url, Tally(), print if trace else None)
    for fault in world.faults:
        print(fault)
    print(f"seed {seed}: trace {world.trace_hash}, {world.operations} operations, {len(world.faults)} violations")
    return int(bool(world.faults))


def child(seeds: Sequence[int], plant: str, stop: int) -> int:
    """Run seeds and print a line of JSON now and then: what was counted since, and the seeds that broke a rule."""
    with quick_server() as redis, planted(plant):
        signal.signal(signal.SIGTERM, lambda *_: _leave(redis))
        tally, failed, traces = Tally(), 0, dict[str, str]()
        last = time.monotonic()
        for seed in seeds:
            world = play(seed, redis.url, tally)
            traces[str(seed)] = world.trace_hash
            if world.faults:
                failed += 1
                _say({"failed": {"seed": seed, "faults": world.faults[:8], "tail": list(world.tail)[-12:]}})
            if world.faults or time.monotonic() - last > 1:
                _say({"counts": tally.counts, "traces": traces})
                traces.clear()
                tally, last = Tally(), time.monotonic()
            if failed >= stop:
                break
        _say({"counts": tally.counts, "traces": traces})
    return 0


def _leave(redis: Server) -> NoReturn:
    """The report has what it wants. An exception would be taken for a worker's shutdown by the engine that is simulated."""
    redis.stop(signal.SIGKILL)
    shutil.rmtree(redis.folder, ignore_errors=True)
    os._exit(0)


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def many(options: argparse.Namespace) -> dict[str, Any]:
    """Run the seeds on several processes, with a line of progress on a terminal; returns the report."""
    tally, failed, begun = Tally(), list[dict[str, Any]](), time.monotonic()
    traces: dict[str, str] = {}
    children = [_start(options, index) for index in range(options.processes)]
    try:
        for message in _messages(children):
            if "failed" in message:
                failed.append(message["failed"])
                if not options.json:
                    print(_failure(message["failed"], options.plant), flush=True)
            else:
                tally.add(message["counts"])
                traces |= message["traces"]
                _progress(tally, options, len(failed), time.monotonic() - begun)
            if len(failed) >= options.stop and "counts" in message:
                break
    finally:
        for process in children:
            process.terminate()
            process.wait(20)
    crashed = [process.returncode for process in children if process.returncode not in (0, -15)]
    if crashed:
        failed.append({"seed": -1, "faults": [f"a process ended with {crashed}"], "tail": []})
    return {"plant": options.plant, "start": options.start, "counts": tally.counts, "failed": failed, "traces": traces}


def _start(options: argparse.Namespace, index: int) -> subprocess.Popen[str]:
    many = len(range(options.start + index, options.start + options.seeds, options.processes))
    span = many * options.processes
    command = [sys.executable, "-P", "-m", "simulation", "--child", "--start", str(options.start + index)]
    command += [
        "--seeds",
        str(span - index if span else 0),
        "--step",
        str(options.processes),
        "--stop",
        str(options.stop),
    ]
    command += ["--plant", options.plant] if options.plant else []
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)


def _messages(children: Sequence[subprocess.Popen[str]]) -> Iterator[dict[str, Any]]:
    with selectors.DefaultSelector() as ready:
        for process in children:
            ready.register(process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        while ready.get_map():
            for key, _ in ready.select():
                line = key.fileobj.readline()  # type: ignore[union-attr]
                if line:
                    yield json.loads(line)
                else:
                    ready.unregister(key.fileobj)


def _progress(tally: Tally, options: argparse.Namespace, failed: int, seconds: float) -> None:
    if options.json or not tally.counts:
        return
    seeds, terminal = tally.counts["run"]["seeds"], sys.stderr.isatty()
    line = f"{seeds}/{options.seeds} seeds, {seeds / seconds:.0f}/s, {failed} failed"
    if terminal or (now := int(seconds) // 10) > _told[0]:
        _told[0] = 0 if terminal else now
        print(f"\r{line} " if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)


def _failure(failed: dict[str, Any], plant: str) -> str:
    lines = [f"seed {failed['seed']} broke a rule:", *(f"  {fault}" for fault in failed["faults"])]
    return "\n".join([*lines, f"  replay: {replay(failed['seed'], plant)}"])


def text(report: dict[str, Any]) -> str:
    """The report for people."""
    counts = report["counts"]
    run = counts.get("run", {"seeds": 0, "operations": 0, "goals": 0})
    rate = run["seeds"] / report["seconds"] if report["seconds"] else 0
    lines = [""]
    for what in SHOWN:
        found = sorted(counts.get(what, {}).items(), key=lambda item: (-item[1], item[0]))
        lines.append(f"{what + 's:':<12}" + ", ".join(f"{name} {number:,}" for name, number in found))
    lines.append(
        f"{run['seeds']:,} seeds, {run['operations']:,} operations, {run['goals']:,} goals in {report['seconds']} s"
        f" ({rate:.1f} seeds/s): {len(report['failed'])} seeds broke a rule"
    )
    return "\n".join(lines)
