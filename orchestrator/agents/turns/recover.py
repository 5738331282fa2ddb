"""A node whose agent gave up gets help before it fails: another agent decides what to do, as a node that it waits for.

Asked for by the node's metadata, `recovery: "true"`. The failure and the help are entries of the node's transcript, so
the agent goes on knowing both, and so a crash finds where it stood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator.agents.conversation.transcript import Entry, Told, as_text
from orchestrator.agents.names import child_name
from orchestrator.agents.plan.recovery import Action, RecoveryDecision, decide, read_decision
from orchestrator.agents.turns.standing import Standing, Standings
from orchestrator.domain.lease import Lease
from orchestrator.engine.encode import score
from orchestrator.engine.ends import End, Failed, Parked, Turn
from orchestrator.engine.payload import to_json
from orchestrator.gate.asked import Asked
from orchestrator.store.records import NodeRow

ASKED_FOR: Final = "recovery"
"""The key of a node's metadata."""
_RECOVERY: Final = re.compile(r"\.r\d+\.0$")
Ends = Callable[[str, list[str]], Mapping[str, tuple[str, Any, str]]]


@dataclass(frozen=True, slots=True)
class Recovering:
    """Begins recoveries and reads how they ended."""

    standings: Standings
    ends: Ends
    """How nodes of a goal stand: state, output, failure."""

    def or_fail(
        self, lease: Lease, spec: Mapping[str, Any], standing: Standing, failure: Failed, asked: Asked
    ) -> End:  # fmt: skip
        """Ask another agent for help, where the plan says so and somebody may; else the node fails.

        What was said stays. Set running again, the agent goes on with all its turns before it.
        """
        helped = _helped(standing.entries)
        wanted = spec.get("metadata", {}).get(ASKED_FOR) == "true"
        plan = None
        if wanted:
            task = str((spec.get("inputs") or {}).get("task") or spec.get("title") or "")
            plan = decide(standing.card, self.standings.cards(lease.goal), failure.error, helped, task)
        if plan is None:
            over = Told(why="retry", text=f"The node failed before: {failure.error}")
            return replace(failure, final=True, turn=Turn((as_text(over),)))
        child = child_name(lease.node, f"r{helped + 1}.0")
        told = Told(why="recovery", text=f"You could not go on: {failure.error}", node=child)
        helper = self.standings.cards(lease.goal).get(plan.agent)
        queue = helper.queue if helper else None
        row = self._row(lease, standing, child, plan.agent, plan.task, spec, queue, judge="recovery")
        return _parked(asked, told, (row,))

    def decided(
        self, lease: Lease, spec: Mapping[str, Any], standing: Standing, turn: Turn
    ) -> tuple[Standing, Turn] | End:  # fmt: skip
        """Where a recovery has ended, what follows from it: the agent goes on, its task is split, or it fails."""
        last = standing.entries[-1] if standing.entries else None
        if not isinstance(last, Told) or last.why != "recovery" or not last.node:
            return standing, turn
        names = last.node.split()
        found = self.ends(lease.goal, names)
        if len(names) > 1 or names[0].rpartition(".")[0].rpartition(".")[2].startswith("s"):
            return self._go_on(standing, turn, _parts(found))
        state, output, why = found[names[0]]
        decision = read_decision(output) if state == "DONE" else None
        if decision is None:
            return self._failed(f"the recovery by {names[0]} is {state}: {why or 'its answer cannot be used'}")
        if decision.action is Action.FAIL:
            return self._failed(f"the recovery by {names[0]} gave it up: {decision.advice}")
        if decision.action is Action.SPLIT and decision.steps:
            return self._split(lease, spec, standing, decision)
        return self._go_on(standing, turn, decision.advice)

    def _go_on(self, standing: Standing, turn: Turn, advice: str) -> tuple[Standing, Turn]:
        told = Told(why="retry", text=f"Help came; go on with it: {advice}")
        return standing.with_entries(told), replace(turn, entries=(*turn.entries, as_text(told)))

    def _failed(self, reason: str) -> End:
        over = Told(why="retry", text=f"The node failed before: {reason}")
        return Failed("agent", reason, final=True, turn=Turn((as_text(over),)))

    def _split(
        self, lease: Lease, spec: Mapping[str, Any], standing: Standing, decision: RecoveryDecision
    ) -> End:  # fmt: skip
        """The parts of the task, each a node of the same agent; their outputs come back to this one."""
        count = _helped(standing.entries)
        names = [child_name(lease.node, f"s{count}.{index}") for index in range(len(decision.steps))]
        told = Told(why="recovery", text="The task was split into parts.", node=" ".join(names))
        queue = spec.get("queue") or standing.card.queue
        rows = tuple(
            self._row(lease, standing, name, standing.card.name, step, spec, queue)
            for name, step in zip(names, decision.steps, strict=True)
        )
        return _parked(Asked(), told, rows)

    def _row(
        self, lease: Lease, standing: Standing, name: str, agent: str, task: str, spec: Mapping[str, Any],
        queue: str | None, judge: str = "",
    ) -> NodeRow:  # fmt: skip
        inputs = {"task": task, **({"judge": judge} if judge else {})}
        fields = {
            "kind": "agent", "agent": agent, "title": task[:200], "inputs": inputs, "_literal": True,
            "_depth": standing.depth + 1,
        }  # fmt: skip
        return NodeRow(
            id=name, spec=to_json(fields), parents="", edges=f"{lease.node}:i", need=0, open=None,
            score=score(2, spec.get("priority", 0)), queue="" if queue in (None, "default") else str(queue), lane="", lease_ms=None,
        )  # fmt: skip


def _parked(asked: Asked, told: Told, rows: tuple[NodeRow, ...]) -> End:
    return Parked("children", "ready", resume=asked.following().as_text(), turn=Turn((as_text(told),), tools=rows))


def _helped(entries: tuple[Entry, ...]) -> int:
    """Recoveries that were asked for."""
    told = (entry.node for entry in entries if isinstance(entry, Told) and entry.why == "recovery")
    return sum(_RECOVERY.search(node) is not None for node in told)


def _parts(found: Mapping[str, tuple[str, Any, str]]) -> str:
    lines = []
    for index, (state, output, why) in enumerate(found.values(), 1):
        text = output.get("text", "") if isinstance(output, Mapping) else str(output)
        lines.append(f"Part {index}: {text if state == 'DONE' else f'{state}: {why}'}")
    return "\n".join(lines)
