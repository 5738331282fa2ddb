"""Tool calls of an inline run: functions in this thread, and callbacks in the place of people and other systems."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents.conversation.arguments import Accepted
from orchestrator.agents.tools.nodes import bounded
from orchestrator.agents.tools.toolbox import BadArguments, RegisteredTool, Toolbox, ToolContext
from orchestrator.domain.agent import AgentCard, ToolKind
from orchestrator.domain.errors import ChordalError, OutputNotSerialisable
from orchestrator.domain.lease import Lease
from orchestrator.engine.context import running

GOAL: Final = "inline"
"""What stands for the goal's id."""


class NotInline(ChordalError):
    """The agent called what needs somebody else's answer. Give `run_inline` the callback that the text names."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Who answers in the place of people and of other systems."""

    approve: Callable[[str, Mapping[str, Any]], bool] | None = None
    on_deferred: Callable[[str, Mapping[str, Any], ToolContext], Any] | None = None
    on_person: Callable[[str], str] | None = None
    on_task: Callable[[str, Mapping[str, Any]], Any] | None = None
    on_goal: Callable[[Mapping[str, Any]], Any] | None = None


@dataclass(slots=True)
class InlineTools:
    """Carries out calls, one after the other."""

    toolbox: Toolbox
    answers: Answers
    token: int = 0
    """Fencing tokens rise from call to call."""

    def carry_out(self, call: Accepted, card: AgentCard) -> tuple[str, Any, str]:
        """How the node of the call would end: state, output, failure. Raises NotInline."""
        tool, answers, name = call.tool, self.answers, call.tool.name
        match tool.kind:
            case ToolKind.PERSON:
                asked = _asked(answers.on_person, "on_person", name)
                return "DONE", asked(str(call.arguments.get("question", ""))), ""
            case ToolKind.TASK:
                return "DONE", _asked(answers.on_task, "on_task", name)(tool.call, call.arguments), ""
            case ToolKind.GOAL:
                outputs = _asked(answers.on_goal, "on_goal", name)(call.arguments["goal"])
                return "DONE", {"outputs": outputs}, ""
        if tool.approval and not _asked(answers.approve, "approve", name)(name, call.arguments):
            return "FAILED", None, "a person said no to this call"
        return self._function(call, card)

    def _function(self, call: Accepted, card: AgentCard) -> tuple[str, Any, str]:
        registered = self.toolbox.get(call.tool.call or call.tool.name)
        key, failure = f"{GOAL}:{call.called.node}", ""
        secret = f"{key}:{secrets.token_urlsafe(16)}" if registered.deferred else ""
        for attempt in range(1, call.tool.retries + 2):
            self.token += 1
            context = ToolContext(GOAL, call.called.node, attempt, self.token, key, card.name, secret)
            try:
                result = self._once(registered, call, context)
                return "DONE", bounded(result, call.tool.result_bytes or card.limits.result_bytes), ""
            except NotInline:
                raise
            except (BadArguments, OutputNotSerialisable) as error:
                return "FAILED", None, f"{type(error).__name__}: {error}"
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
        return "FAILED", None, failure

    def _once(self, registered: RegisteredTool, call: Accepted, context: ToolContext) -> Any:
        with running(Lease(GOAL, context.node, context.token, "inline", context.attempt)):
            result = registered.call(call.arguments, context)
        if not registered.deferred:
            return result
        answer = _asked(self.answers.on_deferred, "on_deferred", call.tool.name)
        return answer(call.tool.name, call.arguments, context)


def _asked(callback: Callable[..., Any] | None, option: str, tool: str) -> Callable[..., Any]:
    if callback is None:
        raise NotInline(f"the tool {tool!r} needs an answer from outside: give run_inline {option}=")
    return callback
