"""Answer an invitation: claim, run and commit what is ready on one queue of one goal, within a time slice."""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from orchestrator.domain.errors import NodeTimeout, OutputNotSerialisable
from orchestrator.domain.lease import Lease
from orchestrator.domain.retry import backoff
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.ends import Done, Durations, End, Failed, HandBack, Parked, failed_by
from orchestrator.engine.jobs import Job, Pack, untaken
from orchestrator.engine.kinds import Kinds, after_park, decode_spec, failure_of
from orchestrator.engine.leases import Held, Keeper, time_limit
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.records import Claimed, Outcome, Result, Step, Verdict
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

SHORT_SECONDS: Final = 0.002
"""Work below this is claimed in packs."""
PACK_SECONDS: Final = 0.25
"""When one node of a pack takes this long, the rest of the pack is handed back."""
LINGER_SECONDS: Final = (0.0005, 0.001, 0.002)
"""Short waits for a neighbour's commit to make something ready, before an invitation ends."""
REDIS_PATIENCE_SECONDS: Final = 60.0
"""How long a finished node waits for Redis to come back before it is given up (its lease has long run out)."""


class Stopping(BaseException):
    """The worker is being shut down under the running node."""


@dataclass(slots=True)
class Observer:
    """Told about nodes as they start and end, so that Flower can show those that ran on in one message."""

    started: Callable[[Job], None] = lambda _job: None
    ended: Callable[[Job, Result], None] = lambda _job, _result: None
    idle: Callable[[], None] = lambda: None
    """An invitation was answered."""


