"""The parts that the tasks of this process share."""

from __future__ import annotations

from functools import cache

from orchestrator.wiring import Chordal, connect


@cache
def chordal() -> Chordal:
    """The process's Chordal. Its sockets are opened anew after a fork."""
    return connect()
