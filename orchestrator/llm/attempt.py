"""One attempt at one model, under a permit: sent, read, settled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from orchestrator.llm.calls import Answer, Call, Provider, never
from orchestrator.llm.course import Course, Progress
from orchestrator.llm.errors import LlmError, PermitLost
from orchestrator.llm.estimates import Estimates
from orchestrator.llm.failures import Failure, FailureKind, LlmCancelled, LlmDeadline
from orchestrator.llm.headers import Window
from orchestrator.llm.lines import line_of
from orchestrator.llm.messages import Chunk, Reply, Request, Usage
from orchestrator.llm.ports import Limiter, Permit
from orchestrator.llm.prices import micro_usd
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.schema import read_json, read_model, read_schema
from orchestrator.llm.settle import Target, cost, settle
from orchestrator.llm.tokens import count_text
from orchestrator.store.connection import ConnectionFailed


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

    answer: type[BaseModel] | None = None
    receive: Callable[[Chunk], None] | None = None
    cancelled: Callable[[], bool] = never


class Attempts:
    """The attempts of one call, made by one thread; `end` is when its time is over, by the parts' clock."""

    def __init__(self, parts: Parts, request: Request, listener: Listener, end: float) -> None:
        self._parts = parts
        self._request = request
        self._listener = listener
        self.end = end
        self.course = Course(parts.profiles, parts.estimates, request, parts.uniform)

    def check(self, attempts: int) -> None:
        """Raises LlmCancelled and LlmDeadline."""
        if self._listener.cancelled():
            raise LlmCancelled(f"the call was cancelled after {attempts} attempts")
        if self._parts.clock() >= self.end:
            raise LlmDeadline(f"the call's {self._parts.profiles.total_seconds:g} s are over, {attempts} attempts")

    def left(self) -> float:
        """Seconds until the call's time is over."""
        return self.end - self._parts.clock()

    def make(
        self, progress: Progress, target: Target, limit: int, permit: Permit
    ) -> tuple[Reply | Failure, Progress]:  # fmt: skip
        """Send the request once and end the permit. Raises what `check` raises; the permit is ended in any case."""
        with permit:
            try:
                self.check(progress.attempts)
            except LlmError:
                permit.unused()
                raise
            progress = replace(progress, attempts=progress.attempts + 1)
            answer = self._parts.provider.send(self._call(progress, target, limit))
            result: Reply | Failure
            if isinstance(answer, Answer):
                if self._parts.on_windows is not None and answer.windows:
                    self._parts.on_windows(line_of(self._parts.profiles, target.key), answer.windows)
                usage = answer.usage or _counted(answer, target)
                progress = replace(progress, micro_usd=_sum(progress.micro_usd, usage, target))
                result = self._read(answer, usage, target, progress)
            else:
                result = answer
            # Lost or out of reach: it is booked as reserved when the lease runs out, and the answer is paid for and good.
            with suppress(PermitLost, *ConnectionFailed):
                self._settle(permit, result, target, limit)
        if isinstance(result, Failure) and result.kind is FailureKind.CANCELLED:
            raise LlmCancelled(f"the call was cancelled in its attempt {progress.attempts}")
        return result, progress

    def _settle(self, permit: Permit, result: Reply | Failure, target: Target, limit: int) -> None:
        used = cost(target, result.usage) if result.usage else None
        if isinstance(result, Failure):
            settle(permit, result, used, lambda: self.course.backoff(1))
            return
        whole = not self.course.outgrown(result, target, limit)
        settle(permit, None, used, learn=f"{target.key}\1{self._request.role}" if whole else "")

    def _call(self, progress: Progress, target: Target, limit: int) -> Call:
        until = min(self._parts.clock() + target.account.timeout_seconds, self.end)
        receive, number = self._listener.receive, progress.attempts

        def pass_on(text: str) -> None:
            self.check(number)
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
            self._listener.cancelled,
        )

    def _read(self, answer: Answer, usage: Usage, target: Target, progress: Progress) -> Reply | Failure:
        """The answer as a reply, or why it is not one."""
        parsed: Any = None
        # An answer that our own reservation cut off is asked for again with a larger one before anybody looks at it.
        cut = answer.finish_reason == "length" and self._request.max_output_tokens is None
        checked = self._request.check and self._request.response_schema is not None
        if checked and not answer.tool_calls and not cut:
            try:
                parsed = read_json(answer.text)
                if self._listener.answer is not None:
                    read_model(parsed, self._listener.answer)
                else:
                    read_schema(parsed, self._request.response_schema or {})
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
            micro_usd=progress.micro_usd,
            attempts=progress.attempts,
        )


def _counted(answer: Answer, target: Target) -> Usage:
    """What an attempt used, where the provider does not say."""
    written = answer.text + "".join(call.arguments for call in answer.tool_calls)
    return Usage(
        input_tokens=target.input_tokens, output_tokens=count_text(written, target.encoding), estimated=True
    )  # fmt: skip


def _sum(spent: int | None, usage: Usage, target: Target) -> int | None:
    price = micro_usd(usage, target.key, target.model, target.account)
    return None if price is None or spent is None else spent + price
