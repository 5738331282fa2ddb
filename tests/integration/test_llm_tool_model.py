"""The stand-in for a model with tools tells a conversation's turns apart, can hang, and can die and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import Failure, FailureKind
from orchestrator.llm.messages import Message, Request, Speaker, Tool, ToolCall
from orchestrator.llm.openai_provider import OpenAIProvider
from orchestrator.llm.profile_file import read_profiles
from support.servers import until
from support.tool_model import Heard, Said, ToolModel, calls, hangs, tool_model


@pytest.fixture
def provider() -> Iterator[OpenAIProvider]:
    one = OpenAIProvider({})
    yield one
    one.close()


def send(provider: OpenAIProvider, model: ToolModel, *messages: Message, **more: object) -> Answer | Failure:
    account = read_profiles(model.profiles()).accounts["stand-in"]
    asked = Request(model="any", messages=messages, tools=(Tool(name="add"),), stream=bool(more.get("stream")))
    return provider.send(Call(asked, "any", "any", "stand-in", account, 100, time.monotonic() + 20))


TASK = Message(speaker=Speaker.USER, text="add them, who:g1/n3")


def answer(heard: Heard) -> Said:
    if heard.turn == 1:
        return calls(("add", {"a": 1, "b": 2}), ("add", '{"a": broken'), text="adding")
    return f"the sum is {heard.results[0]}"


@pytest.mark.parametrize("stream", [False, True])
def test_it_answers_by_a_function_of_the_conversation(provider: OpenAIProvider, stream: bool) -> None:
    with tool_model(answer) as model:
        first = send(provider, model, TASK, stream=stream)
        assert isinstance(first, Answer)
        made = [
            ToolCall(id=f"call_{at}", name="add", arguments=text)
            for at, text in enumerate(['{"a": 1, "b": 2}', '{"a": broken'])
        ]
        assert (first.text, list(first.tool_calls), first.finish_reason) == ("adding", made, "tool_calls")
        said = Message(speaker=Speaker.ASSISTANT, text="adding", tool_calls=tuple(made))
        results = [
            Message(speaker=Speaker.TOOL, text=text, tool_call_id=f"call_{at}") for at, text in enumerate(["3", "no"])
        ]
        second = send(provider, model, TASK, said, *results, stream=stream)
        assert isinstance(second, Answer)
        assert (second.text, second.finish_reason) == ("the sum is 3", "stop")
        assert model.counts == {("g1/n3", 1): 1, ("g1/n3", 2): 1}
        assert (model.heard[1].results, model.heard[0].tools) == (["3", "no"], ("add",))
        assert model.repeated() == {}
        send(provider, model, TASK, said, *results)
        assert model.repeated() == {("g1/n3", 2): 1}


def test_it_notes_who_hangs_up(provider: OpenAIProvider) -> None:
    with tool_model(lambda _: hangs(model)) as model:
        account = read_profiles(model.profiles(timeout_seconds=0.3)).accounts["stand-in"]
        call = Call(Request(model="any", messages=(TASK,)), "any", "any", "s", account, 100, time.monotonic() + 0.3)
        assert provider.send(call) == Failure(FailureKind.TIMEOUT)
        until(lambda: model.gone, what="the caller has hung up")
        assert not model.finished or model.counts == model.finished


def test_it_dies_and_comes_back_on_the_same_port(provider: OpenAIProvider) -> None:
    with tool_model(lambda _: hangs(model)) as model:
        found: list[Answer | Failure] = []
        thread = threading.Thread(target=lambda: found.append(send(provider, model, TASK)))
        thread.start()
        until(lambda: model.heard, what="the request")
        model.kill()
        thread.join(20)
        assert isinstance(found[0], Failure)
        assert found[0].kind is FailureKind.CONNECTION
        refused = send(provider, model, TASK)
        assert isinstance(refused, Failure)
        assert not refused.sent
        model.answer = lambda _: "back"
        model.start()
        back = send(provider, model, TASK)
        assert isinstance(back, Answer)
        assert back.text == "back"
