"""Who is there: agents of goals and of imported modules, with their nodes and the workers that serve them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.agent import AgentCard
from orchestrator.domain.dag import NodeKind
from orchestrator.domain.states import NodeState
from orchestrator.store.store import Store

WAITING: Final = frozenset({NodeState.BLOCKED, NodeState.READY, NodeState.WAITING})


@dataclass(slots=True)
class Presence:
    """An agent, over the goals that were looked at."""

    name: str
    role: str
    model: str | None
    queue: str
    workers: int
    """Live workers that serve its queue."""
    goals: list[str] = field(default_factory=list)
    """Goals with nodes of it, or that bring it along."""
    running: int = 0
    """Nodes that a worker holds right now."""
    waiting: int = 0
    """Nodes that wait: for their turn, a model, tools, an answer."""
    ended: int = 0
    """Nodes that have ended."""

    def as_json(self) -> dict[str, Any]:
        """As `chordal agents --json` prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


class Roster:
    """Gathers them."""

    def __init__(self, store: Store, stale_seconds: float, default_queue: str) -> None:
        """`stale_seconds`: a worker that was silent so long does not count."""
        self._store = store
        self._default = default_queue
        now, limit = store.fleet.clock_ms(), stale_seconds * 1000
        self._queues = [beat.worker.queues for beat in store.fleet.workers() if now - beat.at_ms <= limit]
        self._found: dict[str, Presence] = {}

    def declared(self, cards: Mapping[str, AgentCard]) -> None:
        """Agents that modules declare."""
        for card in cards.values():
            self._of(card.name, card)

    def goals(self, goals: Iterable[str]) -> None:
        """The agents of goals and their nodes; a goal that is gone has none."""
        for goal in goals:
            cards = {
                name: AgentCard.model_validate_json(text) for name, text in self._store.agents.cards(goal).items()
            }  # fmt: skip
            for name, card in cards.items():
                self._of(name, card).goals.append(goal)
            self._nodes(goal, cards)

    def found(self) -> list[Presence]:
        """All of them, by name."""
        return [self._found[name] for name in sorted(self._found)]

    def _nodes(self, goal: str, cards: Mapping[str, AgentCard]) -> None:
        specs = {
            node: spec
            for node, text in self._store.goals.part(goal, "nodes").items()
            if text != "{}" and (spec := json.loads(text)).get("kind") == NodeKind.AGENT
        }
        names = list(specs)
        for at in range(0, len(names), 1000):
            chunk = names[at : at + 1000]
            for node, record in zip(chunk, self._store.nodes.states(goal, chunk), strict=True):
                if record:
                    name = specs[node]["agent"]
                    self._count(self._of(name, cards.get(name)), goal, NodeState(record["state"]))

    def _count(self, presence: Presence, goal: str, state: NodeState) -> None:
        if goal not in presence.goals:
            presence.goals.append(goal)
        if state is NodeState.RUNNING:
            presence.running += 1
        elif state in WAITING:
            presence.waiting += 1
        else:
            presence.ended += 1

    def _of(self, name: str, card: AgentCard | None) -> Presence:
        if name not in self._found:
            queue = (card.queue if card else None) or self._default
            workers = sum(queue in queues for queues in self._queues)
            role = card.resolved_role if card else name
            self._found[name] = Presence(name, role, card.model if card else None, queue, workers)
        return self._found[name]
