"""The client against a real HTTP server: whatever a provider may do to a call, by the wall clock and without leaks."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import CallFailed, Failure, FailureKind, LlmRefused
from orchestrator.llm.messages import Chunk, Message, Request, Speaker, Tool, ToolCall, Usage
from orchestrator.llm.openai_provider import OpenAIProvider
from support import model_server as serve
from support.model_calls import Open, ask, client, profiles

KEY, CANARY = "sk-canary-KEY-4711", "canary-PROMPT-0815"
ENVIRON = {"THE_KEY": KEY}


@pytest.fixture
def model() -> Iterator[serve.ModelServer]:
    with serve.model_server() as one:
        yield one


@pytest.fixture
def provider() -> Iterator[OpenAIProvider]:
    one = OpenAIProvider(ENVIRON)
    yield one
    one.close()


def send(
    provider: OpenAIProvider,
    model: serve.ModelServer,
    request: Request | None = None,
    seconds: float = 5.0,
    **account: Any,
) -> Answer | Failure:
    known = profiles(model.url, account={"api_key_env": "THE_KEY", **account}).accounts["first"]
    call = Call(request or ask(), "a", "gpt-x", "first", known, 100, time.monotonic() + seconds)
    return provider.send(call)


def test_a_chat_completion(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    model.does(serve.says(serve.chat("hello"), x_ratelimit_remaining_requests="7", x_ratelimit_reset_requests="6m0s"))
    answer = send(provider, model, ask("Say it.", temperature=0.5))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason, answer.request_id) == ("hello", "stop", "req_1")
    assert answer.usage == Usage(input_tokens=12, cached_input_tokens=4, output_tokens=5)
    assert answer.windows["requests"].remaining == 7
    assert answer.windows["requests"].reset_seconds == 360.0
    asked = model.asked[0]
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "Say it."}],
        "max_completion_tokens": 100,
        "temperature": 0.5,
    }


def test_tools_and_their_answers(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    made = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    model.does(serve.says(serve.chat(None, "tool_calls", tool_calls=[made])))
    call = ToolCall(id="t1", name="add", arguments='{"a": 1}')
    history = (
        Message(speaker=Speaker.USER, text="Add."),
        Message(speaker=Speaker.ASSISTANT, tool_calls=(call,)),
        Message(speaker=Speaker.TOOL, text="2", tool_call_id="t1"),
    )
    tools = (Tool(name="add", description="Adds.", parameters={"type": "object"}),)
    request = Request(model="a", messages=history, tools=tools)
    answer = send(provider, model, request, kind="self-hosted")
    assert isinstance(answer, Answer)
    assert answer.tool_calls == (call,)
    body = model.asked[0].body
    assert body["messages"][1]["tool_calls"] == [made]
    assert body["messages"][2] == {"role": "tool", "content": "2", "tool_call_id": "t1"}
    assert body["tools"][0]["function"]["name"] == "add"
    assert body["max_tokens"] == 100, "what other servers call it"

    model.does(serve.says(serve.response("", output=[{"type": "function_call", "call_id": "t1", "name": "add",
                                                      "arguments": '{"a": 1}'}])))  # fmt: skip
    answer = send(provider, model, request, api="responses")
    assert isinstance(answer, Answer)
    assert (answer.finish_reason, answer.tool_calls) == ("tool_calls", (call,))
    body = model.asked[1].body
    assert [item.get("type", "message") for item in body["input"]] == [
        "message",
        "function_call",
        "function_call_output",
    ]
    assert (body["store"], body["max_output_tokens"]) == (False, 100)


class City(BaseModel):
    name: str


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_structured_answer(provider: OpenAIProvider, model: serve.ModelServer, api: str) -> None:
    text = '{"name": "Rome"}'
    model.does(serve.says(serve.chat(text) if api == "chat" else serve.response(text)))
    known = profiles(model.url, account={"api": api})
    reply = client(provider, known=known).complete(ask(), answer=City)
    assert reply.parsed == City(name="Rome")
    body = model.asked[0].body
    schema = body["response_format"]["json_schema"] if api == "chat" else body["text"]["format"]
    assert schema["strict"] is True
    assert schema["schema"]["additionalProperties"] is False


def test_a_stream_is_followed(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    parts = [{"index": 0, "id": "t", "function": {"name": "add", "arguments": '{"a"'}}]
    rest = [{"index": 0, "function": {"arguments": ": 1}"}}]
    last = {"id": "c", "choices": [], "usage": serve.USAGE}
    model.does(serve.streams([serve.piece("he"), serve.piece("llo"), serve.piece(tool_calls=parts),
                              serve.piece(tool_calls=rest), serve.piece(finish="stop"), last]))  # fmt: skip
    got: list[Chunk] = []
    reply = client(provider, known=profiles(model.url)).complete(ask(), receive=got.append)
    assert ([chunk.text for chunk in got], reply.text) == (["he", "llo"], "hello")
    assert reply.tool_calls == (ToolCall(id="t", name="add", arguments='{"a": 1}'),)
    assert reply.usage == Usage(input_tokens=12, cached_input_tokens=4, output_tokens=5)
    assert model.asked[0].body["stream_options"] == {"include_usage": True}


def test_a_stream_of_the_responses_api(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    deltas = [{"type": "response.output_text.delta", "delta": text, "item_id": "m", "output_index": 0,
               "content_index": 0, "sequence_number": 1} for text in ("he", "llo")]  # fmt: skip
    end = {"type": "response.completed", "sequence_number": 3, "response": serve.response("hello")}
    model.does(serve.streams([*deltas, end], done=False))
    got: list[Chunk] = []
    known = profiles(model.url, account={"api": "responses"})
    assert client(provider, known=known).complete(ask(), receive=got.append).text == "hello"
    assert [chunk.text for chunk in got] == ["he", "llo"]
    model.does(serve.streams(deltas, done=False))
    result = send(provider, model, ask(stream=True), api="responses")
    assert isinstance(result, Failure)
    assert (result.kind, result.code) == (FailureKind.INVALID, "truncated")


@pytest.mark.parametrize(
    ("behaviour", "kind", "code"),
    [
        (serve.fails(400, "bad_thing"), FailureKind.FATAL, "bad_thing"),
        (serve.fails(401), FailureKind.FATAL, "error"),
        (serve.fails(403), FailureKind.FATAL, "error"),
        (serve.fails(404), FailureKind.FATAL, "error"),
        (serve.fails(408), FailureKind.SERVER, "error"),
        (serve.fails(409), FailureKind.SERVER, "error"),
        (serve.fails(429, "rate_limit_exceeded"), FailureKind.RATE_LIMIT, "rate_limit_exceeded"),
        (serve.fails(429, "insufficient_quota"), FailureKind.QUOTA, "insufficient_quota"),
        (serve.fails(500), FailureKind.SERVER, "error"),
        (serve.says(b"<html>", 502), FailureKind.SERVER, ""),
        (serve.says(b"{}", 307, location="http://169.254.169.254/"), FailureKind.FATAL, "redirect"),
        (serve.says(b"<html>hello"), FailureKind.INVALID, "not_json"),
        (serve.says(b'"hello"'), FailureKind.INVALID, "not_json"),
        (serve.says(b'{"choices": []}'), FailureKind.INVALID, "no_choices"),
        (serve.says(serve.chat("hel", None)), FailureKind.INVALID, "truncated"),
        (serve.breaks_off, FailureKind.CONNECTION, ""),
    ],
)
def test_failures_have_their_class(
    provider: OpenAIProvider, model: serve.ModelServer, behaviour: serve.Behaviour, kind: FailureKind, code: str
) -> None:
    model.does(behaviour)
    result = send(provider, model)
    assert isinstance(result, Failure)
    assert (result.kind, result.code) == (kind, code)
    assert len(model.asked) == 1, "one attempt is one request"


@pytest.mark.parametrize(
    ("pieces", "done", "kind", "code"),
    [
        ([serve.piece("he")], False, FailureKind.INVALID, "truncated"),
        ([serve.piece("he")], True, FailureKind.INVALID, "truncated"),
        ([serve.piece("he"), b"data: {broken\n\n"], True, FailureKind.INVALID, "not_json"),
        ([b'data: {"choices": [7]}\n\n'], True, FailureKind.INVALID, "not_json"),
        ([{"error": {"code": "insufficient_quota", "message": "x"}}], True, FailureKind.QUOTA, "insufficient_quota"),
        ([{"error": {"code": "boom", "message": "x"}}], True, FailureKind.SERVER, "server_error"),
    ],
)
def test_a_stream_that_ends_too_soon_or_babbles_is_no_answer(
    provider: OpenAIProvider,
    model: serve.ModelServer,
    pieces: list[Any],
    done: bool,
    kind: FailureKind,
    code: str,
) -> None:
    model.does(serve.streams(pieces, done))
    result = send(provider, model, ask(stream=True))
    assert isinstance(result, Failure)
    assert (result.kind, result.code) == (kind, code)


def test_a_429_says_how_long_to_stay_away(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    limiter = Open()
    model.does(
        serve.fails(429, retry_after="7", retry_after_ms="1500"),
        serve.fails(429, x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="1m2s"),
        serve.says(serve.chat("hello")),
    )
    assert client(provider, limiter, profiles(model.url)).complete(ask()).attempts == 3
    assert [permit.said for permit in limiter.permits] == [
        [("hold", 1.5, "rate_limit")], [("hold", 62.0, "rate_limit")], []]  # fmt: skip
    assert len(model.asked) == 3


@pytest.mark.parametrize("behaviour", [serve.hangs, serve.drips(head=True), serve.drips(head=False)])
def test_no_attempt_outlives_its_deadline(
    provider: OpenAIProvider, model: serve.ModelServer, behaviour: serve.Behaviour
) -> None:
    model.does(behaviour)
    began = time.monotonic()
    result = send(provider, model, seconds=0.4)
    took = time.monotonic() - began
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.TIMEOUT
    assert 0.3 < took < 3.0, "the drip comes every 0.02 s, so that a read time-out alone would never end it"


def test_a_server_that_is_silent_is_given_up_before_the_deadline(
    provider: OpenAIProvider, model: serve.ModelServer
) -> None:
    model.does(serve.hangs)
    began = time.monotonic()
    result = send(provider, model, seconds=60.0, silence_seconds=0.2)
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.TIMEOUT
    assert time.monotonic() - began < 30.0


def test_no_connection_is_nothing_sent(provider: OpenAIProvider) -> None:
    with serve.model_server() as gone:
        pass
    result = send(provider, gone)
    assert isinstance(result, Failure)
    assert (result.kind, result.sent) == (FailureKind.CONNECTION, False)


def test_a_name_that_leads_to_a_metadata_address_is_refused(
    provider: OpenAIProvider, model: serve.ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(2, 1, 6, "", ("169.254.169.254", 80))]
    monkeypatch.setattr("orchestrator.llm.sockets.socket.getaddrinfo", lambda *_, **__: found)
    result = send(provider, model)
    assert result == Failure(FailureKind.FATAL, "address", sent=False)


def test_a_key_that_is_not_set_is_a_refusal(model: serve.ModelServer) -> None:
    result = send(OpenAIProvider({}), model)
    assert result == Failure(FailureKind.FATAL, "no_key", sent=False)


@pytest.mark.parametrize(
    "behaviour",
    [
        serve.fails(400, KEY.lower(), f"{KEY} {CANARY}"),
        serve.fails(401, message=f"Incorrect API key: {KEY}"),
        serve.fails(500, message=CANARY),
        serve.says(f"{KEY} {CANARY}".encode()),
        serve.says(serve.chat(CANARY, None)),
        serve.hangs,
        serve.breaks_off,
    ],
)
def test_neither_prompts_nor_keys_get_out(
    provider: OpenAIProvider,
    model: serve.ModelServer,
    behaviour: serve.Behaviour,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "openai._base_client", "httpx2", "httpcore2", "httpcore2.http11"):
        caplog.set_level(logging.DEBUG, name)
    model.does(behaviour)
    known = profiles(model.url, account={"api_key_env": "THE_KEY", "timeout_seconds": 0.3}, retry={"attempts": 2})
    request = ask(CANARY, role="r")
    with pytest.raises(CallFailed) as caught:
        client(provider, known=known).complete(request, answer=City)
    error: BaseException | None = caught.value
    shown = [repr(request), str(request), caplog.text, repr(caught.value.failure), str(caught.value.__reduce__())]
    while error is not None:
        shown += ["".join(traceback.format_exception(error, chain=True)), repr(error), str(vars(error))]
        error = error.__cause__ or error.__context__
    for text in shown:
        assert KEY not in text
        assert KEY.lower() not in text
        assert CANARY not in text


def test_the_environments_organisation_does_not_go_to_other_servers(
    model: serve.ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-environment")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    model.does(serve.says(serve.chat("hello")))
    provider = OpenAIProvider(ENVIRON)
    assert isinstance(send(provider, model), Answer)
    provider.close()
    assert "openai-organization" not in model.asked[0].headers


def test_refusals_are_the_callers_error(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    model.does(serve.fails(404, "model_not_found"))
    with pytest.raises(
        LlmRefused, match="model 'a' of account 'first' after 1 attempt: fatal: HTTP 404, model_not_found"
    ):
        client(provider, known=profiles(model.url)).complete(ask(model="default"))
