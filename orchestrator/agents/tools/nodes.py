"""Nodes of kind `tool`: one call of a registered function, by an agent or by the plan itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator.agents.conversation.hostile import clean
from orchestrator.agents.tools.rows import as_result, error_text, new_secret, result_of, tool_row
from orchestrator.agents.tools.toolbox import BadArguments, RegisteredTool, Toolbox, ToolContext, UnknownTool
from orchestrator.domain.errors import NodeTimeout, OutputNotSerialisable
from orchestrator.engine.context import running
from orchestrator.engine.ends import Done, End, Failed, Parked, failed_by
from orchestrator.engine.payload import to_json
from orchestrator.engine.upstream import Upstream
from orchestrator.store.records import Claimed

__all__ = ["ToolRunner", "as_result", "error_text", "new_secret", "result_of", "tool_row"]

APPROVED: Final = "approved:"
"""What a call resumes from that a person approved."""


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """Runs tool calls, for this process. Safe to share between threads."""

    toolbox: Toolbox

    def run(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Carry out a call: after a yes where one is needed; a deferred one then waits for its completion.

        Every attempt of a call with `approval` needs a yes of its own: one that was lost may have done its work. Raises
        NodeTimeout and BadReference.
        """
        try:
            tool = self.toolbox.get(spec["call"])
        except UnknownTool as error:
            return Failed("unknown function", str(error), final=True)
        secret = str(spec.get("deferred", ""))
        if tool.deferred and not secret:
            return Failed("bad input", f"the deferred tool {tool.card.name!r} can only be called by agents", final=True)
        arguments = upstream.inputs(spec)
        if (spec.get("approval") or tool.card.approval) and not claimed.resume.startswith(APPROVED):
            return _until("approval", spec if tool.deferred else {})
        end = self._called(claimed, tool, spec, arguments, secret)
        if isinstance(end, Done) and tool.deferred:
            return _until("deferred", spec)
        return end

    def limit(self, spec: Mapping[str, Any]) -> float | None:
        """The tool's own time limit, seconds; None where it has none or is not known here."""
        tool = self.toolbox.functions.get(spec.get("call", ""))
        return None if tool is None else tool.card.timeout_seconds

    def _called(
        self, claimed: Claimed, tool: RegisteredTool, spec: Mapping[str, Any], arguments: Mapping[str, Any], secret: str
    ) -> Done | Failed:
        lease = claimed.lease
        key = f"{lease.goal}:{lease.node}"
        context = ToolContext(
            goal=lease.goal,
            node=lease.node,
            attempt=lease.attempt,
            token=lease.token,
            idempotency_key=key,
            agent=str(spec.get("agent", "")),
            deferred_token=f"{key}:{secret}" if secret else "",
        )
        try:
            with running(lease):
                result = tool.call(arguments, context)
            return Done(None if tool.deferred else bounded(result, spec.get("result_bytes") or tool.card.result_bytes))
        except NodeTimeout:
            raise
        except BadArguments as error:
            return Failed("bad input", f"BadArguments: {error}", final=True)
        except OutputNotSerialisable as error:
            return Failed("output", str(error), final=True)
        except Exception as error:
            return replace(failed_by(error, "tool"), retries=tool.card.retries)


def bounded(result: Any, most_bytes: int | None) -> Any:
    """The result if its JSON has at most so many bytes, else the beginning as text. Raises OutputNotSerialisable."""
    result = clean(result) if isinstance(result, str) else result
    text = result if isinstance(result, str) else to_json(result)
    if most_bytes is None or len(text) <= most_bytes // 4 or len(text.encode()) <= most_bytes:
        return result
    return as_result(text, most_bytes)


def _until(reason: str, spec: Mapping[str, Any]) -> Parked:
    limit = spec.get("timeout_seconds")
    late = Failed("timeout", f"no answer within {limit:g} s", final=True) if limit else None
    return Parked(reason, "failed", limit, failure=late)
