"""A process of threads that call through the limiter until it is told to stop: `python callers.py URL SECONDS THREADS`.

Each call takes a little while and uses less than it reserved. Run by tests/integration/test_llm_processes.py.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from contextlib import suppress

from orchestrator.llm.errors import PermitLost
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store

LIMITS = Limits(requests_per_minute=200, concurrency=40, window_seconds=1.0, tokens_per_minute=100_000)
COST = Cost(100, 100)


def main() -> None:
    """Call until the time is over."""
    url, seconds, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    limiter = Limiter(Store(url, Keys(), 2000), {"acme": LIMITS})
    end = time.monotonic() + seconds

    def work(index: int) -> None:
        chance = random.Random(index)
        while time.monotonic() < end:
            # A process that was stopped for longer than its leases finds them lost, and goes on.
            with suppress(PermitLost), limiter.acquire("acme", COST, owner=f"o{index % 4}", ttl_seconds=2) as permit:
                time.sleep(chance.uniform(0.01, 0.1))
                permit.settle(Cost(100, chance.randint(0, 100)))

    workers = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(threads)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    limiter.close()


if __name__ == "__main__":
    main()
