"""A very long line: what a waiter costs in memory, what joining costs, and what a grant costs with all of them there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from bench.llm.drive import server
from bench.llm.load import ACCOUNT
from bench.llm.recount import quantile
from bench.llm.section import Options, Section, Table, Target
from orchestrator.llm.limits import Limits
from orchestrator.store.llm_records import Ask, Caller, Hold, Release
from orchestrator.store.store import Store

OWNERS: Final = 100
GOALS: Final = 10
"""Of each owner."""
CHUNK: Final = 500
PROCESS: Final = "bench"
HOW: Final = f"""Waiters of {OWNERS} owners with {GOALS} goals each join a drained account. Bytes: `MEMORY USAGE` of every key of the
account, all elements sampled, divided by the waiters; and the growth of the server's `used_memory`. Then, with all of them in
line, single joins one after the other over one connection: the round trip as the client sees it, and the server's own time
(`INFO commandstats`). Then one call at once: each release lets the next one out, so a script settles a call and grants
another. The first figures are those of a line of one in a hundred as many."""


class Line:
    """An account with a long line, driven by one client."""

    def __init__(self, store: Store) -> None:
        self.store, self.client = store, store.client
        self._caller = Caller(Limits(concurrency=1).as_json(), PROCESS)
        self._count = 0
        self._memory = self._used()
        self.adjust("drain", "1")

    def adjust(self, what: str, value: str) -> None:
        """Change the account."""
        self.store.llm.adjust(ACCOUNT, self._caller, what, value)

    def _used(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def asks(self, count: int) -> Iterator[tuple[str, Ask]]:
        """The next ones."""
        for _ in range(count):
            number, self._count = self._count, self._count + 1
            owner, goal = f"owner-{number % OWNERS:02d}", f"goal-{number // OWNERS % GOALS}"
            yield (
                f"{number:032x}",
                Ask(1000, 400, 0, owner, goal, PROCESS, PROCESS, 60_000, 60_000),
            )

    def fill(self, count: int) -> None:
        """So many join."""
        while self._count < count:
            self.store.llm.acquire_all(ACCOUNT, self._caller, list(self.asks(min(CHUNK, count - self._count))))

    def bytes_each(self) -> tuple[float, float]:
        """By keys, and by the growth of the server."""
        keys = list(self.client.scan_iter(f"{{llm:{ACCOUNT}}}:*", count=1000))
        total = sum(int(self.client.memory_usage(key, samples=0) or 0) for key in keys)
        return total / self._count, (self._used() - self._memory) / self._count

    def joins(self, count: int) -> tuple[float, float, float]:
        """Of single joins: the server's time, and round trips at the 50th and the 99th percentile; microseconds."""
        trips = []
        self.client.config_resetstat()
        for name, ask in self.asks(count):
            begun = time.perf_counter()
            self.store.llm.acquire(ACCOUNT, self._caller, name, ask)
            trips.append((time.perf_counter() - begun) * 1e6)
        return self._script_micros(), quantile(trips, 0.5), quantile(trips, 0.99)

    def grants(self, count: int) -> tuple[float, float]:
        """Of a release that grants: the server's time, and the round trip; microseconds, medians."""
        self.adjust("drain", "0")
        trips = []
        for number in range(count + 1):
            if number == 1:
                self.client.config_resetstat()
            fence, _, name = self._word().partition(" ")[2].split(" ")
            hold = Hold(name, int(fence), PROCESS)
            begun = time.perf_counter()
            self.store.llm.release(ACCOUNT, self._caller, hold, Release.OK, (1000, 300, 0))
            trips.append((time.perf_counter() - begun) * 1e6)
        return self._script_micros(), quantile(trips[1:], 0.5)

    def _word(self) -> str:
        key = self.store.keys.llm_part(ACCOUNT, f"in:{PROCESS}")
        return str(self.client.blpop([key], timeout=10)[1])

    def _script_micros(self) -> float:
        stat: Any = self.client.info("commandstats")["cmdstat_evalsha"]
        return float(stat["usec_per_call"])


def measure(options: Options) -> Section:
    """A short line and a long one."""
    columns = (
        "waiters", "bytes each, keys", "bytes each, server", "join, server µs", "join p50, µs", "join p99, µs",
        "release and grant, server µs", "round trip, µs",
    )  # fmt: skip
    rows = []
    for waiters in (max(10, options.waiters // 100), options.waiters):
        with server() as (_, store):
            line = Line(store)
            line.fill(waiters)
            each = line.bytes_each()
            count = max(10, min(2000, waiters // 4))
            joins, grants = line.joins(count), line.grants(count)
        rows.append([waiters, *each, *joins, *grants])
        options.tell(f"{waiters:,} waiters: {each[0]:.0f} bytes each, a join {joins[0]:.0f} µs of the server's time")
    section = Section("waiters", "A long line", HOW, [Table("", columns, rows)])
    slower = rows[1][6] / rows[0][6]
    section.targets.append(Target.most("a grant in the long line costs, against the short one", slower, 2.0, "x"))
    section.data["rows"] = [dict(zip(columns, row, strict=True)) for row in rows]
    return section
