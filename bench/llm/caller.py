"""A process of threads that call through the limiter: ``python -m bench.llm.caller FOLDER NUMBER BEGIN``.

It reads the load from FOLDER, begins at the moment BEGIN of the clock, and writes what it really called into a file.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from bench.llm.load import ACCOUNT, Called, Load
from orchestrator.llm.errors import PermitLost
from orchestrator.llm.estimates import estimate
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store

MODEL, ROLE = "model", "writer"
_ASK_SECONDS = 1.0


class Caller:
    """The threads of one process."""

    def __init__(self, load: Load, number: int, begin: float) -> None:
        self._load, self._number = load, number
        self._store = Store(os.environ["BENCH_REDIS_URL"], Keys(), 2000)
        self._limiter = Limiter(self._store, {ACCOUNT: load.account()})
        self._begin, self._end = begin, begin + load.seconds
        self._calls: list[Called] = []
        self._output, self._asked = 0, 0.0

    def run(self) -> list[Called]:
        """Call until the time is over."""
        threads = [threading.Thread(target=self._work, args=(index,)) for index in range(self._load.threads)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self._limiter.close()
        return self._calls

    def _work(self, index: int) -> None:
        owner = self._load.owners[index % len(self._load.owners)]
        chance = random.Random(self._number * 1000 + index)
        time.sleep(max(0.0, self._begin - time.time()))
        while time.time() < self._end:
            self._call(owner, chance)

    def _call(self, owner: str, chance: random.Random) -> None:
        total = chance.randint(*self._load.tokens)
        given, wanted = total // 6, total - total // 6
        reserved = self._learned() if self._load.learned else round(wanted * self._load.estimate)
        used, asked, lost = Cost(given, min(wanted, reserved)), time.time(), False
        permit = self._limiter.acquire(
            ACCOUNT, Cost(given, reserved), owner=owner, ttl_seconds=self._load.ttl_seconds, wait_seconds=120
        )
        began = time.time()
        time.sleep(chance.uniform(*self._load.latency))
        try:
            permit.settle(used, f"{MODEL}\1{ROLE}" if self._load.learned else "")
        except PermitLost:
            lost = True
        self._calls.append(Called(began, time.time(), used.tokens, owner, began - asked, lost))

    def _learned(self) -> int:
        """What the account's answers need, asked for once a second."""
        if time.monotonic() > self._asked + _ASK_SECONDS:
            self._asked = time.monotonic()
            seen = self._store.llm.learned(ACCOUNT, MODEL, ROLE)
            self._output = estimate(seen) if seen else self._load.tokens[1] * 2
        return self._output


def main() -> None:
    """Call, and write down what was called."""
    folder, number, begin = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    calls = Caller(Load.read(folder / "load.json"), number, begin).run()
    with suppress(BrokenPipeError):
        (folder / f"calls-{number}.json").write_text(json.dumps([astuple(one) for one in calls]))


if __name__ == "__main__":
    main()
