"""Where a worker's time goes on the random DAG: cProfile in one worker process, the top 20.

cProfile makes every call dearer, so the shares of many small functions are too large; the order is what to read.
"""

from __future__ import annotations

import pstats
import sys
import time
from collections.abc import Callable
from typing import Final

from bench.chordal_client import FLEET_SECONDS, run_goal
from bench.graphs import dag, document
from bench.processes import processes, until
from bench.systems import QUIET
from orchestrator.settings import Settings
from orchestrator.wiring import connect

TIMES: Final = 20
TOP: Final = 20
STOP_SECONDS: Final = 20.0


def show(tell: Callable[[str], None], times: int = TIMES) -> None:
    """Run the DAG of 1,000 nodes often, and print where the worker was."""
    with processes() as place:
        stats = place.folder / "worker.prof"
        worker = place.start(
            "worker", sys.executable, "-m", "cProfile", "-o", str(stats), "-m", "celery", "-A", "orchestrator", "worker",
            "-P", "solo", *QUIET,
        )  # fmt: skip
        place.celery("orchestrator", "beat")
        chordal = connect(Settings(redis_url=place.url, data_dir=place.folder / "data"))
        until(lambda: chordal.live_workers() and chordal.store.fleet.slots(), 30, "a worker and a beat")
        time.sleep(FLEET_SECONDS)
        goal = document(dag(), "bench.nodes:noop")
        seconds = [run_goal(chordal, goal) for _ in range(times)]
        chordal.store.close()
        worker.terminate()
        until(lambda: worker.poll() is not None and stats.exists(), STOP_SECONDS, "the worker writes its profile")
        tell(f"{times} runs, {sum(seconds):.2f} s under the profiler; by the time in the function itself")
        pstats.Stats(str(stats)).strip_dirs().sort_stats("tottime").print_stats(TOP)
        tell("by the time in the function and all that it calls, Chordal's own alone")
        pstats.Stats(str(stats)).sort_stats("cumtime").print_stats(r"/(orchestrator|tasks|beat)/", TOP)
