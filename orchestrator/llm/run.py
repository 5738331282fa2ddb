"""One call on its way: through the models of its chain, attempt by attempt, each under a permit of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from orchestrator.domain.retry import backoff
from orchestrator.llm.calls import Answer, Call, Provider
from orchestrator.llm.errors import BreakerOpen, LlmError, PermitLost, TooLarge
from orchestrator.llm.estimates import Estimates
from orchestrator.llm.failures import (
    CallFailed,
    ContextTooLong,
    Failure,
    FailureKind,
    LlmCancelled,
    LlmDeadline,
    LlmRefused,
    error_of,
)
from orchestrator.llm.headers import Window
from orchestrator.llm.messages import Chunk, Reply, Request, Usage
from orchestrator.llm.ports import Limiter
from orchestrator.llm.prices import micro_usd
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.schema import read_json, read_model
from orchestrator.llm.settle import Target, cost, settle
from orchestrator.llm.tokens import count_request, count_text, encoding_of
from orchestrator.store.connection import ConnectionFailed

_LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Parts:
    """What every call of a client uses."""

    limiter: Limiter
    profiles: Profiles
    provider: Provider
    estimates: Estimates
    on_windows: Callable[[str, Mapping[str, Window]], None] | None
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    uniform: Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Listener:
    """Who waits for the answer."""

    answer: type[BaseModel] | None
    receive: Callable[[Chunk], None] | None
    cancelled: Callable[[], bool]


class Run:
    """One call. Used once, by one thread."""

    def __init__(self, parts: Parts, request: Request, listener: Listener) -> None:
        self._parts = parts
        self._request = request
        self._listener = listener
        self._end = parts.clock() + parts.profiles.total_seconds
        self._spent: int | None = 0
        self._attempts = 0

    def reply(self) -> Reply:
        """The first answer that a model of the chain gives; raises the last model's error."""
        last: LlmError | None = None
        for key in self._parts.profiles.chain(self._request.model):
            try:
                return self._ask(key)
            except LlmRefused:
                raise
            except (CallFailed, BreakerOpen, TooLarge, ContextTooLong) as error:
                last = error
        assert last is not None
        raise last

    def _ask(self, key: str) -> Reply:
        target = self._target(key)
        limit = self._reservation(target)
        retry = self._parts.profiles.retry
        last = Failure(FailureKind.INVALID)
        for number in range(1, retry.attempts + 1):
            result = self._attempt(target, limit)
            if isinstance(result, Reply):
                if not self._outgrown(result, target, limit) or number == retry.attempts:
                    self._parts.estimates.observe(key, self._request.role, result.usage.output_tokens)
                    return result
                limit = self._within(target, limit * 2)
                continue
            last = result
            if not last.retried or number == retry.attempts or not self._pause(last, number):
                break
        raise error_of(last, key, target.model.account, self._attempts)

    def _target(self, key: str) -> Target:
        model, account = self._parts.profiles.model_and_account(key)
        encoding = encoding_of(model, key)
        return Target(key, model, account, encoding, count_request(self._request, encoding))

    def _reservation(self, target: Target) -> int:
        """Output tokens to reserve and to allow: what the caller says, or what such calls were learnt to need."""
        wanted = self._request.max_output_tokens
        room = target.model.context_tokens - target.input_tokens
        if room < (wanted or 1):
            text = f"about {target.input_tokens} input tokens and {wanted or 1} of output do not fit into "
            raise ContextTooLong(f"{text}{target.key!r}: {target.model.context_tokens}", target.model.account)
        if wanted is not None:
            return min(wanted, target.model.max_output_tokens)
        return self._within(target, self._parts.estimates.tokens(target.key, self._request.role))

    def _within(self, target: Target, tokens: int) -> int:
        return min(tokens, target.model.max_output_tokens, target.model.context_tokens - target.input_tokens)

    def _outgrown(self, reply: Reply, target: Target, limit: int) -> bool:
        """Was the answer cut off by a reservation that we chose, and is there room for a larger one?"""
        chosen = self._request.max_output_tokens is None
        return chosen and reply.finish_reason == "length" and self._within(target, limit * 2) > limit

    def _attempt(self, target: Target, limit: int) -> Reply | Failure:
        request, parts, name = self._request, self._parts, target.model.account
        self._check()
        reserved = Usage(input_tokens=target.input_tokens, output_tokens=limit)
        permit = parts.limiter.acquire(
            name,
            cost(target, reserved),
            owner=request.owner,
            goal=request.goal,
            priority=request.priority,
            weight=request.weight,
            wait_seconds=min(parts.profiles.wait_seconds, self._end - parts.clock()),
            ttl_seconds=target.account.lease_seconds,
        )
        with permit:
            try:
                self._check()
            except LlmError:
                permit.unused()
                raise
            self._attempts += 1
            answer = parts.provider.send(self._call(target, limit))
            result = self._read(answer, target) if isinstance(answer, Answer) else answer
            used = cost(target, result.usage) if result.usage else None
            failure = result if isinstance(result, Failure) else None
            # Lost or out of reach: it is booked as reserved when the lease runs out, and the answer is paid for and good.
            with suppress(PermitLost, *ConnectionFailed):
                settle(permit, failure, used, lambda: self._backoff(1))
        return result

    def _call(self, target: Target, limit: int) -> Call:
        until = min(self._parts.clock() + target.account.timeout_seconds, self._end)
        receive, number = self._listener.receive, self._attempts

        def pass_on(text: str) -> None:
            self._check()
            assert receive is not None
            receive(Chunk(text=text, attempt=number, model=target.key))

        return Call(
            self._request,
            target.key,
            target.model.name or target.key,
            target.model.account,
            target.account,
            limit,
            until,
            pass_on if receive is not None else None,
        )

    def _read(self, answer: Answer, target: Target) -> Reply | Failure:
        """The answer as a reply, or why it is not one."""
        if self._parts.on_windows is not None and answer.windows:
            self._parts.on_windows(target.model.account, answer.windows)
        usage = answer.usage or Usage(
            input_tokens=target.input_tokens,
            output_tokens=count_text(answer.text + "".join(c.arguments for c in answer.tool_calls), target.encoding),
            estimated=True,
        )
        self._spend(usage, target)
        parsed: Any = None
        # An answer that our own reservation cut off is asked for again with a larger one before anybody looks at it.
        cut = answer.finish_reason == "length" and self._request.max_output_tokens is None
        if self._request.response_schema is not None and not answer.tool_calls and not cut:
            try:
                parsed = read_json(answer.text)
                if self._listener.answer is not None:
                    read_model(parsed, self._listener.answer)
            except ValueError:
                code = "schema" if answer.finish_reason == "stop" else answer.finish_reason
                return Failure(FailureKind.INVALID, code, request_id=answer.request_id, usage=usage)
        return Reply(
            text=answer.text,
            tool_calls=answer.tool_calls,
            parsed=parsed,
            finish_reason=answer.finish_reason,
            model=target.key,
            account=target.model.account,
            request_id=answer.request_id,
            usage=usage,
            micro_usd=self._spent,
            attempts=self._attempts,
        )

    def _pause(self, failure: Failure, number: int) -> bool:
        """Wait before the next attempt. False: the call's time ends before."""
        left = self._end - self._parts.clock()
        if failure.kind is FailureKind.RATE_LIMIT:  # the account is held: the queue does the waiting
            return (failure.retry_after_seconds or 0.0) < left
        seconds = failure.retry_after_seconds or 0.0
        until = self._parts.clock() + seconds + self._backoff(number)
        if until >= self._end:
            return False
        while (rest := until - self._parts.clock()) > 0:
            self._check()
            self._parts.sleep(min(rest, _LOOK_SECONDS))
        return True

    def _backoff(self, failures: int) -> float:
        retry = self._parts.profiles.retry
        return backoff(failures, retry.backoff_seconds, retry.backoff_cap_seconds, self._parts.uniform)

    def _check(self) -> None:
        if self._listener.cancelled():
            raise LlmCancelled(f"the call was cancelled after {self._attempts} attempts")
        if self._parts.clock() >= self._end:
            raise LlmDeadline(
                f"the call's {self._parts.profiles.total_seconds:g} s are over, {self._attempts} attempts"
            )

    def _spend(self, usage: Usage, target: Target) -> None:
        price = micro_usd(usage, target.key, target.model, target.account)
        self._spent = None if price is None or self._spent is None else self._spent + price
