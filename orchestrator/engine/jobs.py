"""Claimed nodes on their way to a commit, alone or in a pack."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.condition import Condition
from orchestrator.engine.ends import End, HandBack
from orchestrator.engine.leases import Held
from orchestrator.engine.upstream import Upstream
from orchestrator.store.records import Claimed, Result


@dataclass(eq=False, slots=True)
class Job:
    """One claimed node on its way to a commit."""

    claimed: Claimed
    spec: dict[str, Any]
    held: Held
    upstream: Upstream
    end: End | None = None
    result: Result | None = None
    """The commit that the end asks for, once it is made."""
    ahead: bool = False
    """It runs under the lease of the node that it follows, and is not claimed yet."""
    seconds: float = 0.0
    message_is_out: bool = False
    """The message that a park waits for was sent by someone else."""

    @property
    def call(self) -> str:
        """What kind of work it is, for the measured durations."""
        return self.spec.get("call") or self.spec.get("kind") or ""


class Pack:
    """Nodes that run one after the other and are committed together.

    The worker goes through them; meanwhile the watcher may take those that have not started, or commit those that have
    ended. `lock` is held by whoever changes what the pack holds.
    """

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.started = 0.0
        self.following: Job | None = None
        """The node that runs ahead at this moment."""
        self.lock = threading.Lock()
        self._waiting = deque(jobs)
        self._closed = False

    def keep_short(self, short: Callable[[Job], bool]) -> None:
        """Of work not known to be short only the first is run, the rest goes back with the commit."""
        kept = [job for job in self.jobs if short(job)] or self.jobs[:1]
        for job in self.jobs:
            if job not in kept:
                job.end = HandBack()
        self._waiting = deque(kept)

    def next(self) -> Job | None:
        """The job to run now, or None."""
        with self.lock:
            self.started = time.monotonic()
            return self._waiting.popleft() if self._waiting else None

    def follow(self, job: Job) -> bool:
        """A node runs ahead; False where it must not, because the nodes before it were committed meanwhile."""
        with self.lock:
            if self._closed:
                return False
            self.started, self.following = time.monotonic(), job
            self.jobs.append(job)
            return True

    def followed(self) -> None:
        """The node that ran ahead has ended."""
        with self.lock:
            self.following = None

    def close(self, current: Job) -> None:
        """By the holder of the lock: every node but the current one is committed, and none follows any more."""
        self.jobs, self.following, self._closed = [current], None, True

    def take_waiting(self) -> list[Job]:
        """Every job that has not started; it will not start here."""
        with self.lock:
            taken = list(self._waiting)
            self._waiting.clear()
            self.jobs = [job for job in self.jobs if job not in taken]
            return taken


def untaken(spec: Mapping[str, Any], output: Any) -> str:
    """The targets whose `when` does not hold on the output, as the scripts read them: ' a b '."""
    conditions = spec.get("_when")
    if not conditions:
        return ""
    names = [target for target, raw in conditions.items() if not Condition.model_validate(raw).holds(output)]
    return f" {' '.join(names)} " if names else ""
