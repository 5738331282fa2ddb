"""Call a model through the queue: a permit for every attempt, retries, fallbacks, structured answers, shared answers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from orchestrator.llm.attempt import Attempts, Listener, Parts
from orchestrator.llm.calls import Provider, never
from orchestrator.llm.estimates import Estimates, LocalEstimates
from orchestrator.llm.failures import LlmInvalidAnswer
from orchestrator.llm.headers import Window
from orchestrator.llm.messages import Chunk, Reply, Request
from orchestrator.llm.ports import Limiter
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.run import Run
from orchestrator.llm.schema import check_schema, read_model, strict_schema
from orchestrator.llm.sharing import Cache, Flights, LocalCache, LocalFlights, request_hash

_FREE: Final[Mapping[str, Any]] = {"micro_usd": 0, "attempts": 0}


class Client:
    """Calls the models of the profiles. Safe to share between threads."""

    def __init__(
        self,
        limiter: Limiter,
        profiles: Profiles,
        provider: Provider,
        *,
        estimates: Estimates | None = None,
        flights: Flights | None = None,
        cache: Cache | None = None,
        on_windows: Callable[[str, Mapping[str, Window]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`on_windows` gets, after each answer, the account and what the provider says of its limits."""
        self._parts = Parts(
            limiter, profiles, provider, estimates or LocalEstimates(), on_windows, clock, sleep, uniform
        )
        self._flights = flights or LocalFlights()
        self._cache = cache or LocalCache()

    def complete(
        self,
        request: Request,
        *,
        answer: type[BaseModel] | None = None,
        receive: Callable[[Chunk], None] | None = None,
        cancelled: Callable[[], bool] = never,
    ) -> Reply:
        """The model's answer.

        With `answer` the reply's `parsed` is an instance of that model, and its schema is asked for. `receive` follows
        the answer while it is written. `cancelled` is asked between attempts, during pauses, for each chunk, and, from
        another thread, ten times a second while a request is in flight, which is then cut off. Raises
        LlmRefused, LlmQuotaSpent, LlmUnavailable, LlmInvalidAnswer, ContextTooLong, LlmDeadline, LlmCancelled,
        UnknownModel, BadSchema, and what the limiter raises.
        """
        if answer is not None:
            request = request.model_copy(update={"response_schema": strict_schema(answer)})
        elif request.response_schema is not None:
            check_schema(request.response_schema)
        found = self.cached(request)
        if found is not None:
            return self._again(found, "cache", answer, receive)
        listener = Listener(answer, receive, cancelled)
        run = Run(self._parts, request, listener)
        if not request.share:
            reply = run.reply()
        else:
            reply, shared = self._flights.run(
                request_hash(request), run.reply, self._parts.profiles.total_seconds, cancelled
            )
            if shared:
                return self._again(reply, "shared", answer, receive)
        self.keep(request, reply)
        return _modelled(reply, answer)

    def attempts(self, request: Request, listener: Listener, seconds: float) -> Attempts:
        """The attempts of a call whose permits somebody else gets; its time is over after so many seconds."""
        return Attempts(self._parts, request, listener, self._parts.clock() + seconds)

    def cached(self, request: Request) -> Reply | None:
        """An answer that is kept, where the request allows one."""
        return cached(self._cache, request)

    def keep(self, request: Request, reply: Reply) -> None:
        """Keep a whole answer, where the request allows it."""
        if request.cache_seconds and reply.finish_reason in ("stop", "tool_calls"):
            self._cache.put(request_hash(request), reply, request.cache_seconds)

    def close(self) -> None:
        """Give the provider's connections back."""
        self._parts.provider.close()

    def _again(
        self, reply: Reply, source: str, answer: type[BaseModel] | None, receive: Callable[[Chunk], None] | None
    ) -> Reply:
        """Somebody's answer once more: free of charge, and in one piece."""
        if receive is not None and reply.text:
            receive(Chunk(text=reply.text, attempt=1, model=reply.model))
        return _modelled(reply.model_copy(update={**_FREE, "source": source}), answer)


def cached(cache: Cache, request: Request) -> Reply | None:
    """An answer that is kept, where the request allows one: free of charge."""
    if not request.cache_seconds:
        return None
    found = cache.get(request_hash(request), request.cache_seconds)
    return found and found.model_copy(update={**_FREE, "source": "cache"})


def _modelled(reply: Reply, answer: type[BaseModel] | None) -> Reply:
    """The reply with its answer as an instance of the model; kept replies hold plain data, which no caller changes."""
    if answer is None:
        return reply.model_copy(deep=True) if reply.parsed is not None else reply
    try:
        return reply.model_copy(update={"parsed": read_model(reply.parsed, answer)})
    except ValueError as error:
        text = str(error)
    raise LlmInvalidAnswer(text, reply.account)
