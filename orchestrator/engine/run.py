"""Answer an invitation: claim, run and commit what is ready on one queue of one goal, within a time slice."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from orchestrator.domain.errors import NodeTimeout
from orchestrator.engine.commits import Committer
from orchestrator.engine.context import running
from orchestrator.engine.dispatch import Slots
from orchestrator.engine.ends import Done, Durations, Failed, HandBack, failed_by
from orchestrator.engine.jobs import Job, Pack
from orchestrator.engine.kinds import Kinds, decode_spec, failure_of
from orchestrator.engine.leases import Keeper
from orchestrator.engine.time_limit import time_limit
from orchestrator.engine.upstream import Upstream
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.records import Claimed, Follower, Outcome, Result, Step, Verdict
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

SHORT_SECONDS: Final = 0.002
"""Work below this is claimed in packs."""
PACK_SECONDS: Final = 0.25
"""When one node of a pack takes this long, the rest of the pack is handed back."""
LINGER_SECONDS: Final = (0.0005, 0.001, 0.002)
"""Short waits for a neighbour's commit to make something ready, before an invitation ends."""
CANCEL_SECONDS: Final = 0.5
"""How often the lease of a tool's call is renewed, so that it notices that it is lost."""
HANDOVER_SECONDS: Final = 0.008
"""What the end of a slice may cost: the pack that is running, its commit, and the next message's way to a worker."""


class Stopping(BaseException):
    """The worker is being shut down under the running node."""


