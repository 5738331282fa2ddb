"""An agent's whole loop in one thread, without Redis: the same decisions as the durable turns, for unit tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from orchestrator.agents.agent import Agent, AgentEvent, Agents, Moment
from orchestrator.agents.conversation.decide import (
    Accepted,
    AskAgain,
    CallTools,
    Finished,
    GivenUp,
    after,
    opening,
    outcome,
    request,
    results_of,
)
from orchestrator.agents.conversation.transcript import Entry, Result, turns
from orchestrator.agents.inline.tools import GOAL, Answers, InlineTools, NotInline
from orchestrator.agents.inline.unlimited import Unlimited
from orchestrator.agents.names import child_name
from orchestrator.agents.tools.nodes import result_of
from orchestrator.agents.tools.toolbox import ToolContext, kit_of
from orchestrator.domain.agent import AgentCard, ToolKind
from orchestrator.domain.errors import ChordalError
from orchestrator.llm.calls import Provider, never
from orchestrator.llm.client import Client
from orchestrator.llm.failures import LlmCancelled
from orchestrator.llm.profile_file import load_profiles, read_profiles
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.providers import Providers
from orchestrator.llm.tokens import count_text, encoding_of
from orchestrator.settings import Settings

__all__ = ["AgentGaveUp", "InlineOutput", "NotInline", "OutputRefused", "run_inline"]

MODEL: Final = "inline"


class AgentGaveUp(ChordalError):
    """The model gave no answer that could be used; `entries` is what was said. Look at the faults and the instructions."""

    def __init__(self, message: str, entries: tuple[Entry, ...] = ()) -> None:
        super().__init__(message)
        self.entries = entries


class OutputRefused(ChordalError):
    """A validator in Python refuses what follows the schema. Durable runs judge by the schema alone and would have stored it."""

    def __init__(self, message: str, output: InlineOutput) -> None:
        super().__init__(message)
        self.output = output


class InlineOutput(dict[str, Any]):
    """The node's output, as a durable run stores it: text, output, turns, usage, micro_usd."""

    entries: tuple[Entry, ...] = ()
    """What was said, in order."""
    parsed: BaseModel | None = None
    """The output as the agent's `output_type`."""


def run_inline(
    agent: Agent,
    task: Any,
    *,
    provider: Provider | None = None,
    profiles: Profiles | None = None,
    inputs: Mapping[str, Any] | None = None,
    upstream: Mapping[str, Any] | None = None,
    approve: Callable[[str, Mapping[str, Any]], bool] | None = None,
    on_deferred: Callable[[str, Mapping[str, Any], ToolContext], Any] | None = None,
    on_person: Callable[[str], str] | None = None,
    on_task: Callable[[str, Mapping[str, Any]], Any] | None = None,
    on_goal: Callable[[Mapping[str, Any]], Any] | None = None,
    cancelled: Callable[[], bool] = never,
    sleep: Callable[[float], None] = time.sleep,
) -> InlineOutput:
    """Do a task in this thread, tools and sub-agents too, one after the other.

    `provider` is usually `orchestrator.llm.scripted.Scripted`; without it the profiles' accounts are called, by default
    those of the environment, without any limiter. `approve(tool, arguments)` answers for tools that need approval,
    `on_deferred(tool, arguments, context)` gives a deferred tool's result, `on_person(question)` a person's answer,
    `on_task(name, arguments)` a Celery task's result, `on_goal(document)` a sub-goal's outputs. Time limits of tools do not
    count here. A final output is judged by its schema, as in durable runs; what the `output_type` refuses then raises
    OutputRefused. Raises AgentGaveUp, NotInline, UnknownTool, and what the client of models raises.
    """
    cards = {
        **agent.registry.cards(),
        **{name: one.card() for name, one in agent.agents.items()},
        agent.name: agent.card(),
    }
    known = profiles or (load_profiles(Settings().llm_file, os.environ) if provider is None else _bare(cards))
    client = Client(Unlimited(), known, provider or Providers(known, os.environ), sleep=sleep)
    tools = InlineTools(agent.toolbox, Answers(approve, on_deferred, on_person, on_task, on_goal))
    run = _Inline(client, known, tools, cards, agent.registry, cancelled)
    entries: list[Entry] = []
    output = InlineOutput(
        run.node(agent.card(), agent.name, {"task": task, **(inputs or {})}, upstream or {}, 0, entries)
    )
    output.entries = tuple(entries)
    if agent.output_type is not None:
        output.parsed = _parsed(agent.output_type, output)
    return output


def _bare(cards: Mapping[str, AgentCard]) -> Profiles:
    """Profiles with every model that an agent names, none of which is anywhere: the provider is given."""
    names = {card.model for card in cards.values() if card.model} | {MODEL}
    return read_profiles(
        {
            "accounts": {"inline": {"kind": "self-hosted", "base_url": "http://127.0.0.1:9/v1"}},
            "models": {name: {"account": "inline"} for name in sorted(names)},
            "chains": {"default": [MODEL]} if "default" not in names else {},
            "retry": {"backoff_seconds": 0.0},
        }
    )


