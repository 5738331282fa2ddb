"""One turn of an agent: what it asks its model, and what follows from the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.agents.conversation.decide import (
    CallTools,
    Finished,
    GivenUp,
    Trimmed,
    after,
    outcome,
)
from orchestrator.agents.conversation.transcript import Answered, Entry
from orchestrator.agents.names import child_name
from orchestrator.agents.tools.nodes import tool_row
from orchestrator.agents.turns.keeping import Keeping
from orchestrator.agents.turns.standing import Standing
from orchestrator.domain.agent import ToolKind
from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import Done, End, Failed, Parked, Turn
from orchestrator.gate.asked import Asked
from orchestrator.gate.talk import Asker
from orchestrator.llm.messages import Reply, Request

_OTHERS = (ToolKind.AGENT, ToolKind.GOAL)


@dataclass(frozen=True, slots=True)
class Desk:
    """What a turn needs of the process that takes it."""

    call_again: Callable[[Lease, Mapping[str, Any], Standing, Asked], End]
    """Into the line for the next turn."""
    gave_up: Callable[[Lease, Mapping[str, Any], Standing, str, Asked], End]
    """No further turn can help: recovery, or the end of the node."""
    done: Callable[[str, Lease, Mapping[str, Any], Standing, dict[str, Any]], None]
    """The node of this owner is done, with this output."""
    turned: Callable[[Lease, Standing, int], None]
    """A turn is committed, and the node goes on."""
    keeping: Keeping
    head: Callable[[], dict[str, Any]]
    """What a sub-goal's document takes over from this goal: its agents, and a part of its budget."""


@dataclass(frozen=True, slots=True)
class AgentTalk:
    """A turn. `standing` has taken in the waiting messages, `taken` of them."""

    lease: Lease
    spec: Mapping[str, Any]
    standing: Standing
    taken: int
    asker: Asker
    request: Request
    trimmed: Trimmed | None
    desk: Desk

    @property
    def attempt_seconds(self) -> float | None:
        """The turn's time limit."""
        return self.standing.card.limits.turn_timeout_seconds

    def answered(self, reply: Reply, waited_seconds: float, asked: Asked) -> End:
        """What the node does with the answer; it is committed together with the turn."""
        standing, following = self.standing, asked.following()
        step = after(
            standing.card,
            standing.kit,
            standing.entries,
            reply,
            name_of=self._name_of(standing),
            spawned=standing.spawned(),
            depth=standing.depth,
            judge=standing.judge,
        )
        if isinstance(step, CallTools):
            starts = any(one.tool.kind is ToolKind.GOAL for one in step.calls)
            head = {"owner": self.request.owner, **self.desk.head()} if starts else {}
            rows = tuple(
                tool_row(
                    one, card=standing.card, parent=self.lease.node, depth=standing.depth,
                    priority=self.spec.get("priority", 0), queue=self.spec.get("queue"),
                    head=head,
                )
                for one in step.calls
            )  # fmt: skip
            turn = replace(self._turn(waited_seconds, step.answered), tools=rows)
            reason = "children" if any(one.tool.kind in _OTHERS for one in step.calls) else "tools"
            return self._told(Parked(reason, "ready", resume=following.as_text(), turn=turn), step.answered)
        if isinstance(step, Finished):
            turn = replace(self._turn(waited_seconds, step.answered), again=following.as_text())
            output = outcome(standing.card, standing.kit, (*standing.entries, step.answered))
            about = {"agent": {"name": standing.card.name, "turns": output["turns"], **output["usage"]}}
            return Done(
                output, about, turn, lambda: self.desk.done(self.request.owner, self.lease, self.spec, standing, output)
            )  # fmt: skip
        said: tuple[Entry, ...] = step.entries
        turn = self._turn(waited_seconds, *said)
        now = standing.with_entries(*said)
        if isinstance(step, GivenUp):
            return with_turn(self.desk.gave_up(self.lease, self.spec, now, step.reason, following), turn)
        again = self.desk.call_again(self.lease, self.spec, now, following)
        return self._told(with_turn(again, turn), said[0])

    def _told(self, end: End, answered: Entry) -> End:
        """An end after which those who listen are told of the turn."""
        if not isinstance(end, Parked) or not isinstance(answered, Answered):
            return end
        before = end.after

        def after() -> None:
            if before is not None:
                before()
            self.desk.turned(self.lease, self.standing, answered.turn)

        return replace(end, after=after)

    def _name_of(self, standing: Standing) -> Callable[[int], str]:
        turn = sum(isinstance(entry, Answered) for entry in standing.entries) + 1
        return lambda index: child_name(self.lease.node, f"t{turn}.{index}")

    def _turn(self, waited_seconds: float, *said: Entry) -> Turn:
        """The record of the turn: messages that it took in, then what was said."""
        standing = self.standing
        steered = standing.entries[len(standing.entries) - self.taken :] if self.taken else ()
        event = _event(said, waited_seconds, self.trimmed)
        keep = self.desk.keeping.text
        return Turn(tuple(keep(self.lease, entry) for entry in (*steered, *said)), self.taken, event)


def with_turn(end: End, before: Turn) -> End:
    """An end with what the step left behind before it came to this end."""
    if not isinstance(end, Done | Failed | Parked):
        return end
    own = end.turn or Turn()
    return replace(
        end,
        turn=Turn(
            before.entries + own.entries,
            before.steered + own.steered,
            before.event or own.event,
            before.kit or own.kit,
            before.cards + own.cards,
            before.tools + own.tools,
        ),
    )


def _event(said: tuple[Entry, ...], waited_seconds: float, trimmed: Trimmed | None) -> dict[str, Any]:
    answered = next(entry for entry in said if isinstance(entry, Answered))
    event: dict[str, Any] = {
        "turn": answered.turn,
        "model": answered.model,
        "input_tokens": answered.input_tokens,
        "output_tokens": answered.output_tokens,
        "micro_usd": answered.micro_usd,
        "waited_seconds": round(waited_seconds, 3),
        "calls": {call.node: call.name for call in answered.calls if call.node},
    }
    if refused := sum(not call.node for call in answered.calls):
        event["refused"] = refused
    if answered.final:
        event["final"] = True
    if trimmed is not None:
        event["trimmed"] = {
            "results": trimmed.results, "entries": trimmed.entries,
            "before_tokens": trimmed.before_tokens, "after_tokens": trimmed.after_tokens,
        }  # fmt: skip
    return event
