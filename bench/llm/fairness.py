"""One owner with many waiters, four with few: does each get an equal share, and how long do the small ones wait?"""

from __future__ import annotations

from collections import Counter
from typing import Final

from bench.llm.drive import drive
from bench.llm.load import Load
from bench.llm.recount import quantile
from bench.llm.section import Cell, Options, Section, Table, Target

WINDOW: Final = 3.0
SMALL: Final = ("small 1", "small 2", "small 3", "small 4")
FLOOD: Final = "flood"
LATENCY: Final = (0.02, 0.08)
HOW: Final = """In each process 21 threads call for one owner and one for each of four others: 84 waiters against 4, 4, 4 and
4. The account allows 300 requests in 3 s; calls take 20 to 80 ms, so that four callers can use a fifth of them. Calls that began, by their callers' record, from the second window to the last;
a share is compared with a fifth of them. Waits are from asking for a permit to having it, in the callers' processes."""


def measure(options: Options) -> Section:
    """One run."""
    owners = (FLOOD,) * (options.threads - len(SMALL)) + SMALL
    limits = {"requests_per_minute": 300, "window_seconds": WINDOW}
    load = Load(limits, options.seconds, options.threads, owners, latency=LATENCY)
    run = drive(load, options.processes)
    inside = [call for call in run.calls if run.begin + WINDOW <= call.began < run.begin + load.seconds]
    counts = Counter(call.owner for call in inside)
    fair = len(inside) / (1 + len(SMALL))
    rows: list[list[Cell]] = []
    for owner in (FLOOD, *SMALL):
        waits = [call.waited for call in inside if call.owner == owner]
        threads = owners.count(owner) * options.processes
        rows.append([owner, threads, counts[owner], f"{counts[owner] / fair:.2%}" if fair else None,
                     quantile(waits, 0.5), quantile(waits, 0.99), max(waits, default=0.0)])  # fmt: skip
    off = max((abs(counts[owner] / fair - 1) for owner in (FLOOD, *SMALL)), default=1.0) if fair else 1.0
    slow = quantile([call.waited for call in inside if call.owner != FLOOD], 0.99)
    options.tell(f"shares are off by {off:.2%} at most, small owners wait {slow:.3f} s at the 99th percentile")
    columns = ("owner", "waiters", "calls", "of a fair share", "wait p50, s", "wait p99, s", "longest, s")
    return Section(
        "fairness", "Fairness", HOW, [Table("", columns, rows)],
        [
            Target("shares differ from a fifth by", "<= 2.0%", f"{off:.2%}", off <= 0.02),
            Target.most("small owners' wait, 99th percentile", slow, 1.0, " s"),
        ],
        {"counts": dict(counts), "off": off, "small_p99_seconds": slow},
    )  # fmt: skip
