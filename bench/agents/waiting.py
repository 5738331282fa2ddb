"""Agents that wait for a model: what each of them keeps in Redis, and that nothing else is kept for them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.agents import fleet
from bench.agents.section import Options
from bench.agents.work import goal
from bench.llm.section import Section, Table, Target
from bench.machine import resident_bytes
from bench.processes import BenchError, Processes, descendants, processes, until
from orchestrator.domain.states import NodeState
from orchestrator.wiring import Chordal

EACH: Final = 1000
"""Agents of one goal."""
LOOK_SECONDS: Final = 40.0
"""Within so long every agent has looked once whether it still stands in the line."""
TRIES: Final = 3
HOW: Final = """
Goals of 1,000 agents beside each other are submitted to beat and a worker of two processes. There is no worker of the queue
`llm`, so no call goes out: every agent takes its first step and waits in the line of the account. Bytes are
the server's `used_memory` less what it was with the workers idle, divided by the agents; the table shares them out by
`MEMORY USAGE` of every key, all samples, by kind of key. *Slots held* are entries of the leases of the goals and of the account,
and what `celery inspect active` and `reserved` name, while nobody looks. An agent that waits makes sure after 30 s, after 60 s more and then
every 120 s that it still stands in the line: the commands of the first look are those of all agents in 40 s, divided among them, the scripts' own
included. After that they are counted for five seconds in which nobody looks and beat ticks.
"""


def measure(options: Options) -> Section:
    """Submit, wait until all wait, look."""
    section = Section("waiting", "Agents that wait for a model", HOW)
    count = options.waiting if options.whole else min(options.waiting, 200)
    with processes() as place:
        url = fleet.start_server(place)
        chordal = fleet.start(place, url, 1000, 2, 1000, 1)
        client = chordal.store.client
        _all_wait(chordal, [chordal.submit(goal(1, 2))], 1)  # what is loaded at the first use
        before, keys_before = _used(client), _families(client)
        begun = time.monotonic()
        goals = [chordal.submit(goal(min(EACH, count), 2)) for _ in range(max(1, count // EACH))]
        _all_wait(chordal, goals, count)
        seconds = time.monotonic() - begun
        time.sleep(2)  # replies and buffers of the last commands are gone
        used = _used(client) - before
        families = {
            name: (keys, size - keys_before.get(name, (0, 0))[1]) for name, (keys, size) in _families(client).items()
        }
        looks = _commands(client, LOOK_SECONDS) * LOOK_SECONDS / count if options.whole else None
        commands = _commands(client, options.idle_seconds)
        held = _held(place, chordal, goals)
        for _ in range(TRIES):  # an agent that looks just now has a slot for some milliseconds
            if any(held.values()):
                held = _held(place, chordal, goals)
        section.tables += [_table(families, used, count), _idle(count, seconds, held, commands, looks, place)]
        section.targets += [
            Target.most("slots, leases and permits held by agents that wait", sum(held.values()), 0),
            Target.most("Redis bytes of an agent that waits", used / count, 4096, " bytes"),
        ]
        section.data |= {"agents": count, "bytes": used, "families": families, "held": held, "commands": commands}
        section.data["seconds"] = seconds
    options.tell(f"{count} agents wait: {used / count:.0f} bytes each, {sum(held.values())} slots held")
    return section


def _all_wait(chordal: Chordal, goals: list[str], count: int) -> None:
    def waiting() -> bool:
        return sum(chordal.summary(one).counts.get(NodeState.WAITING, 0) for one in goals) == count

    until(waiting, 300, f"{count} agents wait: {[chordal.summary(one).counts for one in goals[:3]]}", pause=0.2)


def _used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


def _families(client: Any) -> dict[str, tuple[int, int]]:
    """Keys and bytes by kind of key."""
    keys: Counter[str] = Counter()
    size: dict[str, int] = defaultdict(int)
    for page in _pages(client.scan_iter(count=1000)):
        pipe = client.pipeline(transaction=False)
        for key in page:
            pipe.memory_usage(key, samples=0)
        for key, bytes_ in zip(page, pipe.execute(), strict=True):
            name = _family(key)
            keys[name] += 1
            size[name] += bytes_ or 0
    return {name: (keys[name], size[name]) for name in keys}


def _pages(keys: Iterator[str]) -> Iterator[list[str]]:
    page: list[str] = []
    for key in keys:
        page.append(key)
        if len(page) == 1000:
            yield page
            page = []
    yield page


def _family(key: str) -> str:
    """`dag:{goal}:nodes` is the same whatever the goal; a node's own keys are `task:{goal}:<node>`."""
    if key.startswith("{llm:"):
        return re.sub(r"^\{[^}]*\}", "{llm:<account>}", key)
    name = re.sub(r"\{[^}]*\}", "{}", key)
    if name.startswith("task:{}:"):
        rest = name.removeprefix("task:{}:").partition(":")[2]
        return f"task:{{goal}}:<node>{':' + rest if rest else ''}"
    return name.replace("{}", "{goal}") if name.startswith("dag:") else "others"


