"""A process that calls through the limiter, with more to call than the limits allow, until FOLDER/stop is there:
`python callers.py URL FOLDER THREADS [threads|gevent|fork]`.

Each call takes a little while and uses less than it reserved; support.sent has what each of them writes down. `gevent`:
monkey-patched, and the threads are greenlets. `fork`: two children go on with the limiter that their parent uses. Run by
the process tests of the limiter.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.argv[4:] == ["gevent"]:
    from gevent import monkey

    monkey.patch_all()

import os
import random
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store
from support.sent import ACCOUNT, TTL_SECONDS, Log
from support.servers import until

# Without pacing: what the window allows goes out at once, so that one which is not exact would show.
LIMITS = Limits(
    requests_per_minute=120, tokens_per_minute=19_000, concurrency=20, window_seconds=1.5, burst_seconds=1.5
)
COST = Cost(100, 100)
OWNERS = 4
CHILDREN = 2


def call_until(stop: Path, limiter: Limiter, log: Log, index: int) -> None:
    """Call after call of one thread."""
    chance, owner = random.Random(index), f"o{index % OWNERS}"
    while not stop.exists():
        with suppress(*ConnectionFailed):
            permit = limiter.acquire(ACCOUNT, COST, owner=owner, ttl_seconds=TTL_SECONDS)
            log.began(permit, owner)
            time.sleep(chance.uniform(0.02, 0.15))
            log.end(permit, Cost(100, chance.randint(0, 100)))


def work(limiter: Limiter, folder: Path, threads: int) -> None:
    """So many threads on one limiter."""
    log, stop = Log(folder), folder / "stop"
    workers = [
        threading.Thread(target=call_until, args=(stop, limiter, log, index), name=f"t{index}", daemon=True)
        for index in range(threads)
    ]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    limiter.close()


def forked(limiter: Limiter, folder: Path, threads: int) -> None:
    """The parent calls, forks in the middle of its calls, and goes on beside its children."""
    first = threading.Thread(target=work, args=(limiter, folder, threads))
    first.start()
    until(lambda: any(folder.glob("*.sent")), what="a call that was sent")
    children = []
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            try:
                work(limiter, folder, threads)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    first.join()
    for child in children:
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit(f"the child {child} failed")


def main() -> None:
    """As a program."""
    url, folder, threads, *kind = sys.argv[1:]
    limiter = Limiter(Store(url, Keys(), 2000), {ACCOUNT: LIMITS})
    (forked if kind == ["fork"] else work)(limiter, Path(folder), int(threads))


if __name__ == "__main__":
    main()
