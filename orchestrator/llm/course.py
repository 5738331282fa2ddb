"""What comes next in a call: the model to ask, how much to reserve, the pause before another attempt, the end. No I/O.

A call's progress is a small plain record, so that it can go on in another process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Self

from orchestrator.domain.retry import backoff
from orchestrator.llm.errors import LlmError
from orchestrator.llm.estimates import Estimates
from orchestrator.llm.failures import ContextTooLong, Failure, FailureKind, LlmRefused, error_of
from orchestrator.llm.messages import Reply, Request
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.settle import Target
from orchestrator.llm.tokens import count_request, encoding_of


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call has come."""

    place: int = 0
    """Of the model in the chain."""
    number: int = 1
    """Of the next attempt at this model."""
    attempts: int = 0
    """Sent so far, to all models."""
    output_tokens: int | None = None
    """The reservation, once an answer was cut off by the one before."""
    micro_usd: int | None = 0
    """Spent so far; None once a price was not known."""

    def as_json(self) -> str:
        """As a parked node keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Self:
        """From `as_json`; '' is the beginning."""
        return cls(**json.loads(text)) if text else cls()


@dataclass(frozen=True, slots=True)
class Again:
    """Ask again after a pause."""

    progress: Progress
    seconds: float = 0.0


class Course:
    """The decisions of one call."""

    def __init__(
        self, profiles: Profiles, estimates: Estimates, request: Request, uniform: Callable[[float, float], float]
    ) -> None:
        self._profiles = profiles
        self._estimates = estimates
        self._request = request
        self._uniform = uniform
        self._chain = profiles.chain(request.model)

    def target(self, progress: Progress) -> Target:
        """The model to ask now."""
        key = self._chain[progress.place]
        model, account = self._profiles.model_and_account(key)
        encoding = encoding_of(model, key)
        return Target(key, model, account, encoding, count_request(self._request, encoding))

    def reservation(self, progress: Progress, target: Target) -> int:
        """Output tokens to reserve and to allow: what the caller says, or what such calls were learnt to need.

        Raises ContextTooLong.
        """
        wanted = self._request.max_output_tokens
        room = target.model.context_tokens - target.input_tokens
        if room < (wanted or 1):
            text = f"about {target.input_tokens} input tokens and {wanted or 1} of output do not fit into "
            raise ContextTooLong(f"{text}{target.key!r}: {target.model.context_tokens}", target.model.account)
        if wanted is not None:
            return min(wanted, target.model.max_output_tokens)
        learnt = progress.output_tokens or self._estimates.tokens(target.key, self._request.role)
        return _within(target, learnt)

    def still(self, limit: int, progress: Progress, target: Target) -> int:
        """As much of a reservation as fits beside a request that has grown since. Raises ContextTooLong."""
        room = target.model.context_tokens - target.input_tokens
        return min(limit, room) if room >= 1 else self.reservation(progress, target)

    def after(
        self, progress: Progress, target: Target, limit: int, result: Reply | Failure, left_seconds: float
    ) -> Reply | Again:
        """What follows an attempt that reserved `limit` output tokens. Raises the CallFailed of the last model."""
        more = progress.number < self._profiles.retry.attempts
        following = replace(progress, number=progress.number + 1)
        if isinstance(result, Reply):
            if not (more and self.outgrown(result, target, limit)):
                self._estimates.observe(target.key, self._request.role, result.usage.output_tokens)
                return result
            return Again(replace(following, output_tokens=_within(target, limit * 2)))
        if result.retried and more:
            pause = self._pause(result, progress.number, left_seconds)
            if pause is not None:
                return Again(following, pause)
        error = error_of(result, target.key, target.model.account, progress.attempts)
        if isinstance(error, LlmRefused):
            raise error
        return self.past(progress, error)

    def past(self, progress: Progress, error: LlmError) -> Again:
        """The next model of the chain, because this one cannot answer; raises the error at the end of the chain."""
        if progress.place + 1 >= len(self._chain):
            raise error
        return Again(replace(progress, place=progress.place + 1, number=1, output_tokens=None))

    def outgrown(self, reply: Reply, target: Target, limit: int) -> bool:
        """Was the answer cut off by a reservation that we chose, and is there room for a larger one?"""
        chosen = self._request.max_output_tokens is None
        return chosen and reply.finish_reason == "length" and _within(target, limit * 2) > limit

    def backoff(self, failures: int) -> float:
        """Seconds, with full jitter."""
        retry = self._profiles.retry
        return backoff(failures, retry.backoff_seconds, retry.backoff_cap_seconds, self._uniform)

    def _pause(self, failure: Failure, number: int, left: float) -> float | None:
        """Seconds before the next attempt. None: the call's time ends before."""
        asked = failure.retry_after_seconds or 0.0
        if failure.kind is FailureKind.RATE_LIMIT:  # the account is held: the queue does the waiting
            return 0.0 if asked < left else None
        pause = asked + self.backoff(number)
        return pause if pause < left else None


def _within(target: Target, tokens: int) -> int:
    return min(tokens, target.model.max_output_tokens, target.model.context_tokens - target.input_tokens)
