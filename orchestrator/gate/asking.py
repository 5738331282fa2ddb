"""Calls of nodes are asked for: the node parks, and its waiter goes into the line of the account.

A lost word or message costs time only: a timer of the parked node makes sure that it still stands in the line.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import End, Failed, Parked
from orchestrator.engine.upstream import Upstream
from orchestrator.gate.asked import Asked
from orchestrator.gate.budgets import Budgets
from orchestrator.gate.place import Place
from orchestrator.gate.request import BadInputs
from orchestrator.gate.talk import ASKER, Asker, Caller, Speaker, Talk
from orchestrator.llm.client import cached
from orchestrator.llm.course import Again, Course
from orchestrator.llm.errors import LlmError, OverBudget, TooLarge, WaitOver
from orchestrator.llm.estimates import Estimates
from orchestrator.llm.failures import ContextTooLong, LlmDeadline, LlmRefused, UnknownModel
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost
from orchestrator.llm.lines import line_of
from orchestrator.llm.messages import Request, Usage
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.schema import BadSchema
from orchestrator.llm.settle import Target, cost
from orchestrator.llm.sharing import Cache
from orchestrator.llm.tokens import encoding_of
from orchestrator.store.llm_records import Outcome, Word
from orchestrator.store.records import Claimed
from orchestrator.store.store import Store

LOOK_SECONDS: Final = 30.0
"""How often a parked node makes sure that it still stands in the line; doubled twice."""
_FINAL: Final = (BadInputs, BadSchema, ContextTooLong, LlmRefused, OverBudget, TooLarge, UnknownModel)
"""What another try of the node cannot mend."""

Publish = Callable[[str, Word], None]
"""Sends the message for a word of an account."""


@dataclass(frozen=True, slots=True)
class Stand:
    """What a claimed node's place in a line says of it."""

    lease: Lease
    spec: Mapping[str, Any]
    asker: Asker

    def place(self, asked: Asked) -> Place:
        """Where it stands in the line."""
        return asked.place(self.lease, self.asker.run)


@dataclass(frozen=True, slots=True)
class Wish(Stand):
    """A call that a claimed node wants."""

    talk: Talk

    @property
    def request(self) -> Request:
        """What is asked."""
        return self.talk.request


