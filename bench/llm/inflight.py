"""A thousand calls in flight in one process: memory, what is added to each, and how many turns a second it makes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

from bench.llm import inflight_worker
from bench.llm.flight import LIMIT_SECONDS, Flight, most_open, quantile, start_server
from bench.llm.flying import Order
from bench.llm.section import Options, Section, Table, Target
from bench.machine import resident_bytes
from bench.processes import BenchError, processes, until

LONG_MS: Final = 10_000
"""A long answer: all callers are in flight although one process begins a few hundred calls a second at most."""
SHORT_MS: Final = 200
"""A short one: how many turns a second there are is up to the client."""
POOLS: Final = ("asyncio", "threads", "gevent")
MEGABYTE: Final = 1e6
HOW: Final = """
The server is a bare asyncio process that answers after a fixed time. *Sockets* is a client of nothing but asyncio streams;
*client* is `Client.complete` on the limiter, in one process of so many threads or greenlets, with tokens counted by OpenAI's
vocabulary (about 70 MB of the idle process). Callers begin evenly spread over the first answer's time and call twice.
What is added is the time of a call beyond the server's own. Turns are counted with answers of 0.2 s. *llm worker* is
`celery -A orchestrator worker -Q llm` with as many slots, beside a worker of two processes and beat: `llm` nodes of goals,
ten times as many as slots; there, what is added counts from the grant of the permit to the node's end in Redis, the way
of the message through Celery included. Memory is the process's resident set, at most, looked at every 50 ms.
"""


def measure(options: Options) -> Section:
    """Every pool with long answers and with short ones, then a real worker."""
    section = Section("inflight", "A thousand calls in flight", HOW)
    long = LONG_MS if options.whole else 1000
    flights: list[Flight] = []
    for what, measured in _flights(long, options.calls):
        try:
            flights.append(measured())
        except BenchError as error:  # the others go on
            section.missing[what] = str(error)[:2000]
            options.tell(f"not measured: {what}: {error}")
        else:
            options.tell(told(flights[-1]))
    section.tables += [_table(one, flights) for one in (long, SHORT_MS)]
    section.targets += _targets(flights, long, options.calls)
    section.data["inflight"] = [asdict(one) for one in flights]
    return section


def _flights(long: int, calls: int) -> Iterator[tuple[str, Callable[[], Flight]]]:
    for pool in POOLS:
        for milliseconds, rounds in ((long, 2), (SHORT_MS, 10)):
            yield f"client, {pool}, {milliseconds} ms", partial(fly, pool, milliseconds, calls, rounds)
    for pool in POOLS[1:]:
        for milliseconds in (long, SHORT_MS):
            yield (
                f"llm worker, {pool}, {milliseconds} ms",
                partial(inflight_worker.fly, pool, milliseconds, calls, 10 * calls),
            )


def told(one: Flight) -> str:
    """One line for a person."""
    return (
        f"{one.who}, answers of {one.milliseconds} ms: {one.in_flight} in flight, {one.idle_bytes / MEGABYTE:.0f} -> "
        f"{one.peak_bytes / MEGABYTE:.0f} MB, added p50 {one.added_p50 * 1000:.1f} ms, p99 {one.added_p99 * 1000:.1f} ms, "
        f"{one.per_second:.0f} a second, {one.failed} failed"
    )


def _table(milliseconds: int, flights: Sequence[Flight]) -> Table:
    columns = (
        "", "calls", "failed", "in flight", "idle MB", "at most MB", "kB a call", "added p50 ms", "added p99 ms", "turns/s",
    )  # fmt: skip
    rows = [
        (
            one.who, one.calls, one.failed, one.in_flight, round(one.idle_bytes / MEGABYTE),
            round(one.peak_bytes / MEGABYTE), round(one.bytes_a_call / 1000, 1), round(one.added_p50 * 1000, 2),
            round(one.added_p99 * 1000, 2), round(one.per_second, 1),
        )
        for one in flights
        if one.milliseconds == milliseconds
    ]  # fmt: skip
    return Table(f"Answers after {milliseconds / 1000:g} s", columns, rows)


def _targets(flights: Sequence[Flight], long: int, calls: int) -> list[Target]:
    found = [one for one in flights if one.who.startswith("llm worker") and one.milliseconds == long]
    return [
        target
        for one in found
        for target in (
            Target.most(
                f"memory of an {one.who}, {calls} calls in flight", round(one.peak_bytes / MEGABYTE), 300, " MB"
            ),
            Target.least(f"calls in flight in an {one.who}", one.in_flight, calls),
            Target.most(f"calls that failed in an {one.who}", one.failed, 0),
        )
    ]


def fly(pool: str, milliseconds: int, callers: int, rounds: int) -> Flight:
    """One process with so many callers. Raises BenchError when it does not end."""
    with processes() as place:
        order = Order(pool, start_server(place), milliseconds, callers, rounds, place.folder)
        process = place.start("flying", sys.executable, "-m", "bench.llm.flying", *order.argv())
        until(lambda: (place.folder / "ready").exists() or process.poll() is not None, 60, "the callers are ready")
        most_open(order.url)
        idle = peak = resident_bytes([process.pid]) or 0
        (place.folder / "go").touch()
        done, end = place.folder / "flown.json", time.monotonic() + LIMIT_SECONDS
        while not done.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise BenchError(f"{pool}: the callers did not end")
            peak = max(peak, resident_bytes([process.pid]) or 0)
            time.sleep(0.05)
        flown = json.loads(done.read_text())
        who = "sockets, asyncio" if pool == "asyncio" else f"client, {pool}"
        return Flight(
            who, milliseconds, flown["calls"], flown["failed"], most_open(order.url), idle, peak,
            quantile(flown["added"], 0.5), quantile(flown["added"], 0.99), flown["calls"] / flown["seconds"],
        )  # fmt: skip
