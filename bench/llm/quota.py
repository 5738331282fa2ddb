"""A provider that allows so many requests a minute, and a backlog: who keeps to it, and what the others pay."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.install import interpreter
from bench.llm.backlog import Order
from bench.llm.section import Options, Section, Table, Target
from bench.processes import BenchError, Processes, free_port, listening, processes, until
from bench.systems import System

PER_MINUTE: Final = 600
SECONDS: Final = 120.0
CALLERS: Final = 64
PROCESSES: Final = 2
WINDOW_SECONDS: Final = 60.0
CHORDAL: Final = "chordal"
HOW: Final = """
[llmock](https://pypi.org/project/llmock/) answers with a quota of 600 requests a minute and `Retry-After`; 64 callers (two
processes of 32) have more to do than that, for two minutes, each contender alone against a fresh server. Answers and
429s are counted by the server; answered and failed calls by the clients.

The quota is a token bucket that is full at the start and gets ten requests a second: whoever asks for everything at once
gets 600 more in the first minute, which is why the last minute is shown by itself. A provider with a strict window would
refuse them.

- **Chordal** is told the same limit and goes out evenly; nothing is refused. It keeps the limit in every window by the time
  at which calls go out. By the server's clock a window may hold a few more: those that were late on their way.
- **Celery's** `rate_limit` counts in each worker: as it is written, two workers make twice the rate. Divided by hand it
  is right as long as both workers live and have work. The pool is gevent: Celery 5.7's loop sleeps too long between limited
  tasks where it runs itself, and a worker of threads makes one of them a second.
- **The SDK** retries twice, as soon as the provider says, and then fails the call; the next one begins at once.
- **LiteLLM** counts by the minutes of the clock in Redis and refuses what is above it: with `usage-based-routing-v2` its
  retries wait inside the call, with `enforce_model_rate_limits` the call fails at once. Around the turn of a minute two
  minutes' worth may go out.
"""
LITELLM: Final = System("litellm", "", {}, ("litellm==1.106.2", "redis==8.1.0"))


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who calls."""

    name: str
    text: str
    module: str
    environ: Mapping[str, str] = field(default_factory=dict)
    system: System | None = None
    """Whose environment it runs in; None: this one."""
    workers: bool = False
    """Two Celery workers call, and one process hands in; otherwise two processes call."""