@dataclass(slots=True)
class _Inline:
    client: Client
    profiles: Profiles
    tools: InlineTools
    cards: Mapping[str, AgentCard]
    registry: Agents
    cancelled: Callable[[], bool]

    def node(
        self,
        card: AgentCard,
        node: str,
        inputs: Mapping[str, Any],
        upstream: Mapping[str, Any],
        depth: int,
        entries: list[Entry],
    ) -> dict[str, Any]:
        """One node of an agent, to its output; `entries` grows as it goes on."""
        self.tell("on_start", card, node, entries)
        try:
            output = self._turns(card, node, inputs, upstream, depth, entries)
        except LlmCancelled:
            self.tell("on_cancelled", card, node, entries)
            raise
        except Exception as error:
            self.tell("on_failed", card, node, entries, error=f"{type(error).__name__}: {error}")
            raise
        self.tell("on_done", card, node, entries, output=output)
        return output

    def tell(self, moment: Moment, card: AgentCard, node: str, entries: list[Entry], **more: Any) -> None:
        """Call the agent's callback."""
        self.registry.tell(AgentEvent(moment, card.name, GOAL, node, turns(entries), **more))

    def _turns(
        self,
        card: AgentCard,
        node: str,
        inputs: Mapping[str, Any],
        upstream: Mapping[str, Any],
        depth: int,
        entries: list[Entry],
    ) -> dict[str, Any]:
        kit = kit_of(card, self.tools.toolbox, self.cards)
        start = opening(
            card, title="", goal_title="", goal_instructions="", inputs=inputs, upstream=upstream, artifacts=(), memory=()
        )  # fmt: skip
        spawned = 0
        while True:
            asked, _ = request(card, kit, start, entries, **self._room(card))
            reply = self.client.complete(
                asked.model_copy(update={"goal": GOAL, "share": False}), cancelled=self.cancelled
            )  # fmt: skip
            names = _names(node, turns(entries) + 1)
            step = after(card, kit, entries, reply, name_of=names, spawned=spawned, depth=depth)
            match step:
                case Finished():
                    entries.append(step.answered)
                    self.tell("on_turn", card, node, entries)
                    return outcome(card, kit, entries)
                case CallTools():
                    entries.append(step.answered)
                    self.tell("on_turn", card, node, entries)
                    spawned += sum(one.tool.kind in (ToolKind.AGENT, ToolKind.GOAL) for one in step.calls)
                    given = {one.called.id: self._call(one, card, depth) for one in step.calls}
                    entries.append(results_of(step.answered, given))
                case AskAgain():
                    entries += step.entries
                    self.tell("on_turn", card, node, entries)
                case GivenUp():
                    entries += step.entries
                    raise AgentGaveUp(f"the agent {card.name!r} gave up: {step.reason}", tuple(entries))

    def _room(self, card: AgentCard) -> dict[str, Any]:
        name = card.model or self.profiles.default()
        key = self.profiles.chain(name)[0]
        model, _ = self.profiles.model_and_account(key)
        encoding = encoding_of(model, key)
        reserve = card.limits.max_output_tokens or min(model.max_output_tokens, model.context_tokens // 4)
        return {
            "model": name,
            "room_tokens": model.context_tokens - reserve,
            "count": lambda text: count_text(text, encoding),
        }

    def _call(self, call: Accepted, card: AgentCard, depth: int) -> Result:
        if call.tool.kind is ToolKind.AGENT:
            state, output, failure = self._agent(call, depth)
        else:
            state, output, failure = self.tools.carry_out(call, card)
        return result_of(call.called, call.tool, card.limits, state, output, failure)

    def _agent(self, call: Accepted, depth: int) -> tuple[str, Any, str]:
        other = self.cards[call.tool.call]
        try:
            output = self.node(other, call.called.node, call.arguments, {}, depth + 1, [])
        except AgentGaveUp as error:
            return "FAILED", None, str(error)
        return "DONE", output, ""


def _names(node: str, turn: int) -> Callable[[int], str]:
    return lambda index: child_name(node, f"t{turn}.{index}")


def _parsed(output_type: type[BaseModel], output: InlineOutput) -> BaseModel:
    try:
        return output_type.model_validate(output["output"])
    except ValidationError as error:
        listed = error.errors(include_url=False, include_context=False, include_input=False)
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the answer'}: {one['msg']}" for one in listed)
        raise OutputRefused(
            f"{output_type.__name__} refuses an output that follows its schema: {faults}. A durable run would have stored it: "
            "say it in the schema, or deal with it where the output is read",
            output,
        ) from None
