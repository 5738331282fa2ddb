"""What a plan meets in its goal: the nodes that are there, which of them can still be waited for, and which can go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents.plan.proposal import Scene
from orchestrator.agents.plan.workflow import INTEGRATE
from orchestrator.domain import graph
from orchestrator.domain.agent import AgentCard
from orchestrator.store.store import Store

ALIVE: Final = frozenset({"BLOCKED", "READY", "RUNNING", "WAITING", "DONE"})
PLANNERS: Final = frozenset({"planner", "orchestrator"})
"""Roles of agents that plan; no plan gives them work."""
UNSTARTED: Final = frozenset({"BLOCKED", "READY"})


@dataclass(frozen=True, slots=True)
class Stored:
    """A goal's plan as it stands, without items of maps and calls of tools."""

    names: tuple[str, ...]
    """Every id, of items and calls too."""
    specs: Mapping[str, dict[str, Any]]
    """Of the plan's own nodes."""
    records: Mapping[str, Mapping[str, str]]
    pairs: tuple[tuple[str, str], ...]
    """Edges of the plan."""

    def state(self, name: str) -> str:
        """A node's state; '' where there is none."""
        return self.records.get(name, {}).get("state", "")

    def unstarted(self, name: str) -> bool:
        """Whether nobody has begun it."""
        return self.state(name) in UNSTARTED and "attempt" not in self.records[name]

    def behind(self, name: str) -> set[str]:
        """A node and what comes after it."""
        known = {name, *(end for pair in self.pairs for end in pair)}
        return graph.descendants(graph.successors(known, self.pairs), name) | {name}


def read_stored(store: Store, goal: str) -> Stored:
    """The goal's plan as it stands now; a concurrent change may be half seen, and then a patch is refused."""
    edges = store.goals.part(goal, "edges")
    raw = store.goals.part(goal, "nodes")
    inner = {source for source, text in edges.items() if any(part.endswith(":i") for part in text.split())}
    own = [name for name in raw if name not in inner]
    records: dict[str, Mapping[str, str]] = {}
    for at in range(0, len(own), 1000):
        page = own[at : at + 1000]
        records.update(zip(page, store.nodes.states(goal, page), strict=True))
    pairs = (
        (source, part.partition(":")[0])
        for source, text in edges.items()
        if source not in inner
        for part in text.split()
    )
    return Stored(tuple(raw), {name: json.loads(raw[name]) for name in own}, records, tuple(pairs))


def gates(stored: Stored) -> dict[str, str]:
    """Nodes whose work is reviewed, each with the integration that must be done before anything builds on it."""
    found = {}
    for name, spec in stored.specs.items():
        metadata = spec.get("metadata", {})
        work = {"build": name, "fix": metadata.get("parent_task_id", "")}.get(metadata.get("phase", ""), "")
        if work and work + INTEGRATE in stored.specs:
            found[name] = work + INTEGRATE
    return found


def read_cards(store: Store, goal: str) -> dict[str, AgentCard]:
    """The agents that a goal brings along and that a plan may give work to: all but those that plan."""
    cards = {name: AgentCard.model_validate_json(text) for name, text in store.agents.cards(goal).items()}
    return workers(cards)


def workers(cards: Mapping[str, AgentCard]) -> dict[str, AgentCard]:
    """The agents that a plan may give work to."""
    return {name: card for name, card in cards.items() if card.resolved_role not in PLANNERS}


def read_scene(store: Store, goal: str, planner: str, *, revises: bool) -> Scene:
    """What a plan by this node meets. A first plan stands by itself; a change may build on what is there."""
    stored = read_stored(store, goal)
    taken = frozenset(stored.names)
    if not revises:
        return Scene(goal, taken)
    after = stored.behind(planner)
    gated = gates(stored)
    alive = {name for name in stored.specs if stored.state(name) in ALIVE and name not in after}
    standing = frozenset(name for name in alive if gated.get(name, name) in alive)
    droppable = frozenset(name for name in stored.specs if stored.unstarted(name) and name not in after)
    live = tuple(pair for pair in stored.pairs if stored.state(pair[1]) in ("BLOCKED", "READY"))
    return Scene(goal, taken, standing, droppable, live, gates=gated)
