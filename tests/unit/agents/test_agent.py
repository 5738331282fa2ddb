"""Agents declared in Python."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator.agents.agent import Agent, AgentEvent, Agents, BadAgent
from orchestrator.agents.tools.toolbox import Toolbox, tool
from orchestrator.domain.agent import AgentCard, AgentLimits
from orchestrator.domain.validate import read_goal


class Report(BaseModel):
    title: str
    pages: int = 1


def plain(word: str) -> str:
    """Say it."""
    return word


@pytest.fixture
def agents() -> Agents:
    return Agents()


@pytest.fixture
def declare(agents: Agents) -> Any:
    box = Toolbox()

    def made(name: str = "ada", instructions: str = "Be exact.", **options: Any) -> Agent:
        given: dict[str, Any] = {"toolbox": box, "registry": agents, **options}
        return Agent(name, instructions, **given)

    return made


def test_an_agent_is_a_card_that_is_found_by_its_name(declare: Any, agents: Agents) -> None:
    writer = declare("bob", role="writer")
    box = Toolbox()
    tool(toolbox=box, name="say")(plain)
    ada = declare(
        tools=[plain, writer, "ask_person"], output_type=Report, limits={"max_turns": 4}, model="m", queue="q", memory=3,
        toolbox=box,
    )  # fmt: skip
    assert ada.card() == AgentCard(
        name="ada", instructions="Be exact.", model="m", tools=("say", "agent:bob", "ask_person"), queue="q", memory=3,
        limits=AgentLimits(max_turns=4), output_schema=ada.card().output_schema,
    )  # fmt: skip
    found: Agent | None = agents.find("ada")
    assert found is not None
    assert found is ada
    assert agents.find("eve") is None
    assert agents.cards() == {"bob": writer.card(), "ada": ada.card()}
    assert repr(ada) == "Agent('ada')"


def test_the_output_type_is_asked_for_as_providers_take_it(declare: Any) -> None:
    schema = declare(output_type=Report).card().output_schema
    assert schema["required"] == ["title", "pages"]
    assert schema["additionalProperties"] is False


def test_a_function_that_nobody_registered_is_registered(declare: Any) -> None:
    ada = declare(tools=[plain])
    assert ada.card().tools == ("plain",)
    assert ada.toolbox.get("plain").function is plain


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"name": "no spaces"}, "name: String should match"),
        ({"name": ""}, "name:"),
        ({"limits": {"max_turns": 0, "spwan": 1}}, r"limits.max_turns: .*; limits.spwan: "),
        ({"memory": -1}, "memory"),
        ({"queue": "a b"}, "queue"),
        ({"output_type": dict}, "must be a pydantic model"),
        ({"tools": [3]}, "not int"),
        ({"instructions": "x" * 100_001}, "instructions"),
    ],
)
def test_every_fault_of_a_declaration_is_named(declare: Any, agents: Agents, options: Any, fault: str) -> None:
    with pytest.raises(BadAgent, match=fault):
        declare(**options)
    assert agents.cards() == {}


def test_two_agents_cannot_have_one_name(declare: Any, agents: Agents) -> None:
    declare()
    again = declare()
    assert agents.find("ada") is again
    with pytest.raises(BadAgent, match="another agent is called 'ada'"):
        declare(instructions="Be quick.")


def test_its_nodes_are_sound_parts_of_a_goal(declare: Any) -> None:
    ada = declare(queue="pens")
    node = ada.node("write", "Write it.", inputs={"size": 3}, priority=5)
    assert node == {
        "id": "write", "kind": "agent", "agent": "ada", "inputs": {"task": "Write it.", "size": 3}, "queue": "pens",
        "priority": 5,
    }  # fmt: skip
    after = ada.node("mend", {"from": "write", "path": "text"}, queue="other")
    edges = [{"source": "write", "target": "mend"}]
    goal = read_goal({"nodes": [node, after], "edges": edges, "agents": [ada.card().model_dump()]})
    assert goal.nodes[1].queue == "other"
    assert goal.agents == (ada.card(),)


def test_callbacks_are_called_by_name(declare: Any, agents: Agents) -> None:
    told: list[AgentEvent] = []
    declare(on_turn=told.append)
    event = AgentEvent("on_turn", "ada", "g", "n", turn=2)
    agents.tell(event)
    agents.tell(AgentEvent("on_done", "ada", "g", "n"))
    agents.tell(AgentEvent("on_turn", "eve", "g", "n"))
    assert told == [event]
