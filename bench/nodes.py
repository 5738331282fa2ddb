"""The functions that function nodes call. What they do takes no time of the processor, so that the rest is measured."""

from __future__ import annotations

import time

from bench import steps
from orchestrator import node


@node
def noop() -> None:
    """Do nothing."""


@node
def nap(seconds: float) -> None:
    """Sleep: a node that waits for something else, as most long ones do."""
    time.sleep(seconds)


@node
def step(at: int, seconds: float) -> None:
    """One step of the chain whose worker is killed."""
    steps.take(at, seconds)
