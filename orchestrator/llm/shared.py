"""One call for many who ask the same, over the whole fleet: single flight and the cache, kept in Redis.

Redis is never needed for a call: while it is away calls fly alone and nothing is kept.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from pydantic import ValidationError

from orchestrator.llm.failures import (
    CallFailed,
    Failure,
    FailureKind,
    LlmCancelled,
    LlmDeadline,
    LlmInvalidAnswer,
    LlmQuotaSpent,
    LlmRefused,
    LlmUnavailable,
)
from orchestrator.llm.messages import Reply, Usage
from orchestrator.llm.sharing import LocalFlights
from orchestrator.llm.upkeep import Upkeep
from orchestrator.store.llm_shared import SharedCalls, SharingFailed

log = logging.getLogger(__name__)

MOST_BYTES: Final = 1_048_576
"""Larger answers are neither kept nor shared with other processes."""
MOST_SECONDS: Final = 30 * 86_400.0
"""Nothing is kept for longer."""
LEASE_SECONDS: Final = 10.0
"""A leader that was killed holds its followers up for so long."""
LOOK_SECONDS: Final = 0.25
"""Between two looks of a follower, one a process and request."""
_ANSWER, _FAILURE = "answer ", "failure "
_KINDS: Final = {
    kind.__name__: kind for kind in (CallFailed, LlmRefused, LlmQuotaSpent, LlmUnavailable, LlmInvalidAnswer)
}


class SharedCache:
    """Answers in Redis, for requests that ask for it (`cache_seconds`). An answer is kept, the prompt never."""

    def __init__(self, calls: SharedCalls) -> None:
        self._calls = calls

    def get(self, key: str, within_seconds: float) -> Reply | None:
        """An answer that is not older; None also while Redis is away."""
        try:
            found = self._calls.kept(key)
        except SharingFailed as error:
            log.warning("the cache of answers could not be read: %s", error)
            return None
        if found is None or found[1] > within_seconds * 1000:
            return None
        return _reply(found[0])

    def put(self, key: str, reply: Reply, seconds: float) -> None:
        """Keep an answer for so long, 30 days at most, unless it has more than 1 MiB."""
        text = reply.model_dump_json()
        if len(text.encode()) > MOST_BYTES:
            log.info("an answer of %d bytes is not kept: the most is %d", len(text.encode()), MOST_BYTES)
            return
        try:
            self._calls.keep(key, text, max(1, round(min(seconds, MOST_SECONDS) * 1000)))
        except SharingFailed as error:
            log.warning("an answer could not be kept: %s", error)


class SharedFlights:
    """Single flight over the fleet: first inside the process, then among processes.

    The leader holds a lease that one thread of its process renews; when it is killed the lease runs out and the next one
    flies. As inside a process, what the provider did is shared, answers and failures alike, and what befell the leader
    only is not.
    """

    def __init__(self, calls: SharedCalls, lease_seconds: float = LEASE_SECONDS, upkeep: Upkeep | None = None) -> None:
        self._calls = calls
        self._local = LocalFlights()
        self._lease_seconds = lease_seconds
        self._upkeep = upkeep or Upkeep()

    def run(
        self, key: str, work: Callable[[], Reply], wait_seconds: float, cancelled: Callable[[], bool]
    ) -> tuple[Reply, bool]:
        """As the protocol `Flights` says."""
        flight = _Flight(self._calls, key, self._lease_seconds, self._upkeep)
        end = time.monotonic() + wait_seconds
        reply, shared = self._local.run(key, lambda: flight.reply(work, end, cancelled), wait_seconds, cancelled)
        return reply, shared or flight.followed


class _Flight:
    """One process's part in a flight."""

    def __init__(self, calls: SharedCalls, key: str, lease_seconds: float, upkeep: Upkeep) -> None:
        self._calls, self._key = calls, key
        self._lease_seconds = lease_seconds
        self._lease_ms = round(lease_seconds * 1000)
        self._upkeep = upkeep
        self.followed = False
        """The answer is that of another process."""

    def reply(self, work: Callable[[], Reply], end: float, cancelled: Callable[[], bool]) -> Reply:
        """Fly, or follow whoever flies. What landed before the first look is not an answer to this call."""
        known: str | None = None
        while True:
            try:
                seen = self._calls.look(self._key)
                known = seen.landed if known is None else known
                fresh = seen.landed not in ("", known)
                token = None if fresh or seen.flown else self._calls.board(self._key, self._lease_ms)
            except SharingFailed as error:
                log.warning("the same calls of other processes are not known: %s", error)
                return work()
            if token is not None:
                return self._fly(token, work)
            if fresh:
                known = seen.landed
                reply = _landed(seen.outcome)
                if reply is not None:
                    self.followed = True
                    return reply
            _pause(end, cancelled)

    def _fly(self, token: str, work: Callable[[], Reply]) -> Reply:
        outcome = ""
        try:
            with self._upkeep.every(self._lease_seconds / 3, lambda: self._stay(token)):
                reply = work()
            outcome = _ANSWER + reply.model_dump_json()
            return reply
        except CallFailed as error:
            outcome = _FAILURE + _written(error)
            raise
        finally:
            try:
                self._calls.land(self._key, token, outcome if 0 < len(outcome.encode()) <= MOST_BYTES else None)
            except SharingFailed as error:
                log.warning("what became of a call could not be told to other processes: %s", error)

    def _stay(self, token: str) -> None:
        self._calls.stay(self._key, token, self._lease_ms)


def _pause(end: float, cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise LlmCancelled("the call was cancelled while it waited for the same call of somebody else")
    left = end - time.monotonic()
    if left <= 0:
        raise LlmDeadline("the same call of somebody else took longer than this one may")
    time.sleep(min(left, LOOK_SECONDS))


def _landed(outcome: str) -> Reply | None:
    """The answer of a flight; raises its failure. None if it cannot be read: the writer has another version."""
    if outcome.startswith(_ANSWER):
        return _reply(outcome.removeprefix(_ANSWER))
    try:
        error = _failure(json.loads(outcome.removeprefix(_FAILURE)))
    except (ValueError, LookupError, TypeError):
        log.warning("a failure that another process shared cannot be read")
        return None
    raise error


def _reply(text: str) -> Reply | None:
    try:
        return Reply.model_validate_json(text)
    except ValidationError:
        log.warning("an answer that another process shared cannot be read")
        return None


def _written(error: CallFailed) -> str:
    failure = error.failure
    told = None if failure is None else {**asdict(failure), "usage": failure.usage and failure.usage.model_dump()}
    return json.dumps([type(error).__name__, str(error), error.account, error.attempts, told])


def _failure(told: list[Any]) -> CallFailed:
    name, text, account, attempts, said = told
    failure = None
    if said is not None:
        usage = None if said["usage"] is None else Usage(**said["usage"])
        failure = Failure(**{**said, "kind": FailureKind(said["kind"]), "usage": usage})
    return _KINDS[name](text, account, failure, attempts)