@dataclass(slots=True)
class Runner:
    """Works for this process. Safe to use from several threads or greenlets."""

    store: Store
    settings: Settings
    sender: Sender
    slots: Slots
    kinds: Kinds
    keeper: Keeper
    goal_ended: Callable[[str], None]
    observer: Observer = field(default_factory=Observer)
    durations: Durations = field(default_factory=Durations)
    name: str = ""
    """The Celery worker's name; by default the host's."""
    stopping: bool = False

    @property
    def worker(self) -> str:
        """Who holds the leases: worker, process, and the thread where there are several."""
        thread = "" if threading.current_thread() is threading.main_thread() else f"/{threading.get_ident() % 100_000}"
        return f"{self.name or socket.gethostname()}/{os.getpid()}{thread}"

    def answer(self, goal: str, queue: str, hint: str = "", sent_ms: int | None = None) -> int:
        """Work for an invitation until the slice is over or nothing is left; returns how many nodes were run."""
        try:
            return self._answer(goal, queue, hint, sent_ms)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); the invitation to %s is dropped, beat sends another", error, goal)
            return 0
        finally:
            self.observer.idle()

    def _answer(self, goal: str, queue: str, hint: str, sent_ms: int | None) -> int:
        end, ran, linger = time.monotonic() + self.settings.slice_seconds, 0, iter(LINGER_SECONDS)
        step = self._claim(goal, queue, 1, hint, sent_ms)
        while True:
            self._send(step)
            if step.claims:
                linger = iter(LINGER_SECONDS)
                ran += len(step.claims)
                step = self._work(goal, queue, step.claims, end)
                continue
            pause = next(linger, None)
            if pause is None or step.status != "RUNNING" or time.monotonic() + pause >= end or not ran:
                return ran
            time.sleep(pause)
            step = self._claim(goal, queue, 1)

    def _claim(self, goal: str, queue: str, most: int, hint: str = "", sent_ms: int | None = None) -> Step:
        return self.store.nodes.claim(
            goal, queue, worker=self.worker, nonce=secrets.token_hex(6), lease_ms=self._lease_ms, most=most,
            slots=self.slots.json(), hint=hint, sent_ms=sent_ms,
        )  # fmt: skip

    @property
    def _lease_ms(self) -> int:
        return int(self.settings.lease_seconds * 1000)

    def _work(self, goal: str, queue: str, claims: Sequence[Claimed], end: float) -> Step:
        """Run a pack, and commit it together with the next claim."""
        pack = Pack([self._job(claimed) for claimed in claims])
        if len(claims) > 1:
            pack.keep_short(lambda job: self.durations.short(job.call, SHORT_SECONDS))
            watcher = partial(self._relieve, goal, pack)
            self.keeper.watchers.append(watcher)
        try:
            while (job := pack.next()) is not None:
                self._run(job)
        finally:
            if len(claims) > 1:
                self.keeper.watchers.remove(watcher)
            for job in pack.jobs:
                if job.end is None:  # an error of ours cut the pack short: let the leases run out
                    self.keeper.drop(job.held)
        done = [job for job in pack.jobs if job.end is not None]
        most = 0 if self.stopping or time.monotonic() >= end else self._pack_size(done)
        return self._commit(goal, queue, done, most)

    def _pack_size(self, done: Sequence[Job]) -> int:
        last = [job for job in done if not isinstance(job.end, HandBack)]
        if not last or not all(self.durations.short(job.call, SHORT_SECONDS) for job in last):
            return 1
        mean = max(max(self.durations.mean[job.call] for job in last), 1e-5)
        return max(1, min(self.settings.pack_limit, int(SHORT_SECONDS / mean)))

    def _relieve(self, goal: str, pack: Pack, now: float) -> None:
        """By the watcher: what waits behind a node that turned out long is handed back."""
        if pack.started and now - pack.started > PACK_SECONDS and (waiting := pack.take_waiting()):
            self._commit_only(
                goal, [(job, Result(job.claimed.lease, Outcome.RELEASE, job.claimed.resume)) for job in waiting]
            )

    def _job(self, claimed: Claimed) -> Job:
        job = Job(claimed, decode_spec(claimed.spec), self.keeper.hold(claimed.lease, claimed.lease_ms))
        job.held.on_overdue = lambda: self._give_up(job)
        return job

    def _run(self, job: Job) -> None:
        self.observer.started(job)
        begun = time.perf_counter()
        limit = job.spec.get("timeout_seconds") or self.settings.node_timeout_seconds
        if job.spec.get("kind") not in (None, "python"):
            limit = None  # of other kinds it limits the wait, not the step
        try:
            with time_limit(job.held, limit):
                job.end = self.kinds.run(job.claimed, job.spec)
        except NodeTimeout:
            job.end = Failed("timeout", f"it ran longer than its time limit of {limit:g} s")
        except ConnectionFailed as error:
            log.warning("%s cannot read its inputs (%s); it is handed back", job.claimed.lease.node, error)
            job.end = HandBack()
        except Exception as error:
            job.end = failure_of(error)
        except BaseException as error:
            job.end = HandBack() if self._shutting_down(error) else failed_by(error)
            if isinstance(job.end, HandBack):
                self.stopping = True
                self._commit_quietly(job)
                raise
        job.seconds = time.perf_counter() - begun
        self.durations.note(job.call, job.seconds)

    def _shutting_down(self, error: BaseException) -> bool:
        # A cold shutdown raises SystemExit in billiard's children with this code, and Celery's own classes elsewhere.
        cold = isinstance(error, SystemExit) and error.code == -(256 - 15)
        return cold or type(error).__name__ in ("WorkerShutdown", "WorkerTerminate", "GreenletExit", "Stopping")

    def _commit_quietly(self, job: Job) -> None:
        try:
            self._commit(job.claimed.lease.goal, "default", [job], 0)
        except Exception:
            log.warning("%s could not be handed back; its lease runs out", job.claimed.lease.node)

    def _give_up(self, job: Job) -> None:
        """By the watcher: the node did not notice its time limit; end its lease, so that its late commit is fenced."""
        limit = job.spec.get("timeout_seconds") or self.settings.node_timeout_seconds or 0.0
        failure = Failed("timeout", f"it ran longer than its time limit of {limit:g} s and did not stop")
        log.error("%s in %s did not stop at its time limit", job.claimed.lease.node, job.claimed.lease.goal)
        self._commit_only(job.claimed.lease.goal, [(job, self.result(job, failure))])

    # -- commit -----------------------------------------------------------------------------------------------------

    def result(self, job: Job, end: End) -> Result:
        """The commit that an End asks for."""
        lease, spec = job.claimed.lease, job.spec
        if isinstance(end, Done):
            try:
                body = self.kinds.payloads.pack(lease.goal, lease.node, end.output)
            except OutputNotSerialisable as error:
                return self.result(job, Failed("output", str(error), final=True))
            return Result(lease, Outcome.DONE, body, untaken(spec, end.output))
        if isinstance(end, Parked):
            delay = "" if end.seconds is None else int(end.seconds * 1000)
            return Result(lease, Outcome.PARK, end.as_json(), delay)
        if isinstance(end, HandBack):
            return Result(lease, Outcome.RELEASE, job.claimed.resume)
        failures = job.claimed.failures + 1
        retries = spec.get("retries", self.settings.node_retries)
        if end.final or failures > retries:
            return Result(lease, Outcome.FAILED, end.as_json(), untaken(spec, None))
        base = spec.get("backoff_seconds", self.settings.backoff_seconds)
        wait = backoff(failures, base, self.settings.backoff_cap_seconds, random.uniform)
        return Result(lease, Outcome.RETRY, end.as_json(), int(wait * 1000))

    def _commit(self, goal: str, queue: str, jobs: Sequence[Job], most: int) -> Step:
        results = [(job, self.result(job, job.end)) for job in jobs if job.end is not None]
        step = self._patiently(partial(self._commit_once, goal, results, queue, most))
        self._after(goal, results, step)
        return step

    def _commit_once(
        self, goal: str, results: Sequence[tuple[Job, Result]], queue: str = "default", most: int = 0
    ) -> Step:
        return self.store.nodes.commit(
            goal,
            [result for _, result in results],
            worker=self.worker,
            nonce=secrets.token_hex(6),
            lease_ms=self._lease_ms,
            slots=self.slots.json(),
            queue=queue,
            most=most,
        )

    def _commit_only(self, goal: str, results: Sequence[tuple[Job, Result]]) -> None:
        step = self._commit_once(goal, results)
        self._after(goal, results, step)
        self._send(step)

    def finish(self, lease: Lease, end: End, held: Held | None, message_is_out: bool = False) -> Verdict:
        """Commit a node that a user's Celery task ran."""
        spec = decode_spec(self.store.goals.spec(lease.goal, lease.node))
        claimed = Claimed(lease, self._lease_ms, self.store.goals.failures(lease.goal, lease.node), "", "")
        job = Job(claimed, spec, held or Held(lease, self._lease_ms, 0.0, 0), end, message_is_out=message_is_out)
        step = self._commit(lease.goal, "default", [job], 0)
        self._send(step)
        return step.verdicts[0]

    def commit_for(self, lease: Lease, output: Any, error: str | None) -> str:
        """Commit a lease from outside the worker that took it."""
        end: End = Done(output) if error is None else Failed("error", error)
        return self.finish(lease, end, None).value

    def _patiently(self, commit: Callable[[], Step]) -> Step:
        """A finished node is not thrown away because Redis is gone for a moment."""
        end = time.monotonic() + REDIS_PATIENCE_SECONDS
        while True:
            try:
                return commit()
            except ConnectionFailed as error:
                if time.monotonic() >= end:
                    raise
                log.warning("Redis is away (%s); the commit waits for it", error)
                time.sleep(0.5)

    def _after(self, goal: str, results: Sequence[tuple[Job, Result]], step: Step) -> None:
        for (job, result), verdict in zip(results, step.verdicts, strict=True):
            self.keeper.drop(job.held)
            self.observer.ended(job, result)
            if verdict is Verdict.FENCED:
                log.warning("the late commit of %s in %s was fenced; nothing changed", job.claimed.lease.node, goal)
        try:
            self._follow_up(goal, results, step)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); beat will do what follows the commit in %s", error, goal)

    def _follow_up(self, goal: str, results: Sequence[tuple[Job, Result]], step: Step) -> None:
        """What the commit made necessary. Beat does each of these too, should this process not come to it."""
        delays = [
            int(result.extra)
            for (_, result), verdict in zip(results, step.verdicts, strict=True)
            if verdict is Verdict.ACCEPTED and result.outcome in (Outcome.RETRY, Outcome.PARK) and result.extra != ""
        ]
        if delays:
            self.store.goals.expect(goal, min(delays))
        for (job, _), verdict in zip(results, step.verdicts, strict=True):
            if verdict is Verdict.ACCEPTED and isinstance(job.end, Parked) and not job.message_is_out:
                after_park(self.kinds, job.claimed, job.spec, job.end)
        more = step.more
        while more:
            more, invitations = self.store.nodes.settle(goal, slots=self.slots.json())
            self.sender.invite(invitations)
        if step.status in ("DONE", "FAILED", "CANCELLED"):
            self.goal_ended(goal)

    def _send(self, step: Step) -> None:
        if step.invitations:
            self.sender.invite(step.invitations)