def _held(place: Processes, chordal: Chordal, goals: list[str]) -> dict[str, int]:
    """What is held for the agents, by what it is."""
    client, keys = chordal.store.client, chordal.store.keys
    leases = sum(client.zcard(keys.part(one, "leases")) for one in goals)
    permits = len(chordal.limiter.status(fleet.ACCOUNT).leases)
    held = {"leases of nodes": leases, "permits": permits}
    for what in ("active", "reserved"):
        command = [sys.executable, "-m", "celery", "-A", "orchestrator", "inspect", what, "--json", "-t", "20"]
        command += ["-d", "agents@bench"]  # else it waits for all that might answer
        done = subprocess.run(
            command, cwd=place.folder, env=place.environment(), capture_output=True, text=True, timeout=60, check=False
        )
        try:
            replies = json.loads(done.stdout)
        except ValueError:
            raise BenchError(f"celery inspect {what}: {done.stderr[-500:]}") from None
        held[f"{what} in Celery"] = sum(len(tasks) for tasks in replies.values())
    return held


def _commands(client: Any, seconds: float) -> float:
    """Commands a second that the server gets while nothing happens, this question's own left out."""
    before = int(client.info("stats")["total_commands_processed"])
    time.sleep(seconds)
    return (int(client.info("stats")["total_commands_processed"]) - before - 1) / seconds


def _table(families: dict[str, tuple[int, int]], used: int, count: int) -> Table:
    ordered = sorted(families.items(), key=lambda one: -one[1][1])
    shown = [(name, keys, round(size / count, 1)) for name, (keys, size) in ordered if size / count >= 1]
    rest = sum(size for _, (_, size) in ordered) - sum(size for _, (_, size) in ordered if size / count >= 1)
    rows = [*shown, ("all others", None, round(rest / count, 1)), ("used_memory", None, round(used / count, 1))]
    note = "What `used_memory` has beyond the keys is the server's table of keys, and what its allocator keeps."
    return Table(f"Redis bytes of each of {count:,} agents", ("keys", "how many", "bytes an agent"), rows, note)


def _idle(
    count: int, seconds: float, held: dict[str, int], commands: float, looks: float | None, place: Processes
) -> Table:  # fmt: skip
    workers = [one for one in place.started if b"worker" in _command_line(one.pid)]
    pids = [pid for one in workers for pid in (one.pid, *descendants(one.pid))]
    rows: list[tuple[str, int | float | None]] = [
        *((f"{name} held", value) for name, value in held.items()),
        ("agents that began to wait a second", round(count / seconds, 1)),
        ("commands of an agent's first look", None if looks is None else round(looks, 1)),
        ("commands a second between looks", round(commands, 1)),
        ("MB of the workers", round((resident_bytes(pids) or 0) / 1e6)),
    ]
    return Table("While they wait", ("", "value"), rows)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
