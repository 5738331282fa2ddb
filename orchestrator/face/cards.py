"""What a task's goal needs of an agent: its card, those of the agents among its tools, and the modules of its tools."""

from __future__ import annotations

from typing import Final, Protocol

from orchestrator.agents.agent import AGENTS
from orchestrator.agents.tools.toolbox import TOOLS
from orchestrator.domain.agent import AgentCard

AGENT_TOOL: Final = "agent:"
"""How a tool is named that is another agent."""


class AnAgent(Protocol):
    """What this face needs of an `orchestrator.Agent`."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def card(self) -> AgentCard:
        """It as plain data."""
        ...


def cards_of(agent: AnAgent) -> list[AgentCard]:
    """The agent's card, then those of the agents that it and they may ask, each once, as far as they are known here."""
    found = {agent.name: agent.card()}
    left = [found[agent.name]]
    while left:
        for name in _asked(left.pop()):
            known = AGENTS.find(name)
            if name not in found and known is not None:
                found[name] = known.card()
                left.append(found[name])
    return list(found.values())


def modules_of(agent: AnAgent) -> list[str]:
    """The modules that define the tools and callbacks of the agent and of those that it may ask: workers must import them."""
    cards = cards_of(agent)
    tools = [TOOLS.functions[name].function for card in cards for name in card.tools if name in TOOLS.functions]
    known = [one for card in cards if (one := AGENTS.find(card.name)) is not None]
    callbacks = [callback for one in known for callback in one.callbacks.values()]
    return list(dict.fromkeys(function.__module__ for function in (*tools, *callbacks)))


def queues_of(agent: AnAgent) -> list[str]:
    """The queues of the agent, of those that it may ask, and of their tools, where they are not on the default one."""
    cards = cards_of(agent)
    own = [card.queue for card in cards]
    tools = [TOOLS.functions[name].card.queue for card in cards for name in card.tools if name in TOOLS.functions]
    return list(dict.fromkeys(queue for queue in (*own, *tools) if queue))


def _asked(card: AgentCard) -> list[str]:
    return [name.removeprefix(AGENT_TOOL) for name in card.tools if name.startswith(AGENT_TOOL)]
