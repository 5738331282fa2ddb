"""A process that does nothing but keep an account's gate open: `python gatekeeper.py URL ACCOUNT`."""

from __future__ import annotations

import sys
import threading

from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Limits
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store

WINDOW_SECONDS = 1.0


def main() -> None:
    """Keep it open until the process is killed."""
    limits = Limits(requests_per_minute=1, window_seconds=WINDOW_SECONDS)
    Limiter(Store(sys.argv[1], Keys(), 2000), {"*": limits}).open_gate(sys.argv[2], lambda word: print(word))
    threading.Event().wait()


if __name__ == "__main__":
    main()
