"""@tool, what it refuses, and the allow-list of an agent."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from orchestrator.agents.tools.toolbox import (
    BadArguments,
    BadTool,
    Toolbox,
    ToolContext,
    UnknownTool,
    kit_of,
    task_tool,
    tool,
)
from orchestrator.domain.agent import AgentCard, ToolKind
from orchestrator.llm.schema import BadSchema

CONTEXT = ToolContext("g", "n.t1.0", 1, 7, "g:n.t1.0", "ada")


class Size(BaseModel):
    wide: int
    high: int = 1


@pytest.fixture
def box() -> Toolbox:
    return Toolbox()


def test_a_function_is_told_by_its_name_its_docstring_and_its_types(box: Toolbox) -> None:
    @tool(toolbox=box)
    def find(
        word: str,
        day: date,
        kind: Literal["a", "b"] = "a",
        times: Annotated[int, Field(ge=1, description="How often")] = 1,
    ) -> str:
        """Find a word.

        More of it.
        """
        return f"{word} {day.year} {kind} {times}"

    card = box.get("find").card
    assert (card.name, card.description, card.kind) == ("find", "Find a word.\n\nMore of it.", ToolKind.PYTHON)
    assert card.parameters == {
        "type": "object", "additionalProperties": False, "required": ["word", "day"],
        "properties": {
            "word": {"type": "string"}, "day": {"type": "string", "format": "date"},
            "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "times": {"type": "integer", "minimum": 1, "description": "How often", "default": 1},
        },
    }  # fmt: skip
    assert box.get("find").call({"word": "x", "day": "2026-01-31"}, CONTEXT) == "x 2026 a 1"
    assert find("x", date(2026, 1, 1)) == "x 2026 a 1"


def test_options_become_its_card(box: Toolbox) -> None:
    @tool(
        name="pay", description="Pay.", approval=True, timeout_seconds=5, retries=2, queue="money", result_bytes=100,
        toolbox=box,
    )  # fmt: skip
    def transfer(euros: int) -> int:
        return euros

    card = box.get("pay").card
    assert card.model_dump(exclude={"parameters"}, exclude_defaults=True) == {
        "name": "pay", "description": "Pay.", "approval": True, "timeout_seconds": 5, "retries": 2, "queue": "money",
        "result_bytes": 100,
    }  # fmt: skip


def test_the_context_is_given_and_is_no_argument(box: Toolbox) -> None:
    @tool(toolbox=box, deferred=True)
    def send(text: str, about: ToolContext) -> str:
        return f"{text} {about.idempotency_key} {about.token}"

    assert set(box.get("send").card.parameters["properties"]) == {"text"}
    assert box.get("send").deferred
    assert box.get("send").call({"text": "hi"}, CONTEXT) == "hi g:n.t1.0 7"
    with pytest.raises(BadArguments, match="about"):
        box.get("send").call({"text": "hi", "about": {"token": 99}}, CONTEXT)
    assert "secret" not in repr(ToolContext("g", "n", 1, 1, "k", "a", deferred_token="secret"))


def test_parameters_may_have_any_name(box: Toolbox) -> None:
    @tool(toolbox=box)
    def odd(schema: int, model_config: int, _hidden: int, copy: int = 4) -> list[int]:
        return [schema, model_config, _hidden, copy]

    assert box.get("odd").call({"schema": 1, "model_config": 2, "_hidden": 3}, CONTEXT) == [1, 2, 3, 4]
    with pytest.raises(BadArguments, match="p0"):
        box.get("odd").call({"p0": 1, "model_config": 2, "_hidden": 3}, CONTEXT)


def test_models_as_parameters_are_read(box: Toolbox) -> None:
    @tool(toolbox=box)
    def area(size: Size, sizes: list[Size] | None = None) -> int:
        return size.wide * size.high + sum(one.wide for one in sizes or ())

    assert box.get("area").call({"size": {"wide": 3}, "sizes": [{"wide": 1}]}, CONTEXT) == 4


def test_async_functions_are_run(box: Toolbox) -> None:
    @tool(toolbox=box)
    async def slow(word: str) -> str:
        await asyncio.sleep(0)
        return word * 2

    assert box.get("slow").call({"word": "ab"}, CONTEXT) == "abab"


def test_faults_of_arguments_name_no_values(box: Toolbox) -> None:
    @tool(toolbox=box)
    def find(word: str, times: int) -> None: ...

    with pytest.raises(BadArguments) as caught:
        box.get("find").call({"word": 3, "times": "SECRET", "x": "SECRET"}, CONTEXT)
    assert {part.split(":")[0] for part in str(caught.value).split("; ")} == {"word", "times", "x"}
    assert "SECRET" not in str(caught.value)


def positional(word: str, /) -> None: ...
def starred(*words: str) -> None: ...
def keywords(**words: str) -> None: ...
def strange(lock: asyncio.Lock) -> None: ...
def twice(one: ToolContext, other: ToolContext) -> None: ...
def dangling(one: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (positional, "'word' of the tool 'positional' is positional-only"),
        (starred, "'words' of the tool 'starred' takes any number"),
        (keywords, "'words' of the tool 'keywords' takes any name"),
        (strange, "has no JSON schema"),
        (twice, "more than one parameter"),
        (dangling, "cannot be read"),
        (lambda word: word, "<lambda>"),
    ],
)
def test_what_cannot_be_a_tool_says_why(box: Toolbox, function: Any, why: str) -> None:
    with pytest.raises(BadTool, match=why):
        tool(toolbox=box)(function)
    assert box.functions == {}


@pytest.mark.parametrize(
    "options",
    [{"name": "no spaces"}, {"name": "ask_person"}, {"name": "x" * 65}, {"retries": -1}, {"timeout_seconds": -1}],
)
def test_options_that_do_not_fit_are_refused(box: Toolbox, options: dict[str, Any]) -> None:
    def find() -> None: ...

    with pytest.raises(BadTool):
        tool(toolbox=box, **options)(find)


def _made() -> Any:
    def again() -> None: ...

    return again


def test_two_functions_cannot_have_one_name(box: Toolbox) -> None:
    def first() -> None: ...
    def other() -> None: ...

    tool(toolbox=box, name="do")(first)
    tool(toolbox=box, name="do", retries=1)(first)
    assert box.get("do").card.retries == 1
    made = [_made(), _made()]
    tool(toolbox=box)(made[0])
    with pytest.raises(BadTool, match=r"'again' is registered already"):
        tool(toolbox=box)(made[1])
    with pytest.raises(BadTool, match=r"registered already, as .*first"):
        tool(toolbox=box, name="do")(other)


# -- the allow-list ---------------------------------------------------------------------------------------------------


def find(word: str) -> str:
    """Find."""
    return word


@pytest.fixture
def full(box: Toolbox) -> Toolbox:
    tool(toolbox=box)(find)
    return box


HELPERS = {"bob": AgentCard(name="bob", role="writer", queue="pens", instructions="SECRET")}


def test_the_kit_is_what_the_card_names_and_nothing_else(full: Toolbox) -> None:
    task_tool(
        "shop.mail", parameters={"type": "object", "properties": {"to": {"type": "string"}}}, name="mail", queue="mails",
        description="Mail.", toolbox=full,
    )  # fmt: skip
    names = ("find", "task:shop.mail", "task:shop.pay", "agent:bob", "ask_person", "start_goal", "find")
    made = kit_of(AgentCard(name="ada", tools=names, output_schema={"type": "object"}), full, HELPERS)
    assert [(one.name, one.kind.value, one.call, one.queue) for one in made.tools] == [
        ("find", "python", "", None), ("mail", "task", "shop.mail", "mails"), ("task_shop_pay", "task", "shop.pay", None),
        ("agent_bob", "agent", "bob", "pens"), ("ask_person", "person", "", None), ("start_goal", "goal", "", None),
    ]  # fmt: skip
    assert made.output_schema == {"type": "object"}
    assert "writer" in made.tools[3].description
    assert "SECRET" not in made.model_dump_json()
    assert kit_of(AgentCard(name="ada"), full, HELPERS).tools == ()


def test_every_unknown_tool_is_named_at_once(full: Toolbox) -> None:
    card = AgentCard(name="ada", tools=("fnd", "find", "agent:bib", "shell:rm", "task:"))
    with pytest.raises(UnknownTool, match=r"'fnd' \(did you mean 'find'\?\).*'agent:bib'.*'shell:rm'.*'task:'"):
        kit_of(card, full, HELPERS)


def test_two_tools_of_one_name_are_refused(full: Toolbox) -> None:
    with pytest.raises(BadTool, match="two tools that the model would call 'task_a_b'"):
        kit_of(AgentCard(name="ada", tools=("task:a.b", "task:a_b")), full, {})


def test_schemas_are_checked_before_a_call_is_paid_for(full: Toolbox) -> None:
    with pytest.raises(BadSchema):
        kit_of(AgentCard(name="ada", output_schema={"type": "nothing"}), full, {})
    task_tool("shop.mail", parameters={"type": 3}, toolbox=full)
    with pytest.raises(BadSchema):
        kit_of(AgentCard(name="ada", tools=("task:shop.mail",)), full, {})


def test_a_task_has_one_description(box: Toolbox) -> None:
    assert task_tool("shop.mail", description="Mail.", toolbox=box) == "task:shop.mail"
    task_tool("shop.mail", description="Mail.", toolbox=box)
    with pytest.raises(BadTool, match="registered as a tool already"):
        task_tool("shop.mail", description="Post.", toolbox=box)
    with pytest.raises(BadTool):
        task_tool("", toolbox=box)
