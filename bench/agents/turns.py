"""Many agents at once, each of several turns with a tool call: turns a second, and the memory of the process that calls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from subprocess import Popen
from typing import Final

from bench.agents import fleet
from bench.agents.order import Order
from bench.agents.section import Options
from bench.agents.work import goal
from bench.install import interpreter
from bench.llm.flight import LIMIT_SECONDS, most_open
from bench.llm.section import Section, Table, Target
from bench.machine import resident_bytes
from bench.processes import BenchError, processes, until
from bench.systems import System
from orchestrator.wiring import Chordal

POOLS: Final = ("threads", "gevent")
SDK: Final = "openai SDK, asyncio"
MEGABYTE: Final = 1e6
FACTORIAL: Final = System("nfactorial", "", {}, ("nfactorial==0.1.30", "openai==2.54.0", "httpx==0.28.1"))
GRAPH: Final = System(
    "langgraph-agents", "", {}, ("langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2", "openai==3.54.0")
)
PEERS: Final[tuple[tuple[str, str, str, System | None], ...]] = (
    (SDK, "nothing is kept", "bench.agents.peers.sdk", None),
    ("LangGraph", "each step, in SQLite", "bench.agents.peers.graph", GRAPH),
    ("nfactorial", "each turn, in Redis", "bench.agents.peers.factorial", FACTORIAL),
)
HOW: Final = """
The model is a bare asyncio process that answers after a fixed time: with a call of a tool in every turn but the last. All
agents begin at once. *Chordal* is beat, a Celery worker of two processes for the agents' nodes and the tools, and one
worker of the queue `llm` with a slot for each agent; every turn and every tool call is committed in Redis, an append-only
file synced every second, and a tool call is a node with a lease, retries and events of its own. The others do the same
turns in one process with the tool as a plain function: the *SDK* in one event loop, *LangGraph* with a checkpoint in SQLite after each
step (durability `sync`), *nfactorial* with one asyncio worker whose batch holds all agents, on the same server as Chordal.
A turn is one answer of the model. Memory is the resident set of the process that calls the model, at most, looked at every
50 ms; the workers and the server of Redis beside it are not in it.
"""


@dataclass(frozen=True, slots=True)
class Driven:
    """What was measured of one contender."""

    who: str
    kept: str
    agents: int
    ended: int
    """Agents that ended as they should."""
    seconds: float
    per_second: float
    in_flight: int
    idle_bytes: int
    peak_bytes: int


def measure(options: Options) -> Section:
    """Every contender with the same agents."""
    section = Section("turns", "Many agents at once", HOW)
    for milliseconds in options.milliseconds:
        driven = list(_driven(section, options, milliseconds))
        section.tables.append(_table(driven, options, milliseconds))
        section.targets += [
            Target.least(f"agents that ended, {one.who}, answers after {milliseconds} ms", one.ended, one.agents)
            for one in driven
            if one.who.startswith("Chordal")
        ]
        section.data[f"{milliseconds} ms"] = [asdict(one) for one in driven]
    return section


def _driven(section: Section, options: Options, milliseconds: int) -> Iterator[Driven]:
    for what, measured in _all(options, milliseconds):
        try:
            one = measured()
        except BenchError as error:  # the others go on
            section.missing[f"{what}, {milliseconds} ms"] = str(error)[:2000]
            options.tell(f"not measured: {what}: {error}")
        else:
            options.tell(f"{one.who}: {one.per_second:.0f} turns/s, {one.peak_bytes / MEGABYTE:.0f} MB")
            yield one


def _all(options: Options, milliseconds: int) -> Iterator[tuple[str, Callable[[], Driven]]]:
    for pool in POOLS if options.whole else POOLS[:1]:
        yield f"Chordal, {pool}", partial(drive, pool, options, milliseconds)
    for who, kept, module, system in PEERS if options.whole else PEERS[:1]:
        yield who, partial(peer, who, kept, module, system, options, milliseconds)


def _table(driven: Sequence[Driven], options: Options, milliseconds: int) -> Table:
    base = next((one.per_second for one in driven if one.who == SDK), None)
    columns = ("", "kept", "ended", "seconds", "turns/s", "of the SDK", "in flight", "idle MB", "at most MB")
    rows = [
        (
            one.who, one.kept, one.ended, round(one.seconds, 1), round(one.per_second, 1),
            f"{one.per_second / base:.0%}" if base else None, one.in_flight,
            round(one.idle_bytes / MEGABYTE), round(one.peak_bytes / MEGABYTE),
        )
        for one in driven
    ]  # fmt: skip
    what = f"{options.agents} agents, {options.turns} turns each, answers after {milliseconds / 1000:g} s"
    ideal = options.agents / (milliseconds / 1000)
    return Table(what, columns, rows, f"With nothing but the model's own time it would be {ideal:,.0f} turns a second.")


def drive(pool: str, options: Options, milliseconds: int) -> Driven:
    """Chordal with one calling worker of this pool. Raises BenchError when the agents do not end."""
    with processes() as place:
        url = fleet.start_server(place)
        place.extra["CHORDAL_LLM_MAX_CONCURRENCY"] = str(options.agents)
        chordal = fleet.start(place, url, milliseconds, options.turns, options.agents, 1)
        caller = fleet.start_caller(place, pool, options.agents)
        until(lambda: chordal.live_workers() == 2, 60, "two workers have announced themselves")
        first = chordal.submit(goal(1, options.turns))  # what is loaded at the first use belongs to the idle worker
        _ended(chordal, [first], caller, lambda: None)
        fleet.ready_for(chordal, url, options.agents)
        idle = resident_bytes([caller.pid]) or 0
        peak = [idle]

        def look() -> None:
            peak[0] = max(peak[0], resident_bytes([caller.pid]) or 0)

        begun = time.monotonic()
        each = min(100, options.agents)
        goals = [chordal.submit(goal(each, options.turns)) for _ in range(options.agents // each)]
        ended = _ended(chordal, goals, caller, look)
        seconds = time.monotonic() - begun
        turns = options.agents * options.turns
        return Driven(
            f"Chordal, {pool}", "each turn and tool, in Redis", options.agents, ended, seconds, turns / seconds,
            most_open(url), idle, peak[0],
        )  # fmt: skip


def _ended(chordal: Chordal, goals: Sequence[str], caller: Popen[bytes], look: Callable[[], None]) -> int:
    """Wait for the ends; how many agents are done."""
    open_, end, done, ask = list(goals), time.monotonic() + LIMIT_SECONDS, 0, 0.0
    while open_:
        look()
        if caller.poll() is not None or time.monotonic() > end:
            raise BenchError(f"{len(open_)} of {len(goals)} goals did not end: {chordal.summary(open_[0])}")
        if time.monotonic() >= ask:
            if chordal.summary(open_[0]).terminal:
                states = chordal.status(open_.pop(0)).nodes
                done += sum(node.state == "DONE" for name, node in states.items() if "." not in name)
                continue
            ask = time.monotonic() + 0.2
        time.sleep(0.05)
    return done


def peer(
    who: str, kept: str, module: str, system: System | None, options: Options, milliseconds: int
) -> Driven:  # fmt: skip
    """A process that does the same turns. Raises BenchError when it cannot be had or does not end."""
    python = None if system is None else interpreter(system)
    with processes(python=python) as place:
        url = fleet.start_server(place)
        base = f"{url}/{milliseconds}/{options.turns}/v1"
        order = Order(base, options.agents, options.turns, place.folder)
        process = place.start("peer", str(place.python), "-m", module, *order.argv())
        until(lambda: (place.folder / "ready").exists() or process.poll() is not None, 60, f"{who} is ready")
        most_open(url)
        idle = peak = resident_bytes([process.pid]) or 0
        (place.folder / "go").touch()
        done, end = place.folder / "done.json", time.monotonic() + LIMIT_SECONDS
        while not done.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise BenchError(f"{who}: the agents did not end")
            peak = max(peak, resident_bytes([process.pid]) or 0)
            time.sleep(0.05)
        result = json.loads(done.read_text())
        seconds = result["seconds"]
        return Driven(
            who, kept, options.agents, result["ended"], seconds, options.agents * options.turns / seconds,
            most_open(url), idle, peak,
        )  # fmt: skip