class Asking:
    """Asks for the calls of nodes, for this process. Safe to share between threads."""

    def __init__(
        self, store: Store, profiles: Profiles, limiter: Limiter, estimates: Estimates, cache: Cache, publish: Publish,
        speakers: Mapping[str, Callable[[], Speaker]],
    ) -> None:  # fmt: skip
        """`speakers` talk for nodes of other kinds than `llm`, by kind."""
        self._store = store
        self.profiles = profiles
        self.limiter = limiter
        self.cache = cache
        self.publish = publish
        self._estimates = estimates
        self._speakers = {"llm": lambda: Caller(store, profiles), **speakers}
        self.budgets = Budgets(store, limiter, profiles.accounts)

    def ask(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """What a claimed node does: it parks until its call may go out, or it ends."""
        asked = Asked.of(claimed.resume)
        try:
            if (end := self.look(claimed, spec)) is not None:
                return end
            wish = self.wish(claimed.lease, spec, upstream)
            found = cached(self.cache, wish.request)
            if found is not None:
                return wish.talk.answered(found, 0.0, asked)
            return self.into_line(wish, asked)
        except (BadInputs, LlmError) as error:
            return self.failed(claimed, spec, error)

    def look(self, claimed: Claimed, spec: Mapping[str, Any]) -> End | None:
        """For a node whose timer has come while it stands in the line: make sure that it does, and park it again.

        What it asks is not read for that; with many that wait, looking is most of what they cost. None: it stands in no line.
        """
        asked = Asked.of(claimed.resume)
        if not asked.model or asked.model not in self.profiles.models:
            return None
        model, account = self.profiles.model_and_account(asked.model)
        target = Target(asked.model, model, account, encoding_of(model, asked.model), asked.tokens)
        stand = Stand(claimed.lease, spec, Asker.of(*self._store.goals.fields(claimed.lease.goal, *ASKER)))
        try:
            return self._park(stand, *self._in_time(stand, asked), target)
        except LlmError as error:
            return self.failed(claimed, spec, error)

    def wish(self, lease: Lease, spec: Mapping[str, Any], upstream: Upstream) -> Wish:
        """The call that a node wants. Raises what its speaker does."""
        return self.for_talk(lease, spec, self._speaker(spec).talk(lease, spec, upstream))

    def for_talk(self, lease: Lease, spec: Mapping[str, Any], talk: Talk) -> Wish:
        """What a node says to a model, as a wish."""
        return Wish(lease, spec, talk.asker, talk)

    def failed(self, claimed: Claimed, spec: Mapping[str, Any], error: Exception) -> End:
        """What a node does whose call cannot be made or got no answer."""
        return self._speaker(spec).failed(claimed, spec, error, failed_call(error))

    def _speaker(self, spec: Mapping[str, Any]) -> Speaker:
        return self._speakers[spec.get("kind", "llm")]()

    def into_line(
        self, wish: Wish, asked: Asked, pause: float = 0.0, why: str = "", *, stands_there: bool = False
    ) -> End:
        """Park in the line of the account that is to be asked, or, for a pause, before it; `why` it was not done.

        With `stands_there` its waiter is in the line, or its word on the way: joining would send a second word.

        Raises what ends the call: its time is over, its wait was too long, it fits no model.
        """
        asked, now, left = self._in_time(wish, asked, paused=bool(pause))
        if pause:
            return Parked("backoff", "ready", pause, resume=asked.as_text(), why=why)
        target, limit, asked = self._reserved(self.course(wish), asked)
        line = line_of(self.profiles, target.key)
        asked = replace(asked, limit=limit, line=line, model=target.key, tokens=target.input_tokens)
        return self._park(wish, asked, now, left, target, why, stands_there)

    def _in_time(self, stand: Stand, asked: Asked, paused: bool = False) -> tuple[Asked, int, float]:
        """The call with its clocks, Redis time (ms), and the seconds left for it. Raises LlmDeadline and WaitOver."""
        now, wait = self._store.goals.clock_ms(), self.profiles.wait_seconds
        asked = asked.after_pause(stand.asker.resumed_ms)
        asked = replace(asked, since_ms=asked.since_ms or now)
        left = self.left(stand, asked, now)
        if left <= 0:
            raise LlmDeadline(f"the call's time is over, {asked.progress.attempts} attempts")
        if not paused and asked.asked_ms and now - asked.asked_ms >= wait * 1000:
            raise self._wait_over(asked, stand.place(asked), wait)
        return asked, now, left

    def _park(
        self,
        stand: Stand,
        asked: Asked,
        now: int,
        left: float,
        target: Target,
        why: str = "",
        stands_there: bool = False,
    ) -> End:
        asked = replace(asked, asked_ms=asked.asked_ms or now)
        left = min(left, self.profiles.wait_seconds - (now - asked.asked_ms) / 1000)
        look = max(0.1, min(LOOK_SECONDS * 2.0 ** min(asked.looks, 2), left))
        text = replace(asked, looks=asked.looks + 1).as_text()
        join = None if stands_there else partial(self._join, stand, target, asked)
        return Parked(f"llm:{asked.line}", "ready", look, resume=text, after=join, why=why)

    def again(self, wish: Wish, asked: Asked, following: Again, why: str) -> End:
        """Park for another attempt."""
        return self.into_line(wish, replace(asked.anew(following.progress), limit=0), following.seconds, why)

    def course(self, wish: Wish) -> Course:
        """The decisions of the call."""
        return Course(self.profiles, self._estimates, wish.request, random.uniform)

    def left(self, stand: Stand, asked: Asked, now_ms: int) -> float:
        """Seconds that are left for the call."""
        total = min(self.profiles.total_seconds, stand.spec.get("timeout_seconds") or self.profiles.total_seconds)
        since_ms = asked.after_pause(stand.asker.resumed_ms).since_ms or now_ms
        return float(total - (now_ms - since_ms) / 1000)

    def _reserved(self, course: Course, asked: Asked) -> tuple[Target, int, Asked]:
        """The model to ask and its reservation: the first of the chain into which the request fits."""
        while True:
            target = course.target(asked.progress)
            try:
                return target, asked.limit or course.reservation(asked.progress, target), asked
            except ContextTooLong as error:
                asked = replace(asked.anew(course.past(asked.progress, error).progress), limit=0)

    def _wait_over(self, asked: Asked, place: Place, wait: float) -> WaitOver:
        word = self.limiter.leave(asked.line, place.name)
        before = int(word.detail) if word.detail.isdigit() else 0
        return WaitOver(asked.line, wait, before, self.limiter.waits_for(asked.line))

    def _join(self, stand: Stand, target: Target, asked: Asked) -> None:
        """The node is parked: put its waiter into the line."""
        place = stand.place(asked)
        self.budgets.enter(place.goal, target.model.account, asked.line)
        word = self.limiter.join(
            asked.line,
            place.name,
            reserved_cost(target, asked.limit),
            nonce=place.run,
            owner=stand.asker.owner,
            goal=place.goal,
            priority=stand.spec.get("priority", 0),
            ttl_seconds=target.account.lease_seconds,
        )
        if word.outcome is not Outcome.QUEUED:
            self.publish(asked.line, word)


def reserved_cost(target: Target, limit: int) -> Cost:
    """What a call reserves that may write so many output tokens."""
    return cost(target, Usage(input_tokens=target.input_tokens, output_tokens=limit))


def failed_call(error: Exception) -> Failed:
    """The failure of a node whose call cannot be made or got no answer."""
    reason = "bad input" if isinstance(error, BadInputs) else "llm"
    return Failed(reason, f"{type(error).__name__}: {error}", final=isinstance(error, _FINAL))