@dataclass(slots=True)
class Runner:
    """Works for this process. Safe to use from several threads or greenlets."""

    store: Store
    settings: Settings
    kinds: Kinds
    keeper: Keeper
    slots: Slots
    committer: Committer
    durations: Durations = field(default_factory=Durations)
    stopping: bool = False
    draining: Callable[[], bool] = bool
    """Whether this worker is to take no new node; what runs finishes."""

    def answer(self, goal: str, queue: str, hint: str = "", sent_ms: int | None = None) -> int:
        """Work for an invitation until the slice is over or nothing is left; returns how many nodes were claimed."""
        try:
            return self._answer(goal, queue, hint, sent_ms)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); the invitation to %s is dropped, beat sends another", error, goal)
            return 0
        finally:
            self.committer.observer.idle()

    def _answer(self, goal: str, queue: str, hint: str, sent_ms: int | None) -> int:
        # The last pack and the next message take their time too: others wait for a slice, not for a slice and these.
        whole = self.settings.slice_seconds
        end, ran, linger = time.monotonic() + max(whole / 2, whole - HANDOVER_SECONDS), 0, iter(LINGER_SECONDS)
        step = self._claim(goal, queue, 1, hint, sent_ms)
        while True:
            self.committer.send(step)
            if step.claims:
                linger = iter(LINGER_SECONDS)
                ran += len(step.claims)
                step = self._work(goal, queue, step.claims, end)
                continue
            pause = next(linger, None)
            if (
                pause is None
                or self._leaving()
                or step.status != "RUNNING"
                or time.monotonic() + pause >= end
                or not ran
            ):
                return ran
            time.sleep(pause)
            step = self._claim(goal, queue, 1)

    def _leaving(self) -> bool:
        return self.stopping or self.draining()

    def _claim(self, goal: str, queue: str, most: int, hint: str = "", sent_ms: int | None = None) -> Step:
        return self.store.nodes.claim(
            goal, queue, worker=self.committer.worker, nonce=secrets.token_hex(6), lease_ms=self.committer.lease_ms, most=most,
            slots=self.slots.json(), hint=hint, sent_ms=sent_ms,
        )  # fmt: skip

    def _work(self, goal: str, queue: str, claims: Sequence[Claimed], end: float) -> Step:
        """Run a pack, and commit it together with the next claim."""
        pack = Pack([self._job(claimed) for claimed in claims])
        if len(claims) > 1:
            pack.keep_short(lambda job: self.durations.short(job.call, SHORT_SECONDS))
        alone = len(claims) == 1 and not claims[0].followers  # nothing waits for it
        watcher = partial(self._relieve, goal, pack)
        if not alone:
            self.keeper.watchers.append(watcher)
        try:
            while (job := pack.next()) is not None:
                self._run(job)
                if job.claimed.followers:
                    self._run_ahead(pack, job)
        except BaseException:
            self._hand_in(goal, pack)
            raise
        finally:
            if not alone:
                self.keeper.watchers.remove(watcher)
            for job in pack.jobs:
                if job.end is None:  # an error of ours cut the pack short: let the leases run out
                    self.keeper.drop(job.held)
        done = _to_commit(pack)
        most = 0 if self._leaving() or time.monotonic() >= end else self._pack_size(done)
        return self.committer.commit(goal, queue, done, most)

    def _run_ahead(self, pack: Pack, head: Job) -> None:
        """Run what follows a short node while that is not committed yet: short nodes too, and not for long."""
        end, before, known = time.monotonic() + SHORT_SECONDS, head, dict[str, str]()
        for follower in head.claimed.followers:
            if not isinstance(before.end, Done) or self._leaving() or time.monotonic() > end:
                return
            before.result = self.committer.result(before, before.end)
            if before.result.outcome is not Outcome.DONE:  # its output cannot be stored
                return
            known[before.claimed.lease.node] = before.result.body
            job = self._follower(follower, head, known)
            if not self._may_run_ahead(job) or not pack.follow(job):
                return
            self._run(job)
            pack.followed()
            before = job

    def _follower(self, follower: Follower, head: Job, known: Mapping[str, str]) -> Job:
        claimed = Claimed(follower.lease, head.claimed.lease_ms, 0, follower.spec, "", version=head.claimed.version)
        upstream = Upstream(self.store, self.kinds.payloads, follower.lease, known, follower.parents)
        return Job(claimed, decode_spec(follower.spec), head.held, upstream, ahead=True)

    def _may_run_ahead(self, job: Job) -> bool:
        spec = job.spec
        plain = spec.get("kind") in (None, "python") and "timeout_seconds" not in spec
        return plain and self.settings.node_timeout_seconds is None and self.durations.short(job.call, SHORT_SECONDS)

    def _pack_size(self, done: Sequence[Job]) -> int:
        last = [job for job in done if not isinstance(job.end, HandBack)]
        if not last or not all(self.durations.short(job.call, SHORT_SECONDS) for job in last):
            return 1
        mean = max(max(self.durations.mean[job.call] for job in last), 1e-5)
        return max(1, min(self.settings.pack_limit, int(SHORT_SECONDS / mean)))

    def _relieve(self, goal: str, pack: Pack, now: float) -> None:
        """By the watcher: what waits for a node that turned out long, behind it or for its commit, waits no longer."""
        if not pack.started or now - pack.started <= PACK_SECONDS:
            return
        if waiting := pack.take_waiting():
            back = [(job, Result(job.claimed.lease, Outcome.RELEASE, job.claimed.resume)) for job in waiting]
            try:
                self.committer.commit_only(goal, back)
            finally:
                for job in waiting:  # they are nobody's now: where they could not be handed back, their leases run out
                    self.keeper.drop(job.held)
        with pack.lock:
            current = pack.following
            if current is None:
                return
            ended = [(job, self.committer.sealed(job)) for job in pack.jobs if job is not current]
            still = Result(current.claimed.lease, Outcome.RUNNING, ahead=True)
            step = self.committer.commit_once(goal, [*ended, (current, still)], version=current.claimed.version)
            if step.verdicts[-1] is Verdict.ACCEPTED:
                current.ahead = False
                current.held = self.keeper.hold(current.claimed.lease, current.claimed.lease_ms, current.held.thread)
            pack.close(current)
        self.committer.after(goal, ended, replace(step, verdicts=step.verdicts[:-1]))
        self.committer.send(step)

    def _job(self, claimed: Claimed) -> Job:
        spec = decode_spec(claimed.spec)
        stops = spec.get("kind") == "tool"  # a cancel reaches it within a second
        held = self.keeper.hold(
            claimed.lease, claimed.lease_ms, renew_seconds=CANCEL_SECONDS if stops else None, stops_when_lost=stops
        )
        job = Job(claimed, spec, held, self.kinds.upstream(claimed.lease))
        job.held.on_overdue = lambda: self._give_up(job)
        return job

    def _run(self, job: Job) -> None:
        self.committer.observer.started(job)
        begun = time.perf_counter()
        limit = None
        try:
            limit = self._limit(job.spec)
            with running(job.claimed.lease), time_limit(job.held, limit):
                job.end = self.kinds.run(job.claimed, job.spec, job.upstream)
        except NodeTimeout:
            lost = HandBack() if job.held.lost or limit is None else None
            job.end = lost or Failed("timeout", f"it ran longer than its time limit of {limit:g} s")
        except ConnectionFailed as error:
            log.warning("%s cannot read its inputs (%s); it is handed back", job.claimed.lease.node, error)
            job.end = HandBack()
        except Exception as error:
            job.end = failure_of(error)
        except BaseException as error:
            job.end = HandBack() if self._shutting_down(error) else failed_by(error)
            if isinstance(job.end, HandBack):
                self.stopping = True
                raise
        job.seconds = time.perf_counter() - begun
        self.durations.note(job.call, job.seconds)

    def _limit(self, spec: Mapping[str, Any]) -> float | None:
        """The time limit of a node's own work, seconds."""
        if spec.get("kind") not in (None, "python", "tool"):
            return None  # of other kinds it limits the wait, not the step
        return spec.get("timeout_seconds") or self.kinds.limit(spec) or self.settings.node_timeout_seconds

    def _shutting_down(self, error: BaseException) -> bool:
        # A cold shutdown raises SystemExit in billiard's children with this code, and Celery's own classes elsewhere.
        cold = isinstance(error, SystemExit) and error.code == -(256 - 15)
        return cold or type(error).__name__ in ("WorkerShutdown", "WorkerTerminate", "GreenletExit", "Stopping")

    def _hand_in(self, goal: str, pack: Pack) -> None:
        """The pack is cut short: commit what is whole, hand back what has not started."""
        for job in pack.take_waiting():
            job.end = HandBack()
            pack.jobs.append(job)
        if jobs := _to_commit(pack):
            try:
                self.committer.commit(goal, "default", jobs, 0)
            except Exception:
                log.warning("%d nodes of %s could not be handed in; their leases run out", len(jobs), goal)

    def _give_up(self, job: Job) -> None:
        """By the watcher: the node did not notice its time limit; end its lease, so that its late commit is fenced."""
        limit = self._limit(job.spec) or 0.0
        failure = Failed("timeout", f"it ran longer than its time limit of {limit:g} s and did not stop")
        log.error("%s in %s did not stop at its time limit", job.claimed.lease.node, job.claimed.lease.goal)
        self.committer.commit_only(job.claimed.lease.goal, [(job, self.committer.result(job, failure))])


def _to_commit(pack: Pack) -> list[Job]:
    """What has an end to commit. A node that ran ahead and is to be handed back was never taken."""
    return [job for job in pack.jobs if job.end is not None and not (job.ahead and isinstance(job.end, HandBack))]
