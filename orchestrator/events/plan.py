"""What the checker knows of a goal's plan: joins, lanes and limits by node, without what the nodes do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.domain.dag import Firing, Goal

LETTERS: Mapping[Firing, str] = {Firing.DONE: "", Firing.FAILED: "f", Firing.FINISHED: "a"}
"""How the ends that let an edge fire are written; `w` is a done edge with a condition, `i` an item of a map."""


@dataclass(slots=True)
class PlanNode:
    """One node of the plan."""

    join: str | int = "all"
    lane: str = ""
    retries: int | None = None
    """Its own limit; None: the setting's."""
    agent: str = ""
    parents: list[tuple[str, str]] = field(default_factory=list)
    """(source, letter) of the edges into it, items of a map left out."""

    @property
    def need(self) -> int:
        """How many of the edges into it must fire."""
        if self.join == "all":
            return len(self.parents)
        return 1 if self.join == "any" else int(self.join)


@dataclass(slots=True)
class Plan:
    """The plan of a goal as it stands now: a patch that came later than an event is in it."""

    nodes: dict[str, PlanNode] = field(default_factory=dict)
    handled: set[str] = field(default_factory=set)
    """Nodes whose failure the plan deals with: by an `on: failed` edge, or by the map that they are an item of."""
    holds: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Whether the condition of an edge holds on its source's output, where that could be tested."""
    version: str = ""

    def add_edge(self, source: str, target: str, letter: str) -> None:
        """One edge, as the store writes it."""
        if letter in ("f", "i"):
            self.handled.add(source)
        if letter != "i" and target in self.nodes:
            self.nodes[target].parents.append((source, letter))

    def lanes(self) -> Iterator[str]:
        """Every lane, once."""
        yield from dict.fromkeys(node.lane for node in self.nodes.values() if node.lane)

    @classmethod
    def of(cls, goal: Goal) -> Plan:
        """The plan of a document. Nodes that the run added (items of a map, patches) are not in it, and not judged by it."""
        plan = cls()
        for node in goal.nodes:
            plan.nodes[node.id] = PlanNode(node.join, node.lane or "", node.retries, node.agent or "")
        for edge in goal.edges:
            plan.add_edge(edge.source, edge.target, "w" if edge.when is not None else LETTERS[edge.on])
        return plan
