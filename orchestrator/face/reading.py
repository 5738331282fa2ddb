"""A task as it is stored: its status follows from it, and its data in nFactorial's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.agents.conversation.transcript import Entry, of_text, turns, waiting
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.dag import NodeKind
from orchestrator.domain.errors import GoalNotFound
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.face.errors import NoSuchCall
from orchestrator.face.messages import messages_of
from orchestrator.face.status import Standing, Step, status_of
from orchestrator.face.task import NODE, asked_of, batch_of_task
from orchestrator.wiring import Chordal


class TaskRead:
    """What is stored of a task, at one moment."""

    def __init__(self, chordal: Chordal, task_id: str, record: Mapping[str, str]) -> None:
        store = chordal.store
        self.id = task_id
        self.record = record
        self.spec: dict[str, Any] = json.loads(store.goals.spec(task_id, NODE))
        self.node = store.nodes.states(task_id, [NODE])[0]
        if "agent" not in self.spec or not self.node:
            raise GoalNotFound(f"goal {task_id!r} is no task: it has no agent's node {NODE!r}")
        said = store.agents.said(task_id, NODE, self.spec["agent"])
        self.entries: tuple[Entry, ...] = tuple(of_text(text) for text in said.entries)
        self.card = AgentCard.model_validate_json(said.card) if said.card else AgentCard(name=self.spec["agent"])
        self.attempt = int(self.node.get("attempt", 0))
        self._chordal = chordal
        self._parked = store.goals.part(task_id, "parked")
        self.status = status_of(self._standing())

    @classmethod
    def of(cls, chordal: Chordal, task_id: str) -> TaskRead:
        """Raises GoalNotFound."""
        with chordal.reachable():
            return cls(chordal, task_id, chordal.store.goals.record(task_id))

    @property
    def output(self) -> Any:
        """The final output; None before it is there."""
        if self.node["state"] != NodeState.DONE:
            return None
        whole = self._chordal.output(self.id, NODE)
        return whole.get("output") if isinstance(whole, dict) else whole

    def as_data(self) -> dict[str, Any]:
        """In nFactorial's shape, with the owner and the turn at the top besides."""
        payload = asked_of(self.spec.get("inputs") or {})
        payload["messages"] = [*payload["messages"], *messages_of(self.entries)]
        payload |= {"turn": turns(self.entries), "output": self.output, "attempt": self.attempt}
        batch = batch_of_task(self.id)
        return {
            "id": self.id,
            "owner_id": self.record.get("owner", "default"),
            "status": self.status.value,
            "agent": self.spec["agent"],
            "payload": payload,
            "turn": payload["turn"],
            "pickups": self.attempt,
            "retries": max(0, self.attempt - 1),
            "error": self._error(),
            "metadata": {
                "owner_id": self.record.get("owner", "default"),
                "parent_id": None,
                "batch_id": batch,
                "created_at": int(self.record["created"]) / 1000,
                "max_turns": self.card.limits.max_turns,
            },
        }

    def token_of(self, tool_call_id: str) -> str:
        """The token of a deferred tool call, by the model's id of it. Raises NoSuchCall."""
        calls = [call for entry in reversed(self.entries) for call in getattr(entry, "calls", ()) if call.node]
        for call in calls:
            if call.id == tool_call_id:
                secret = json.loads(self._chordal.store.goals.spec(self.id, call.node)).get("deferred", "")
                if secret:
                    return f"{self.id}:{call.node}:{secret}"
        raise NoSuchCall(f"task {self.id!r} has no deferred tool call {tool_call_id!r}")

    def _standing(self) -> Standing:
        return Standing(
            goal=GoalState(self.record["state"]),
            node=NodeState(self.node["state"]),
            parked=self._reason(NODE),
            turns=turns(self.entries),
            cancelling="cancelling" in self.record,
            steps=self._steps(),
        )

    def _steps(self) -> tuple[Step, ...]:
        asked = waiting(self.entries)
        names = [call.node for call in asked.calls if call.node] if asked else []
        store = self._chordal.store
        return tuple(
            Step(_kind(store.goals.spec(self.id, name)), NodeState(record["state"]), self._reason(name))
            for name, record in zip(names, store.nodes.states(self.id, names) if names else [], strict=True)
            if record
        )

    def _reason(self, node: str) -> str:
        return str(json.loads(self._parked[node])["reason"]) if node in self._parked else ""

    def _error(self) -> str | None:
        dead = self._chordal.store.goals.part(self.id, "dead").get(NODE)
        return str(json.loads(dead).get("error")) if dead else None


def _kind(spec: str) -> NodeKind | None:
    kind = json.loads(spec).get("kind")
    return NodeKind(kind) if kind else None