CONTENDERS: Final = (
    Contender(CHORDAL, "requests_per_minute=600", "bench.llm.peers.chordal"),
    Contender(
        "celery 600/m", 'rate_limit="600/m", the limit as it is; each worker counts for itself',
        "bench.llm.peers.celery_limit", {"BENCH_RATE_LIMIT": "600/m"}, workers=True,
    ),
    Contender(
        "celery 300/m", 'rate_limit="300/m", divided by hand among two workers that never fail',
        "bench.llm.peers.celery_limit", {"BENCH_RATE_LIMIT": "300/m"}, workers=True,
    ),
    Contender("openai SDK", "max_retries=2, its default", "bench.llm.peers.sdk"),
    Contender(
        "litellm usage", "Router, rpm=600, Redis, usage-based-routing-v2, num_retries=2",
        "bench.llm.peers.litellm_router", {"BENCH_ROUTER": "usage"}, LITELLM,
    ),
    Contender(
        "litellm check", "Router, rpm=600, Redis, enforce_model_rate_limits, num_retries=2",
        "bench.llm.peers.litellm_router", {"BENCH_ROUTER": "check"}, LITELLM,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quota:
    """What became of one contender's calls, by its own count and by the server's."""

    name: str
    text: str
    seconds: float
    per_minute: int
    answered: int
    """Calls that had their answer in time."""
    refused: int
    """429s that clients received, those behind hidden retries included."""
    failed: int
    """Calls that ended with an error."""
    reasons: Mapping[str, int]
    most_accepted: int
    """Requests accepted in any 60 s."""
    most_sent: int
    """Requests that arrived in any 60 s."""
    utilisation: float
    """Requests accepted, of what the rate allows in the time; above 1 by what the full bucket added."""
    last_minute: float
    """The same for the last 60 s, when nothing is left of the full bucket."""


def measure(options: Options) -> Section:
    """Every contender for two minutes; where time is short, those that need nothing installed, and less of it."""
    seconds = SECONDS if options.whole else min(SECONDS, options.seconds)
    section = Section("quota", "A provider with a quota", HOW)
    measured: list[Quota] = []
    for one in CONTENDERS if options.whole else (CONTENDERS[0], CONTENDERS[3]):
        try:
            measured.append(measure_one(one, seconds))
        except BenchError as error:  # the others go on
            section.missing[one.name] = str(error)[:2000]
            options.tell(f"not measured: {one.name}: {error}")
        else:
            options.tell(told(measured[-1]))
    section.tables.append(_table(measured, seconds))
    section.targets += [target for quota in measured if quota.name == CHORDAL for target in _targets(quota)]
    section.data["quota"] = [asdict(quota) for quota in measured]
    return section


def _table(measured: Sequence[Quota], seconds: float) -> Table:
    columns = (
        "", f"answered in {seconds:g} s", "429s received", "calls failed", "most accepted in 60 s", "most sent in 60 s",
        "of the rate, last minute %", "how",
    )  # fmt: skip
    rows = [
        (
            one.name, one.answered, one.refused, one.failed, one.most_accepted, one.most_sent,
            round(one.last_minute * 100, 1), one.text,
        )
        for one in measured
    ]  # fmt: skip
    return Table("", columns, rows)


def _targets(chordal: Quota) -> list[Target]:
    return [
        Target.most("429s from a provider with a quota", chordal.refused, 0),
        Target.most("calls that failed there", chordal.failed, 0),
        Target.least("use of the quota in the last minute", round(chordal.last_minute * 100, 1), 99.5, " %"),
    ]


def told(one: Quota) -> str:
    """One line for a person."""
    return (
        f"quota {one.name}: {one.answered} answered, {one.refused} refused (429), {one.failed} failed; most in 60 s: "
        f"{one.most_accepted} accepted, {one.most_sent} sent; {one.utilisation:.1%} of the rate"
    )


def measure_one(one: Contender, seconds: float) -> Quota:
    """One contender for so long. Raises BenchError when something does not start."""
    python = interpreter(one.system) if one.system else Path(sys.executable)
    with processes(python=python) as place:
        port, log = free_port(), place.folder / "answers"
        place.start("mock", sys.executable, "-m", "bench.llm.quota_server", str(port), str(PER_MINUTE), str(log))
        until(lambda: listening(port), 60, "llmock listens")
        url = f"http://127.0.0.1:{port}/v1"
        place.extra |= {**one.environ, "BENCH_MODEL_URL": url}
        names = _start(place, one, url, seconds)
        until(lambda: all((place.folder / f"{name}.ready").exists() for name in names), 90, "every client is ready")
        begin = time.monotonic() + 0.5
        _put(place.folder / "go", str(begin))
        done = [place.folder / f"{name}.json" for name in names]
        until(lambda: all(path.exists() for path in done), seconds + 60, "every client has counted", 0.1)
        counts = [json.loads(path.read_text()) for path in done]
        answers = [line.split() for line in log.read_text().splitlines()]
    seen = [(float(at), int(status)) for at, status in answers if begin <= float(at) < begin + seconds]
    return _quota(one, seconds, counts, seen, begin + seconds)


def _start(place: Processes, one: Contender, url: str, seconds: float) -> list[str]:
    """Start the contender's processes; the names of those that count."""
    count = 1 if one.workers else PROCESSES
    names = [f"client-{number}" for number in range(count)]
    for name in names:
        order = Order(url, place.folder, name, seconds, CALLERS // count, PER_MINUTE)
        place.start(name, str(place.python), "-m", one.module, *order.argv())
    if one.workers:
        for number in range(PROCESSES):
            place.celery(
                one.module, "worker", "-n", f"w{number}@bench", "-P", "gevent", "-c", str(CALLERS // PROCESSES),
                "-l", "INFO", "--without-mingle", "--without-gossip",
            )  # fmt: skip
        until(lambda: place.log("worker").read_text().count(" ready.") == PROCESSES, 60, "both workers are ready")
    return names


def _put(path: Path, text: str) -> None:
    """Whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def _quota(
    one: Contender, seconds: float, counts: Sequence[Mapping[str, Any]], seen: Sequence[tuple[float, int]], end: float
) -> Quota:
    accepted = sorted(at for at, status in seen if status == 200)
    reasons: dict[str, int] = {}
    for count in counts:
        for reason, number in count["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    span = min(WINDOW_SECONDS, seconds)
    return Quota(
        one.name, one.text, seconds, PER_MINUTE,
        answered=sum(count["answered"] for count in counts),
        refused=sum(status == 429 for _, status in seen),
        failed=sum(count["failed"] for count in counts),
        reasons=reasons,
        most_accepted=most_within(accepted, WINDOW_SECONDS),
        most_sent=most_within(sorted(at for at, _ in seen), WINDOW_SECONDS),
        utilisation=len(accepted) / (PER_MINUTE * seconds / 60),
        last_minute=sum(at >= end - span for at in accepted) / (PER_MINUTE * span / 60),
    )  # fmt: skip


def most_within(moments: Sequence[float], seconds: float) -> int:
    """The most of these (ascending) in any stretch of time of this length, its end left out."""
    most = first = 0
    for last, at in enumerate(moments):
        while moments[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
