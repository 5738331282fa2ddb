"""Calls over the network, by the openai SDK: one attempt each, under a wall clock, with nothing of it in logs or errors."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from orchestrator.llm import chat, responses
from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import Failure, FailureKind, MissingExtra, of_status
from orchestrator.llm.headers import retry_after, windows
from orchestrator.llm.profiles import Account, api_key

if TYPE_CHECKING:
    import openai

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NO_KEY: Final = "none"
"""The SDK insists on a key; servers without keys do not look at it."""


class _NotAnAnswer(Exception):
    """What came cannot be read as an answer."""


class OpenAIProvider:
    """Providers that speak OpenAI's APIs. Safe to share between threads, and usable in forked children."""

    def __init__(self, environ: Mapping[str, str], wall: Callable[[], float] = time.time) -> None:
        """`environ` holds the keys under the names that accounts say. Raises MissingExtra without the extra `llm`."""
        try:
            import openai

            from orchestrator.llm import wire
        except ImportError as error:
            text = f"calling models needs the extra llm (no {error.name}): pip install 'chordal[llm]'"
            raise MissingExtra(text) from None
        # The SDK loads its parts at their first use; a call that has its permit shall not wait for that.
        for part in ("chat.completions.completions", "responses.responses"):
            import_module(f"openai.resources.{part}")
        wire.tls()
        self._openai, self._wire = openai, wire
        self._environ = environ
        self._wall = wall
        self._clients: dict[tuple[int, str], openai.OpenAI] = {}
        self._lock = threading.Lock()

    def send(self, call: Call) -> Answer | Failure:
        """Make one attempt. Raises only what `call.receive` raises."""
        key = api_key(call.account, self._environ)
        if call.account.api_key_env and not key:
            return Failure(FailureKind.FATAL, "no_key", sent=False)
        client = self._client(call.account_name, call.account, key)
        result: Answer | Failure | Exception
        with self._wire.deadline(call.until, call.cancelled) as exchange:
            try:
                result = self._exchange(client, call, key)
            except (self._openai.OpenAIError, self._wire.RefusedAddress, _NotAnAnswer) as raised:
                result = raised
        # Made outside the except block: no traceback with the request in it hangs on anything that is handed on.
        known = self._failure(result, key) if isinstance(result, Exception) else result
        return _cut_off(known) if exchange.aborted else known

    def close(self) -> None:
        """Close every connection of this process."""
        with self._lock:
            for (process, _), client in self._clients.items():
                if process == os.getpid():
                    client.close()
            self._clients.clear()

    def _client(self, name: str, account: Account, key: str | None) -> openai.OpenAI:
        """One client an account and process: connections do not survive a fork."""
        place = (os.getpid(), name)
        with self._lock:
            if place not in self._clients:
                client = self._openai.OpenAI(
                    api_key=key or _NO_KEY,
                    base_url=account.base_url,
                    max_retries=0,
                    http_client=self._wire.http_client(),
                )
                # The SDK would take these from the environment, and send them to whatever server is called.
                client.organization, client.project = account.organization, account.project
                self._clients[place] = client
            return self._clients[place]

    def _exchange(self, client: openai.OpenAI, call: Call, key: str | None) -> Answer | Failure:
        api: Any = chat if call.account.api == "chat" else responses
        resource: Any = client.chat.completions if call.account.api == "chat" else client.responses
        account = call.account
        timeout = self._openai.Timeout(account.silence_seconds, connect=account.connect_seconds)
        raw = resource.with_raw_response.create(**api.parameters(call), timeout=timeout)
        if call.streamed:
            stream = raw.parse()
            with stream:
                result = self._read(lambda: api.read_stream(_pieces(stream), call.receive or _ignore))
        else:
            result = self._read(lambda: api.read_whole(raw.http_response.content))
        known = _request_id(raw.headers, key)
        if isinstance(result, Failure):
            return replace(result, request_id=known)
        return replace(result, request_id=known, windows=windows(raw.headers, self._wall()))

    def _read(self, read: Callable[[], Answer | Failure]) -> Answer | Failure:
        try:
            return read()
        except ValidationError:
            pass
        raise _NotAnAnswer

    def _failure(self, error: Exception, key: str | None) -> Failure:
        sdk = self._openai
        if isinstance(error, sdk.APIStatusError):
            headers = error.response.headers
            kind, code = of_status(error.status_code, [error.code, error.type])
            wait = retry_after(headers, self._wall()) if error.status_code in (429, 503) else None
            shown = "" if key and code in key else code
            return Failure(kind, shown, error.status_code, _request_id(headers, key), wait)
        if isinstance(error, self._wire.RefusedAddress):
            return Failure(FailureKind.FATAL, "address", sent=False)
        if isinstance(error, sdk.APITimeoutError):
            return Failure(FailureKind.TIMEOUT)
        if isinstance(error, sdk.APIConnectionError):
            return Failure(FailureKind.CONNECTION, sent=not isinstance(error.__cause__, self._wire.NotConnected))
        if isinstance(error, _NotAnAnswer | sdk.APIResponseValidationError):
            return Failure(FailureKind.INVALID, "not_json")
        return responses.failed(error.code if isinstance(error, sdk.APIError) else None)


def _cut_off(known: Answer | Failure) -> Failure:
    """What is left of an exchange that was aborted. An end that came meanwhile may be the connection's, not the answer's."""
    sent = known.sent if isinstance(known, Failure) else True
    return Failure(FailureKind.CANCELLED, request_id=known.request_id, usage=known.usage, sent=sent)


def _pieces(stream: Iterable[Any]) -> Iterator[Any]:
    """The pieces of a stream; what the SDK raises for lines that are not JSON becomes one error of ours."""
    iterator = iter(stream)
    while True:
        try:
            piece = next(iterator)
        except StopIteration:
            return
        except (ValueError, TypeError, AttributeError, RecursionError):
            break
        yield piece
    raise _NotAnAnswer


def _request_id(headers: Mapping[str, str], key: str | None) -> str:
    found = headers.get("x-request-id") or headers.get("request-id") or ""
    return found if _REQUEST_ID.fullmatch(found) and not (key and key in found) else ""


def _ignore(text: str) -> None:
    """Nobody follows this answer."""
