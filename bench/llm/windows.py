"""Are the limits kept in every window, and are they used up? Requests, tokens, estimates that are off, learned ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench.llm.drive import Run, drive
from bench.llm.load import Load
from bench.llm.recount import most_in_window, starts, used_up
from bench.llm.section import Cell, Options, Section, Table, Target
from orchestrator.events.rules.permits import check_permits

WINDOW: Final = 3.0
MINUTE_RUN_SECONDS: Final = 135.0
TITLE: Final = "Windows"
HOW: Final = """Every thread calls again as soon as its call has ended (50 to 200 ms), so there is always a line. Every caller writes
down when it was free to send and what it used; from this record follow the most calls and tokens in any sliding window, and
what whole windows held on the average, from the second window on, as a share of the limit. The events of the account are
checked besides, permit by permit, with what was reserved (rule I7). Scripts, and blocking pops, which are wake-ups, are
counted by the server (`INFO commandstats`).

Calls use 20 to 600 tokens, evenly spread, and reserve as much output as they will use, or 1.5 or 2 times as much. In the
learned case answers differ by 30 % around their mean, and callers reserve what the account has learned (the 95th percentile
and a tenth), asked for once a second, as the client does.

What is reserved beyond what is used is free again only at the end of the call. With calls of 125 ms in a window of 3 s
that alone costs an estimate of 1.5 about 1.7 % of the allowance, one of 2 about 3.4 %; in a window of a minute, a twentieth
of that."""


@dataclass(frozen=True, slots=True)
class Case:
    """One account under load."""

    name: str
    load: Load
    least: float
    """The utilisation that is wanted."""


def cases(options: Options) -> list[Case]:
    """What is measured."""
    requests = {"requests_per_minute": 300, "window_seconds": WINDOW}
    tokens = {"tokens_per_minute": 60_000, "window_seconds": WINDOW}
    plain = Load(requests, options.seconds, options.threads)
    counted = replace(plain, limits=tokens)
    near = replace(counted, tokens=(210, 390))
    found = [
        Case("300 requests in 3 s", plain, 0.995),
        Case("60,000 tokens in 3 s, exact", counted, 0.995),
        Case("60,000 tokens in 3 s, estimates 1.5x", replace(counted, estimate=1.5), 0.995),
        Case("60,000 tokens in 3 s, estimates 2x", replace(counted, estimate=2.0), 0.995),
        Case("60,000 tokens in 3 s, learned", replace(near, learned=True), 0.98),
    ]
    if options.whole:
        minute = {"tokens_per_minute": 600_000, "window_seconds": 60.0}
        long = replace(counted, limits=minute, estimate=1.5, seconds=MINUTE_RUN_SECONDS)
        found.append(Case("600,000 tokens in 60 s, estimates 1.5x", long, 0.995))
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a case."""

    name: str
    limit: int
    calls: int
    most: int
    """In any window: calls or tokens, whichever is limited."""
    used: float
    """Share of the limit, over whole windows."""
    windows: int
    faults: int
    """Breaches of I7 in the events."""
    scripts: float
    """A call."""
    pops: float
    """A call."""


def see(case: Case, run: Run) -> Seen:
    """Recount a run."""
    window = case.load.account().window_seconds
    by_tokens = case.load.account().tokens_per_minute is not None
    limit = case.load.account().tokens_per_minute or case.load.account().requests_per_minute or 0
    out = starts(run.calls)
    last = run.begin + case.load.seconds
    calls, tokens, windows = used_up(out, run.begin + window, last, window)
    return Seen(
        case.name, limit, len(out), most_in_window(out, window)[int(by_tokens)], (tokens if by_tokens else calls) / limit,
        windows, len(check_permits(run.events)), run.scripts / max(1, len(out)), run.pops / max(1, len(out)),
    )  # fmt: skip


def measure(options: Options) -> Section:
    """All cases, one after the other."""
    section = Section("windows", TITLE, HOW)
    rows: list[list[Cell]] = []
    seen: list[Any] = []
    for case in cases(options):
        one = see(case, drive(case.load, options.processes))
        options.tell(
            f"{one.name}: {one.used:.2%} used, most {one.most} of {one.limit}, {one.scripts:.2f} scripts a call"
        )
        seen.append(asdict(one))
        rows.append([
            one.name, one.calls, one.windows, one.most, one.faults, f"{one.used:.2%}", round(one.scripts, 2),
            round(one.pops, 2), round(one.scripts + one.pops, 2),
        ])  # fmt: skip
        section.targets += [
            Target.most(f"{one.name}: most in any window", one.most, one.limit),
            Target(f"{one.name}: used up", f">= {case.least:.1%}", f"{one.used:.2%}", one.used >= case.least),
            Target.most(f"{one.name}: scripts and blocking pops a call", round(one.scripts + one.pops, 2), 2.5),
        ]
    columns = ("load", "calls", "windows", "most in a window", "I7 faults", "used", "scripts", "pops", "both a call")
    section.tables.append(Table("", columns, rows))
    section.data["cases"] = seen
    return section
