"""One call on its way in one thread: through the models of its chain, attempt by attempt, each under a permit of its own."""

from __future__ import annotations

from typing import Final

from orchestrator.llm.attempt import Attempts, Listener, Parts
from orchestrator.llm.course import Again, Progress
from orchestrator.llm.errors import BreakerOpen, TooLarge
from orchestrator.llm.failures import ContextTooLong
from orchestrator.llm.lines import line_of
from orchestrator.llm.messages import Reply, Request, Usage
from orchestrator.llm.ports import Permit
from orchestrator.llm.settle import Target, cost

_LOOK_SECONDS: Final = 0.25


class Run:
    """One call. Used once, by one thread."""

    def __init__(self, parts: Parts, request: Request, listener: Listener) -> None:
        self._parts = parts
        self._request = request
        self._end = parts.clock() + parts.profiles.total_seconds
        self._attempts = Attempts(parts, request, listener, self._end)

    def reply(self) -> Reply:
        """The first answer that a model of the chain gives; raises the last model's error."""
        progress = Progress()
        while True:
            following = self._step(progress)
            if isinstance(following, Reply):
                return following
            progress = following.progress
            self._pause(following.seconds, progress.attempts)

    def _step(self, progress: Progress) -> Reply | Again:
        course, end, clock = self._attempts.course, self._end, self._parts.clock
        target = course.target(progress)
        try:
            limit = course.reservation(progress, target)
            self._attempts.check(progress.attempts)
            permit = self._permit(target, limit)
        except (BreakerOpen, TooLarge, ContextTooLong) as error:
            return course.past(progress, error)
        result, progress = self._attempts.make(progress, target, limit, permit)
        return course.after(progress, target, limit, result, end - clock())

    def _permit(self, target: Target, limit: int) -> Permit:
        request, parts = self._request, self._parts
        return parts.limiter.acquire(
            line_of(parts.profiles, target.key),
            cost(target, Usage(input_tokens=target.input_tokens, output_tokens=limit)),
            owner=request.owner,
            goal=request.goal,
            priority=request.priority,
            weight=request.weight,
            wait_seconds=min(parts.profiles.wait_seconds, self._end - parts.clock()),
            ttl_seconds=target.account.lease_seconds,
        )

    def _pause(self, seconds: float, attempts: int) -> None:
        until = self._parts.clock() + seconds
        while (rest := until - self._parts.clock()) > 0:
            self._attempts.check(attempts)
            self._parts.sleep(min(rest, _LOOK_SECONDS))
