"""Submits the same goal as its neighbours, at the same moment: ``python -m chaos.racer URL`` with the document on stdin."""

from __future__ import annotations

import json
import sys

from orchestrator.settings import Settings
from orchestrator.wiring import connect


def main(url: str) -> None:
    """Get ready, wait for the word, submit, and print the goal's id."""
    document = json.loads(sys.stdin.readline())
    chordal = connect(Settings(redis_url=url))
    chordal.store.fleet.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    print(chordal.submit(document), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
