"""What the workers run under chaos: short deterministic nodes whose outputs the driver can foretell."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from celery import Celery

from orchestrator import current, node

app = Celery("chaos", set_as_current=False)
MODULUS = 1_000_003


@node
def add(base: int, parents: list[int], seconds: float) -> int:
    """Wait a little, and sum."""
    time.sleep(seconds)
    return (base + sum(parents)) % MODULUS


@node
def flaky(base: int, parents: list[int], seconds: float) -> int:
    """Fail on the first attempt, so that retries and their timers are part of the load."""
    time.sleep(seconds)
    lease = current()
    if lease is not None and lease.attempt == 1:
        raise RuntimeError("the first attempt fails")
    return (base + sum(parents)) % MODULUS


@node
def total(texts: list[str]) -> int:
    """Sum numbers that models wrote."""
    return sum(map(int, texts)) % MODULUS


@node
def blob(size: int) -> str:
    """An output too large for Redis."""
    return "x" * size


@node
def measure(text: str) -> dict[str, Any]:
    """Length and digest of an input."""
    return {"length": len(text), "sha1": hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}


@app.task(name="chaos.add")  # type: ignore[untyped-decorator,unused-ignore]
def add_task(base: int, parents: list[int], seconds: float) -> int:
    """The same as a user's own Celery task."""
    time.sleep(seconds)
    return (base + sum(parents)) % MODULUS
