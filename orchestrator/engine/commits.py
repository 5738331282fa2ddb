"""Commit what ran: the result that each end asks for, one script for many, and what follows from it."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

from orchestrator.domain.errors import OutputNotSerialisable
from orchestrator.domain.lease import Lease
from orchestrator.domain.retry import backoff
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.ends import Done, End, Failed, HandBack, Parked
from orchestrator.engine.jobs import Job, untaken
from orchestrator.engine.kinds import Kinds, after_park, decode_spec
from orchestrator.engine.leases import Held, Keeper
from orchestrator.engine.payload import to_json
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.records import Claimed, Outcome, Result, Step, Verdict
from orchestrator.store.store import Store

log = logging.getLogger(__name__)
T = TypeVar("T")

REDIS_PATIENCE_SECONDS: Final = 60.0
"""How long a finished node waits for Redis to come back before it is given up (its lease has long run out)."""


@dataclass(slots=True)
class Observer:
    """Told about nodes as they start and end, so that Flower can show those that ran on in one message."""

    started: Callable[[Job], None] = lambda _job: None
    ended: Callable[[Job, Result], None] = lambda _job, _result: None
    idle: Callable[[], None] = lambda: None
    """An invitation was answered."""


@dataclass(slots=True)
class Committer:
    """Ends leases for this process. Safe to use from several threads or greenlets."""

    store: Store
    settings: Settings
    sender: Sender
    slots: Slots
    kinds: Kinds
    keeper: Keeper
    goal_ended: Callable[[str], None]
    observer: Observer = field(default_factory=Observer)
    name: str = ""
    """The Celery worker's name; by default the host's."""

    @property
    def worker(self) -> str:
        """Who holds the leases: worker, process, and the thread where there are several."""
        thread = "" if threading.current_thread() is threading.main_thread() else f"/{threading.get_ident() % 100_000}"
        return f"{self.name or socket.gethostname()}/{os.getpid()}{thread}"

    @property
    def lease_ms(self) -> int:
        """The length of a lease whose node does not say, in milliseconds."""
        return int(self.settings.lease_seconds * 1000)

    def result(self, job: Job, end: End) -> Result:
        """The commit that an End asks for."""
        result = self._plain_result(job, end)
        if isinstance(end, HandBack) or end.turn is None:
            return result
        return replace(result, turn=end.turn.as_json())

    def _plain_result(self, job: Job, end: End) -> Result:
        lease, spec = job.claimed.lease, job.spec
        if isinstance(end, Done):
            try:
                body = self.kinds.payloads.pack(lease.goal, lease.node, end.output)
            except OutputNotSerialisable as error:
                return self._plain_result(job, Failed("output", str(error), final=True))
            said = dict(end.about or {})
            if self.settings.record_digests:
                said |= digests(job.upstream.read, body)
            data = to_json(said) if said else ""
            return Result(lease, Outcome.DONE, body, untaken(spec, end.output), data)
        if isinstance(end, Parked):
            delay = "" if end.seconds is None else int(end.seconds * 1000)
            return Result(lease, Outcome.PARK, end.as_json(), delay)
        if isinstance(end, HandBack):
            return Result(lease, Outcome.RELEASE, job.claimed.resume)
        failures = job.claimed.failures + 1
        retries = spec.get("retries", self.settings.node_retries if end.retries is None else end.retries)
        if end.final or failures > retries:
            return Result(lease, Outcome.FAILED, end.as_json(), untaken(spec, None))
        if end.seconds is not None:
            return Result(lease, Outcome.RETRY, end.as_json(), int(end.seconds * 1000))
        base = spec.get("backoff_seconds", self.settings.backoff_seconds)
        wait = backoff(failures, base, self.settings.backoff_cap_seconds, random.uniform)
        return Result(lease, Outcome.RETRY, end.as_json(), int(wait * 1000))

    def sealed(self, job: Job) -> Result:
        """The result of a job that has ended."""
        assert job.end is not None
        result = job.result or self.result(job, job.end)
        return replace(result, ahead=True) if job.ahead else result

    def commit(self, goal: str, queue: str, jobs: Sequence[Job], most: int) -> Step:
        """Commit jobs that have ended, whenever Redis can be reached, and claim up to `most` nodes of the queue."""
        results = [(job, self.sealed(job)) for job in jobs]
        for job in jobs:
            job.held.ending = True
        version = jobs[-1].claimed.version if jobs and jobs[-1].ahead else ""
        try:
            step = self._patiently(partial(self.commit_once, goal, results, queue, most, version))
        except BaseException:
            for job in jobs:  # nobody commits it any more: the lease must run out
                self.keeper.drop(job.held)
            raise
        self.after(goal, results, step)
        return step

    def commit_once(
        self,
        goal: str,
        results: Sequence[tuple[Job, Result]],
        queue: str = "default",
        most: int = 0,
        version: str = "",
    ) -> Step:
        """One try at a commit; `after` must follow. `version` is the plan's under which nodes ran ahead."""
        return self.store.nodes.commit(
            goal,
            [result for _, result in results],
            worker=self.worker,
            nonce=secrets.token_hex(6),
            lease_ms=self.lease_ms,
            slots=self.slots.json(),
            queue=queue,
            most=most,
            look_ahead=self.settings.pack_limit if most > 1 else 0,
            version=version,
        )

    def commit_only(self, goal: str, results: Sequence[tuple[Job, Result]]) -> None:
        """Commit without claiming, and do what follows; one try."""
        step = self.commit_once(goal, results)
        self.after(goal, results, step)
        self.send(step)

    def finish(self, lease: Lease, end: End, held: Held | None, message_is_out: bool = False) -> Verdict:
        """Commit a node that a user's Celery task ran."""
        job = self.job(lease, held or Held(lease, self.lease_ms, 0.0, 0))
        job.message_is_out = message_is_out
        return self.end(job, end)

    def job(self, lease: Lease, held: Held) -> Job:
        """What a lease that a message began is for, loaded whenever Redis can be reached."""
        try:
            claimed, spec = self._patiently(partial(self._loaded, lease))
        except BaseException:
            self.keeper.drop(held)
            raise
        return Job(claimed, spec, held, self.kinds.upstream(lease))

    def end(self, job: Job, end: End) -> Verdict:
        """Commit a job, and claim nothing."""
        job.end = end
        step = self.commit(job.claimed.lease.goal, "default", [job], 0)
        self.send(step)
        return step.verdicts[0]

    def _loaded(self, lease: Lease) -> tuple[Claimed, dict[str, Any]]:
        failures = self.store.goals.failures(lease.goal, lease.node)
        return Claimed(lease, self.lease_ms, failures, "", ""), decode_spec(
            self.store.goals.spec(lease.goal, lease.node)
        )

    def commit_for(self, lease: Lease, output: Any, error: str | None) -> str:
        """Commit a lease from outside the worker that took it."""
        end: End = Done(output) if error is None else Failed("error", error)
        return self.finish(lease, end, None).value

    def _patiently(self, act: Callable[[], T]) -> T:
        """A finished node is not thrown away because Redis is gone for a moment."""
        end = time.monotonic() + REDIS_PATIENCE_SECONDS
        while True:
            try:
                return act()
            except ConnectionFailed as error:
                if time.monotonic() >= end:
                    raise
                log.warning("Redis is away (%s); the commit waits for it", error)
                time.sleep(0.5)

    def after(self, goal: str, results: Sequence[tuple[Job, Result]], step: Step) -> None:
        """Let the leases go, tell the observer, and do what the commit made necessary."""
        for (job, result), verdict in zip(results, step.verdicts, strict=True):
            self.keeper.drop(job.held)
            self.observer.ended(job, result)
            if verdict is Verdict.FENCED:
                log.warning("the late commit of %s in %s was fenced; nothing changed", job.claimed.lease.node, goal)
        try:
            self._follow_up(goal, results, step)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); beat will do what follows the commit in %s", error, goal)
        except Exception:  # the commit stands, and this worker holds claims that it must go on with
            log.exception("what follows the commit in %s failed; beat will do it", goal)

    def _follow_up(self, goal: str, results: Sequence[tuple[Job, Result]], step: Step) -> None:
        """What the commit made necessary. Beat does each of these too, should this process not come to it."""
        delays = [
            int(result.extra)
            for (_, result), verdict in zip(results, step.verdicts, strict=True)
            if verdict is Verdict.ACCEPTED and result.outcome in (Outcome.RETRY, Outcome.PARK) and result.extra != ""
        ]
        if delays:
            self.store.goals.expect(goal, min(delays))
        for (job, result), verdict in zip(results, step.verdicts, strict=True):
            if verdict is not Verdict.ACCEPTED:
                continue
            if isinstance(job.end, Parked) and not job.message_is_out:
                after_park(self.kinds, job.claimed, job.spec, job.end)
            elif isinstance(job.end, Done | Failed) and job.end.after and result.outcome is not Outcome.RETRY:
                job.end.after()
        more = step.more
        while more:
            more, invitations = self.store.nodes.settle(goal, slots=self.slots.json())
            self.sender.invite(invitations)
        if step.status in ("DONE", "FAILED", "CANCELLED"):
            self.goal_ended(goal)

    def send(self, step: Step) -> None:
        """Send the invitations that a step asks for."""
        if step.invitations:
            self.sender.invite(step.invitations)


def digests(read: Mapping[str, str], output: str) -> dict[str, Any]:
    """What a node read and what it gave, in few characters, for its event."""
    return {"inputs": {node: _digest(text) for node, text in read.items()}, "output": _digest(output)}


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
