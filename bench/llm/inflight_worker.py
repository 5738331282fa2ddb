"""Calls in flight in a real worker of the queue `llm`: nodes of goals, from the grant of the permit to the node's end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from subprocess import Popen
from typing import Final

from bench.llm.flight import LIMIT_SECONDS, Flight, most_open, quantile, start_server
from bench.machine import resident_bytes
from bench.processes import BenchError, Processes, processes, until
from bench.systems import QUIET
from orchestrator.gate.place import Place
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

ACCOUNT: Final = "slow"
PROFILES: Final = """
accounts: {{slow: {{base_url: "{url}/{milliseconds}/v1", limits: {{concurrency: {slots}}}}}}}
models: {{m: {{account: slow, encoding: o200k_base}}}}
chains: {{default: [m]}}
"""


def fly(pool: str, milliseconds: int, slots: int, nodes: int) -> Flight:
    """So many nodes on a worker of so many slots. Raises BenchError when they do not end."""
    with processes() as place:
        url = start_server(place)
        file = place.folder / "models.yaml"
        file.write_text(PROFILES.format(url=url, milliseconds=milliseconds, slots=slots))
        place.extra["CHORDAL_LLM_FILE"] = str(file)
        worker = _start(place, pool, slots)
        chordal = connect(Settings(redis_url=place.url, data_dir=place.folder / "data", llm_file=file))
        until(lambda: chordal.live_workers() == 2, 60, "two workers have announced themselves")
        # One call first: what is loaded at the first use belongs to the idle worker.
        _all_done(chordal, _submit(chordal, 1, 1), worker, lambda: None)
        until(lambda: (chordal.limiter.status(ACCOUNT).slots or 0) >= slots, 30, "beat has published the slots")
        most_open(url)
        idle = resident_bytes([worker.pid]) or 0
        peak = [idle]

        def look() -> None:
            peak[0] = max(peak[0], resident_bytes([worker.pid]) or 0)

        begun = time.time()
        goals = _submit(chordal, nodes, slots)
        failed = _all_done(chordal, goals, worker, look)
        added, last = _added(chordal, goals, milliseconds / 1000)
        return Flight(
            f"llm worker, {pool}", milliseconds, nodes, failed, most_open(url), idle, peak[0],
            quantile(added, 0.5), quantile(added, 0.99), nodes / (last - begun),
        )  # fmt: skip


def _start(place: Processes, pool: str, slots: int) -> Popen[bytes]:
    place.celery("orchestrator", "beat")
    place.celery("orchestrator", "worker", "-n", "nodes@bench", "-c", "2", *QUIET)
    return place.celery(
        "orchestrator", "worker", "-n", "llm@bench", "-Q", "llm", "-P", pool, "-c", str(slots), *QUIET
    )  # fmt: skip


def _submit(chordal: Chordal, nodes: int, each: int) -> list[str]:
    """Goals of at most so many calls beside each other."""
    inputs = {"prompt": "Say hello.", "max_output_tokens": 16}
    made = []
    while nodes > 0:
        count = min(nodes, each)
        made.append(
            chordal.submit({"nodes": [{"id": f"n{index}", "kind": "llm", "inputs": inputs} for index in range(count)]})
        )
        nodes -= count
    return made


def _all_done(chordal: Chordal, goals: list[str], worker: Popen[bytes], look: Callable[[], None]) -> int:
    """Wait for the ends; how many nodes failed."""
    open_, end, failed = list(goals), time.monotonic() + LIMIT_SECONDS, 0
    next_ask = 0.0
    while open_:
        look()
        if worker.poll() is not None or time.monotonic() > end:
            raise BenchError(f"{len(open_)} of {len(goals)} goals did not end")
        if time.monotonic() >= next_ask:
            seen = chordal.summary(open_[0])
            if seen.terminal:
                failed += sum(count for state, count in seen.counts.items() if state not in ("DONE",))
                open_.pop(0)
                continue
            next_ask = time.monotonic() + 0.5
        time.sleep(0.05)
    return failed


def _added(chordal: Chordal, goals: list[str], answer_seconds: float) -> tuple[list[float], float]:
    """Seconds from each grant to its node's end beyond the answer's own, ascending; and when the last node ended."""
    granted = _grants(chordal)
    added, last = [], 0.0
    for goal in goals:
        after = "0"
        while page := chordal.events(goal, after):
            after = page[-1].id
            for event in page:
                if event.type == "node.done":
                    last = max(last, event.at)
                    begun = granted.get((goal, event.node))
                    if begun is not None:
                        added.append(event.at - begun - answer_seconds)
    return sorted(added), last


def _grants(chordal: Chordal) -> Mapping[tuple[str, str], float]:
    """When the latest permit of each node was granted, as far back as the account's events go."""
    found: dict[tuple[str, str], float] = {}
    after = "0"
    while page := list(chordal.store.llm.events(ACCOUNT, after)):
        after = page[-1].id
        for event in page:
            if event.type == "llm.permit":
                place = Place.of(event.data["permit"])
                found[place.goal, place.node] = event.at
    return found
