"""Calls of nodes are made: a word of the line becomes a message, a message one attempt and a commit.

A node that waits for its call holds no worker, slot or lease. Its turn comes as a word, which a gate in the workers of the
queue `llm` makes into a message. Whoever takes the message claims the node, takes up the permit, makes one attempt and
commits what follows: an output, a failure, or the node parked anew. A permit that is not taken up goes back to the line.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from orchestrator.domain.errors import GoalNotFound, IllegalTransition
from orchestrator.domain.states import GoalState
from orchestrator.engine.commits import Committer
from orchestrator.engine.context import running
from orchestrator.engine.ends import End, HandBack, failed_by
from orchestrator.engine.jobs import Job
from orchestrator.gate.asked import Asked
from orchestrator.gate.asking import Asking, Wish, reserved_cost
from orchestrator.gate.chunks import ChunkWriter
from orchestrator.gate.place import Place
from orchestrator.gate.request import BadInputs
from orchestrator.llm.attempt import Listener
from orchestrator.llm.client import Client
from orchestrator.llm.errors import BreakerOpen, LlmError, OverBudget, TooLarge, WaitOver
from orchestrator.llm.failures import Failure, LlmCancelled
from orchestrator.llm.joint import JointLimiter
from orchestrator.llm.limiter import refusal
from orchestrator.llm.lines import all_lines
from orchestrator.llm.messages import Reply
from orchestrator.llm.ports import Permit
from orchestrator.llm.settle import Target
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.llm_records import Outcome, Word
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

ACCOUNT_SECONDS: Final = 0.25
"""How long a call whose model has a line of its own waits in its worker for its account's permit, before it parks again."""
CANCEL_SECONDS: Final = 0.5
"""How often the lease of a call is renewed, so that it notices a cancel."""
ACCOUNT_PAUSE_SECONDS: Final = (0.5, 1.5)
_NEXT: Final = (BreakerOpen, TooLarge)
"""What lets the next model of the chain be asked."""


