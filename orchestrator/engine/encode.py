"""A goal as the rows that the store keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.domain import graph
from orchestrator.domain.dag import MAX_PRIORITY, Edge, Firing, Goal, Node, NodeKind
from orchestrator.engine.payload import to_json
from orchestrator.store.records import NodeRow

_NOT_IN_SPEC: Final = {"id"}
_LETTERS: Final = {Firing.DONE: "", Firing.FAILED: "f", Firing.FINISHED: "a"}


def score(rank: int, priority: int) -> int:
    """Where a node stands among the ready ones (lowest first): the longest way to the end, then its priority."""
    return -(rank * (MAX_PRIORITY + 1) + priority)


def edge_letter(edge: Edge) -> str:
    """How an edge is written behind its target."""
    return "w" if edge.when is not None else _LETTERS[edge.on]


def write_edges(edges: list[Edge]) -> str:
    """The edges out of one node, as the scripts read them."""
    letters = ((edge.target, edge_letter(edge)) for edge in edges)
    return " ".join(f"{target}:{letter}" if letter else target for target, letter in letters)


def required(node: Node, ways_in: int) -> int:
    """How many of the edges into a node must fire."""
    return ways_in if node.join == "all" else 1 if node.join == "any" else node.join


def spec_of(node: Node, out: list[Edge]) -> str:
    """The node's JSON without defaults; conditions of its out-edges go along, for the worker that will know the output."""
    conditions = {edge.target: edge.when.model_dump(mode="json") for edge in out if edge.when is not None}
    if not conditions and node.model_fields_set <= _NOT_IN_SPEC:
        return "{}"
    if not conditions:
        return node.model_dump_json(exclude_defaults=True, exclude=_NOT_IN_SPEC)
    fields = node.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_IN_SPEC)
    return to_json({**fields, "_when": conditions})


def row_of(node: Node, parents: list[str], out: list[Edge], rank: int, agent_queue: str = "") -> NodeRow:
    """One node as it is stored; `agent_queue` is that of its agent, if it has one."""
    need = required(node, len(parents))
    queue = node.queue or agent_queue
    if node.kind is NodeKind.TASK:
        queue = ""  # its own queue is where the user's message goes; any worker may send that
    return NodeRow(
        id=node.id,
        spec=spec_of(node, out),
        parents=json.dumps(parents, separators=(",", ":")) if parents else "",
        edges=write_edges(out),
        need=need,
        open=len(parents) if node.join != "all" and need != len(parents) else None,
        score=score(rank, node.priority),
        queue="" if queue == "default" else queue,
        lane=node.lane or "",
        lease_ms=None if node.lease_seconds is None else int(node.lease_seconds * 1000),
    )


def rows(goal: Goal) -> Iterator[NodeRow]:
    """Every node of a validated goal, in document order."""
    names = [node.id for node in goal.nodes]
    pairs = [(edge.source, edge.target) for edge in goal.edges]
    children = graph.successors(names, pairs)
    parents = graph.predecessors(names, pairs)
    ranks = graph.upward_rank(children, graph.topological_order(children))
    out: dict[str, list[Edge]] = {name: [] for name in names}
    for edge in goal.edges:
        out[edge.source].append(edge)
    queues = {card.name: card.queue for card in goal.agents if card.queue}
    for node in goal.nodes:
        queue = queues.get(node.agent, "") if node.agent else ""
        yield row_of(node, parents[node.id], out[node.id], ranks[node.id], queue)


def digest(goal: Goal) -> str:
    """The same for the same document, whatever its id and the order of its fields."""
    dumped: Any = goal.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key", "goal_id"})
    return hashlib.sha256(json.dumps(dumped, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]
