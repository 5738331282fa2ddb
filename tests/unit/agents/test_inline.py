"""An agent's whole loop without Redis, against a scripted model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from orchestrator.agents.agent import Agent, AgentEvent, Agents
from orchestrator.agents.conversation.transcript import Answered, Results
from orchestrator.agents.inline.run import AgentGaveUp, NotInline, OutputRefused
from orchestrator.agents.tools.toolbox import Toolbox, ToolContext, tool
from orchestrator.engine.context import current
from orchestrator.llm.failures import LlmCancelled, LlmRefused
from orchestrator.llm.messages import Speaker, ToolCall
from orchestrator.llm.profile_file import read_profiles
from orchestrator.llm.scripted import Scripted, Step


class Report(BaseModel):
    size: int

    @field_validator("size")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("the size must be even")
        return value


@pytest.fixture
def box() -> Toolbox:
    return Toolbox()


@pytest.fixture
def declare(box: Toolbox) -> Any:
    agents = Agents()

    def made(name: str = "ada", **options: Any) -> Agent:
        given: dict[str, Any] = {"toolbox": box, "registry": agents, **options}
        return Agent(name, "Be exact.", **given)

    return made


def calls(*wanted: tuple[str, str], **fields: Any) -> Step:
    """An answer that calls tools: names and arguments."""
    made = tuple(ToolCall(id=f"c{at}", name=name, arguments=text) for at, (name, text) in enumerate(wanted))
    return Step(tool_calls=made, finish_reason="tool_calls", **fields)


def results(output: Any) -> list[list[str]]:
    """What the model was told of its calls, turn by turn."""
    return [[one.text for one in entry.results] for entry in output.entries if isinstance(entry, Results)]


def test_a_run_from_the_task_through_tools_to_the_output(declare: Any, box: Toolbox) -> None:
    seen: list[Any] = []

    @tool(toolbox=box)
    def add(one: int, other: int, about: ToolContext) -> int:
        lease = current()
        assert lease is not None
        assert (lease.goal, lease.node, lease.token) == (about.goal, about.node, about.token)
        seen.append(about)
        return one + other

    script = Scripted([
        calls(("add", '{"one": 1, "other": 2}'), ("add", '{"one": "x"}'), ("add", '{"one": 3, "other": 4}')),
        Step(text="ten"),
    ])  # fmt: skip
    output = declare(tools=["add"]).run_inline("Add them.", provider=script, inputs={"unit": "m"})
    assert output["text"] == output["output"] == "ten"
    assert output["turns"] == 2
    assert output["usage"]["input_tokens"] > 0
    assert results(output)[0][0] == "3"
    assert "refused" in results(output)[0][1]
    assert results(output)[0][2] == "7"
    assert [(one.node, one.idempotency_key, one.attempt) for one in seen] == [
        ("ada.t1.0", "inline:ada.t1.0", 1), ("ada.t1.2", "inline:ada.t1.2", 1),
    ]  # fmt: skip
    assert seen[1].token > seen[0].token
    first, second = (call.request for call in script.calls)
    assert "Add them." in first.messages[1].text
    assert '"unit"' not in first.messages[1].text
    assert "input unit" in first.messages[1].text
    assert [one.speaker for one in second.messages[2:]] == [Speaker.ASSISTANT, Speaker.TOOL, Speaker.TOOL, Speaker.TOOL]


def test_an_output_type_is_repaired_and_parsed(declare: Any) -> None:
    script = Scripted([Step(text="no"), Step(text='{"size": "x"}'), Step(text='{"size": 4}')])
    output = declare(output_type=Report).run_inline("Measure.", provider=script)
    assert output.parsed == Report(size=4)
    assert output["output"] == {"size": 4}
    assert "size" in script.calls[2].request.messages[-1].text


def test_an_output_is_judged_by_its_schema_as_in_durable_runs(declare: Any) -> None:
    told: list[str] = []
    script = Scripted([Step(text='{"size": 3}'), Step(text='{"size": 4}')])
    ada = declare(output_type=Report, on_done=lambda one: told.append(one.moment))
    with pytest.raises(OutputRefused, match="durable run would have stored") as caught:
        ada.run_inline("Measure.", provider=script)
    assert "Report refuses" in str(caught.value)
    assert "size: Value error, the size must be even" in str(caught.value)
    assert (caught.value.output["output"], caught.value.output.parsed) == ({"size": 3}, None)
    assert len(caught.value.output.entries) == len(script.calls) == 1
    assert told == ["on_done"]


def test_what_a_sub_agents_validator_refuses_is_its_result_as_in_durable_runs(declare: Any) -> None:
    ada = declare(tools=[declare("bob", output_type=Report)])
    script = Scripted([
        calls(("agent_bob", '{"task": "Measure."}'), role="ada"), Step(role="bob", text='{"size": 3}'),
        Step(role="ada", text="done"),
    ])  # fmt: skip
    assert results(ada.run_inline("Go.", provider=script)) == [['{"size":3}']]


def test_an_agent_that_gives_no_usable_answer_gives_up_with_what_was_said(declare: Any) -> None:
    told: list[AgentEvent] = []
    ada = declare(output_type=Report, limits={"repairs": 1}, on_failed=told.append, on_done=told.append)
    with pytest.raises(AgentGaveUp, match="not JSON") as caught:
        ada.run_inline("Measure.", provider=Scripted([Step(text="no", times=None)]))
    assert sum(isinstance(entry, Answered) for entry in caught.value.entries) == 2
    assert [(one.moment, one.turn) for one in told] == [("on_failed", 2)]
    assert "not JSON" in told[0].error


def test_errors_of_tools_are_told_without_a_traceback_and_tried_again(declare: Any, box: Toolbox) -> None:
    tries: list[int] = []

    @tool(toolbox=box, retries=2)
    def weak(about: ToolContext) -> str:
        tries.append(about.attempt)
        if len(tries) < 3:
            raise OSError("down")
        return "up"

    @tool(toolbox=box)
    def broken() -> None:
        raise ValueError("x" * 5000)

    script = Scripted([calls(("weak", "{}"), ("broken", "{}")), Step(text="done")])
    output = declare(tools=["weak", "broken"]).run_inline("Go.", provider=script)
    assert tries == [1, 2, 3]
    up, error = results(output)[0]
    assert up == "up"
    assert error.startswith("ToolError: ValueError: xxx")
    assert len(error) < 1100
    assert "Traceback" not in error


def test_results_are_cut_between_characters(declare: Any, box: Toolbox) -> None:
    @tool(toolbox=box, result_bytes=100)
    def long() -> str:
        return "\u20ac" * 1000

    output = declare(tools=["long"]).run_inline("Go.", provider=Scripted([calls(("long", "{}")), Step(text="done")]))
    text = results(output)[0][0]
    assert text == "\u20ac" * 22 + "\n[cut: 2934 more bytes]"
    assert len(text.encode()) <= 100


def test_approval_deferred_and_people_answer_by_callbacks(declare: Any, box: Toolbox) -> None:
    @tool(toolbox=box, approval=True)
    def pay(euros: int) -> str:
        return f"paid {euros}"

    @tool(toolbox=box, deferred=True)
    def order(about: ToolContext) -> str:
        assert about.deferred_token.startswith(f"{about.idempotency_key}:")
        return "ignored"

    ada = declare(tools=["pay", "order", "ask_person"])
    steps = [
        calls(("pay", '{"euros": 1}'), ("pay", '{"euros": 1000}'), ("order", "{}"), ("ask_person", '{"question": "Who?"}')),
        Step(text="done"),
    ]  # fmt: skip
    output = ada.run_inline(
        "Buy.",
        provider=Scripted(steps),
        approve=lambda name, arguments: name == "pay" and arguments["euros"] < 10,
        on_deferred=lambda name, _, about: {"of": name, "token": bool(about.deferred_token)},
        on_person=lambda question: f"{question} Me.",
    )
    assert results(output)[0] == [
        "paid 1", "ToolError: a person said no to this call", '{"of":"order","token":true}', "Who? Me.",
    ]  # fmt: skip
    for missing, name in ((0, "approve"), (2, "on_deferred"), (3, "on_person")):
        one = steps[0].tool_calls[missing]
        with pytest.raises(NotInline, match=f"give run_inline {name}="):
            ada.run_inline("Buy.", provider=Scripted([calls((one.name, one.arguments))]))


def test_tasks_and_goals_answer_by_callbacks(declare: Any) -> None:
    bob = declare("bob")
    document = '{"goal": {"nodes": [{"id": "a", "kind": "agent", "agent": "bob"}]}}'
    step = calls(("task_shop_mail", '{"args": [1], "kwargs": {"to": "x"}}'), ("start_goal", document))
    output = declare(tools=["task:shop.mail", "start_goal", bob]).run_inline(
        "Go.",
        provider=Scripted([step, Step(text="done")]),
        on_task=lambda name, arguments: [name, arguments],
        on_goal=lambda goal: {goal["nodes"][0]["id"]: "made"},
    )
    assert results(output)[0] == ['["shop.mail",{"args":[1],"kwargs":{"to":"x"}}]', '{"a":"made"}']


def test_sub_agents_run_in_the_same_thread_and_fail_into_the_result(declare: Any) -> None:
    told: list[tuple[str, str, int]] = []

    def tell(event: AgentEvent) -> None:
        told.append((event.moment, event.node, event.turn))

    moments = {f"on_{moment}": tell for moment in ("start", "turn", "done", "failed")}
    bob = declare("bob", output_type=Report, **moments)
    eve = declare("eve", limits={"repairs": 0})
    ada = declare(tools=[bob, eve])
    script = Scripted([
        calls(("agent_bob", '{"task": "Measure."}'), ("agent_eve", '{"task": "Fail."}'), role="ada"),
        Step(role="bob", text='{"size": 2}'), Step(role="eve", text=" "), Step(role="ada", text="done"),
    ])  # fmt: skip
    output = ada.run_inline("Go.", provider=script)
    good, bad = results(output)[0]
    assert good == '{"size":2}'
    assert bad.startswith("ToolError: the agent 'eve' gave up")
    assert told == [("on_start", "ada.t1.0", 0), ("on_turn", "ada.t1.0", 1), ("on_done", "ada.t1.0", 1)]
    assert "Measure." in next(call for call in script.calls if call.request.role == "bob").request.messages[1].text


def test_an_agent_that_calls_itself_ends_at_its_depth(declare: Any) -> None:
    started: list[str] = []
    ada = declare(
        tools=["agent:ada"], limits={"depth": 2, "max_turns": 2}, on_start=lambda one: started.append(one.node)
    )
    script = Scripted([
        Step(text="up", contains="last turn", times=None), calls(("agent_ada", '{"task": "Again."}'), times=None),
    ])  # fmt: skip
    assert ada.run_inline("Go.", provider=script)["text"] == "up"
    assert started == ["ada", "ada.t1.0", "ada.t1.0.t1.0"]
    assert "as deep" in script.calls[3].request.messages[3].text


def test_failures_of_the_model_and_cancels_reach_the_caller(declare: Any) -> None:
    told: list[str] = []
    ada = declare(on_failed=lambda one: told.append(one.moment), on_cancelled=lambda one: told.append(one.moment))
    with pytest.raises(LlmRefused):
        ada.run_inline("Go.", provider=Scripted([]))
    with pytest.raises(LlmCancelled):
        ada.run_inline("Go.", provider=Scripted([Step(text="x")]), cancelled=lambda: True)
    assert told == ["on_failed", "on_cancelled"]


def test_accounts_of_profiles_answer_where_no_provider_is_given(declare: Any, tmp_path: Path) -> None:
    script = tmp_path / "answers.yaml"
    script.write_text("- {text: four, times: null}\n")
    profiles = read_profiles(
        {
            "accounts": {"told": {"kind": "scripted", "script": str(script)}},
            "models": {"a": {"account": "told", "context_tokens": 4000}},
        }
    )
    output = declare(model="a").run_inline("Two and two?", profiles=profiles)
    assert (output["text"], output["micro_usd"]) == ("four", 0)
    assert output.entries[0].model == "a"