class Gate:
    """Makes the calls of nodes, for this process. Safe to share between threads."""

    def __init__(
        self,
        store: Store,
        asking: Asking,
        client: Callable[[], Client],
        joint: JointLimiter,
        committer: Callable[[], Committer],
        pause: Callable[[str, str], object],
    ) -> None:
        """`pause` pauses a goal for a reason. `client` and `committer` are made on first use."""
        self._store = store
        self._asking = asking
        self._limiter = asking.limiter
        self._client = client
        self._joint = joint
        self._open = False
        self._committer = committer
        self._pause = pause

    def open(self) -> None:
        """Let this process make messages of words, for every line of the profiles; from now on, whatever Redis does."""
        if self._open:
            return
        self._open = True
        for line in all_lines(self._asking.profiles):
            self._limiter.open_gate(line, partial(self._asking.publish, line))

    def answer(self, account: str, name: str, outcome: str, detail: str) -> str:
        """Act on a word: make the attempt that was granted, or what follows when it never will be. Returns what happened."""
        place, word = Place.of(name), Word(name, Outcome(outcome), detail)
        try:
            if word.outcome is Outcome.GRANTED and not self._limiter.holds(account, name, word.fence):
                return "stale"  # the permit went back into its place; another word comes
            began = self._begin(place)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); the word for %s is dropped and will come again", error, place.task_id)
            return "away"
        if isinstance(began, str):
            self._give_back(account, place, word)
            return began
        job, asked = began
        if (asked.place(job.claimed.lease, place.run), asked.line) != (place, account):
            self._give_back(account, place, word)  # an old message; the node waits at another place
            end: End = self._guarded(job, lambda: self._asking.into_line(self._wish(job), asked, stands_there=True))
        else:
            end = self._run(job, asked, account, place, word)
        return str(self._committer().end(job, end))

    def _begin(self, place: Place) -> tuple[Job, Asked] | str:
        """Claim the node of a message; or why it must not run."""
        committer = self._committer()
        if self._store.goals.field(place.goal, "created") != place.run:
            return "gone"
        outcome, lease, length, resume = self._store.nodes.begin_parked(
            place.goal, place.node, place.attempt, "llm",
            worker=committer.worker, nonce=secrets.token_hex(6), lease_ms=committer.lease_ms,
            slots=committer.slots.json(),
        )  # fmt: skip
        if lease is None:
            return outcome
        self._store.goals.expect(place.goal, length)
        job = committer.job(lease, committer.keeper.hold(lease, length, renew_seconds=CANCEL_SECONDS))
        asked = Asked.of(resume)
        job.claimed = replace(job.claimed, resume=asked.anew(asked.progress).as_text())  # if it is handed back
        return job, asked

    def _give_back(self, account: str, place: Place, word: Word) -> None:
        """The node cannot use the permit: it goes back, unless its call was begun."""
        if word.outcome is Outcome.GRANTED:
            self._limiter.leave(account, place.name)

    def _wish(self, job: Job) -> Wish:
        return self._asking.wish(job.claimed.lease, job.spec, job.upstream)

    def _run(self, job: Job, asked: Asked, account: str, place: Place, word: Word) -> End:
        try:
            return self._end(job, asked, account, place, word)
        except BaseException:  # the worker is being shut down under the call
            self._committer().end(job, HandBack())
            raise

    def _end(self, job: Job, asked: Asked, account: str, place: Place, word: Word) -> End:
        if word.outcome is Outcome.GRANTED:
            return self._guarded(job, partial(self._attempt, job, asked, place, word))
        error = refusal(account, word)
        if isinstance(error, OverBudget):
            return self._over_budget(job, error)
        if isinstance(error, _NEXT):
            return self._guarded(job, partial(self._past, job, asked, error))
        return self._asking.failed(job.claimed, job.spec, error)

    def _past(self, job: Job, asked: Asked, error: LlmError) -> End:
        """The model cannot be asked now: the next one of the chain, if there is one."""
        wish = self._wish(job)
        return self._asking.again(wish, asked, self._asking.course(wish).past(asked.progress, error), str(error))

    def _over_budget(self, job: Job, error: OverBudget) -> End:
        goal = job.claimed.lease.goal
        if not self._asking.budgets.pauses(goal):
            return self._asking.failed(job.claimed, job.spec, error)
        with suppress(GoalNotFound, IllegalTransition):  # it is ending
            self._pause(goal, str(error))
        return HandBack()

    def _attempt(self, job: Job, asked: Asked, place: Place, word: Word) -> End:
        """One attempt under the permit of a word."""
        wish = self._wish(job)
        chunks = ChunkWriter(self._store, wish.lease) if wish.request.stream else None
        listener = Listener(None, chunks, lambda: job.held.lost)
        left = self._asking.left(wish, asked, self._store.goals.clock_ms())
        if wish.talk.attempt_seconds is not None:
            left = min(left, wish.talk.attempt_seconds)
        attempts = self._client().attempts(wish.request, listener, left)
        target = attempts.course.target(asked.progress)
        # An agent's request may have grown while it stood in the line: a message came.
        asked = replace(asked, limit=attempts.course.still(asked.limit, asked.progress, target))
        try:
            permit = self._permit(wish, asked, target, place, word)
        except WaitOver as error:
            return self._asking.into_line(wish, asked, random.uniform(*ACCOUNT_PAUSE_SECONDS), str(error))
        except _NEXT as error:
            return self._past(job, asked, error)
        if permit is None:
            return self._asking.into_line(wish, asked, stands_there=True)
        cancelling, state = self._store.goals.fields(place.goal, "cancelling", "state")
        if cancelling is not None or state == GoalState.CANCELLED:
            permit.unused()
            return HandBack()
        try:
            result, progress = attempts.make(asked.progress, target, asked.limit, permit)
        finally:
            if chunks is not None:
                chunks.flush()
        following = attempts.course.after(progress, target, asked.limit, result, attempts.left())
        if isinstance(following, Reply):
            self._client().keep(wish.request, following)
            return wish.talk.answered(following, (word.at_ms - asked.asked_ms) / 1000, asked)
        why = str(result) if isinstance(result, Failure) else "the answer outgrew its reservation"
        return self._asking.again(wish, asked, following, why)

    def _permit(self, wish: Wish, asked: Asked, target: Target, place: Place, word: Word) -> Permit | None:
        """Take up what was granted, with the account's permit where a model has a line of its own. None: it came too late.

        Raises what the limiter raises for the account; WaitOver soon.
        """
        reserved, lease_seconds = reserved_cost(target, asked.limit), target.account.lease_seconds
        permit = self._limiter.take_up(asked.line, place.name, word.fence, place.run, reserved, lease_seconds)
        if permit is None:
            return None  # its waiter is back at its place
        request = wish.request
        return self._joint.complete(
            permit, reserved, owner=request.owner, goal=request.goal, priority=request.priority,
            wait_seconds=ACCOUNT_SECONDS, ttl_seconds=lease_seconds,
        )  # fmt: skip

    def _guarded(self, job: Job, act: Callable[[], End]) -> End:
        try:
            with running(job.claimed.lease):
                return act()
        except OverBudget as error:
            return self._over_budget(job, error)
        except LlmCancelled:
            return HandBack()  # its lease is lost: the goal was cancelled, or another worker has the node
        except (LlmError, BadInputs) as error:
            return self._asking.failed(job.claimed, job.spec, error)
        except ConnectionFailed as error:
            log.warning("a call is handed back, because Redis is away: %s", error)
            return HandBack()
        except Exception as error:
            return failed_by(error, "llm")
