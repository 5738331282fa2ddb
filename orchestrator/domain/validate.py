"""Read a goal document and report everything that is wrong with it at once, each fault with its place.

Two passes that do not stop at the first fault: each object against its model, then the graph that the objects make.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from orchestrator.domain import graph
from orchestrator.domain.dag import Edge, Goal, Node, NodeKind
from orchestrator.domain.errors import Fault, InvalidGoal
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits

OF_TURN: Final = re.compile(r"(.+)\.[trs][0-9]+\.[0-9]+")
"""Names of the nodes that an agent's tool calls become: <agent's node>.t<turn>.<call>."""

Item = TypeVar("Item", bound=BaseModel)
_MAP_CHILD_SUFFIX: Final = 8  # ".9999999": children of a map are named <map>.<index>


def read_goal(raw: Any, limits: Limits = DEFAULT_LIMITS) -> Goal:
    """The goal that a decoded document describes. Raises InvalidGoal with every fault found."""
    if not isinstance(raw, Mapping):
        raise InvalidGoal([Fault("document", f"a goal is an object, this is {_kind_of(raw)}")])
    faults: list[Fault] = []
    head = {key: value for key, value in raw.items() if key not in ("nodes", "edges")}
    header = _model(Goal, {**head, "nodes": [], "edges": []}, "", faults)
    faults.extend(_agent_faults(header))
    nodes = _items(Node, raw.get("nodes"), "nodes", limits.nodes, faults, required=True)
    edges = _items(Edge, raw.get("edges", []), "edges", limits.edges, faults)
    faults.extend(_node_faults(nodes, raw.get("nodes"), limits))
    faults.extend(_condition_faults(edges))
    faults.extend(graph_faults(nodes, edges, limits, also_known=_ids(raw.get("nodes"))))
    if faults or header is None:
        raise InvalidGoal(faults)
    return header.model_copy(update={"nodes": list(nodes.values()), "edges": list(edges.values())})


def graph_faults(
    nodes: Mapping[int, Node], edges: Mapping[int, Edge], limits: Limits, also_known: Iterable[str] = ()
) -> list[Fault]:
    """What is wrong with the graph: duplicates, dangling ends, cycles, joins and references that cannot be met."""
    faults: list[Fault] = []
    first: dict[str, int] = {}
    for index, node in nodes.items():
        if node.id in first:
            faults.append(Fault(f"nodes[{index}].id", f"{node.id!r} is already the id of nodes[{first[node.id]}]"))
        else:
            first[node.id] = index
    known = set(first) | set(also_known)
    pairs: dict[tuple[str, str], int] = {}
    for index, edge in edges.items():
        place = f"edges[{index}]"
        for end, name in (("source", edge.source), ("target", edge.target)):
            if name not in known:
                faults.append(Fault(f"{place}.{end}", f"there is no node {name!r}", "add the node or mend the id"))
        if edge.source == edge.target:
            faults.append(Fault(place, f"the node {edge.source!r} would wait for itself"))
        elif (edge.source, edge.target) in pairs:
            faults.append(Fault(place, f"edges[{pairs[edge.source, edge.target]}] joins the same two nodes already"))
        pairs.setdefault((edge.source, edge.target), index)
    sound = [pair for pair in pairs if pair[0] in known and pair[1] in known and pair[0] != pair[1]]
    children = graph.successors(known, sound)
    order = graph.topological_order(children)
    if len(order) < len(known):
        cycle = graph.find_cycle(children)
        shown = cycle if len(cycle) <= 12 else [*cycle[:6], "...", *cycle[-5:]]
        faults.append(Fault("edges", f"there is a cycle: {' -> '.join(shown)}", "take one of these edges out"))
    elif (deep := graph.depth(children, order)) > limits.depth:
        faults.append(Fault("edges", f"the longest path has {deep:,} nodes, the limit is {limits.depth:,}"))
    faults.extend(_join_faults(nodes, graph.predecessors(known, sound), acyclic=len(order) == len(known)))
    return faults


def _agent_faults(header: Goal | None) -> Iterable[Fault]:
    first: dict[str, int] = {}
    for index, card in enumerate(header.agents if header else ()):
        if card.name in first:
            yield Fault(f"agents[{index}].name", f"{card.name!r} is already the name of agents[{first[card.name]}]")
        first.setdefault(card.name, index)


def _join_faults(nodes: Mapping[int, Node], parents: Mapping[str, list[str]], acyclic: bool) -> Iterable[Fault]:
    for index, node in nodes.items():
        place, ways = f"nodes[{index}]", len(parents[node.id])
        if isinstance(node.join, int) and node.join > ways:
            remedy = "lower it or add edges"
            yield Fault(
                f"{place}.join", f"it waits for {node.join} edges and {ways} come in: it can never fire", remedy
            )
        if node.join == "any" and not ways:
            yield Fault(f"{place}.join", "it waits for any edge and none comes in: it can never fire", "leave join out")
        wanted = node.upstream_references()
        if not wanted:
            continue
        direct = set(parents[node.id])
        strangers = [name for name in wanted if name not in direct]
        behind = graph.ancestors(parents, node.id) if strangers and acyclic else direct
        for name in strangers:
            if name not in parents:
                yield Fault(f"{place}.inputs", f"it takes the output of {name!r}, and there is no such node")
            elif acyclic and name not in behind:
                remedy = f"add an edge from {name!r} to {node.id!r}"
                yield Fault(f"{place}.inputs", f"it takes the output of {name!r} and does not come after it", remedy)


def _node_faults(nodes: Mapping[int, Node], raw: Any, limits: Limits) -> Iterable[Fault]:
    maps = {node.id for node in nodes.values() if node.kind is NodeKind.MAP}
    agents = {node.id for node in nodes.values() if node.kind is NodeKind.AGENT}
    for index, node in nodes.items():
        place = f"nodes[{index}]"
        head, _, tail = node.id.rpartition(".")
        if head in maps and tail.isdecimal():
            yield Fault(f"{place}.id", f"{node.id!r} is the name of an item of the map {head!r}", "choose another id")
        if (found := OF_TURN.fullmatch(node.id)) and found[1] in agents:
            yield Fault(f"{place}.id", f"{node.id!r} is the name of a tool call of {found[1]!r}", "choose another id")
        if node.kind is NodeKind.MAP and len(node.id) > 64 - _MAP_CHILD_SUFFIX:
            yield Fault(
                f"{place}.id", f"a map's id has at most {64 - _MAP_CHILD_SUFFIX} characters, this has {len(node.id)}"
            )
        if node.goal is not None:
            try:
                read_goal(node.goal, limits)
            except InvalidGoal as error:
                yield from (Fault(f"{place}.goal.{fault.place}", fault.message, fault.remedy) for fault in error.faults)
            except RecursionError:
                yield Fault(f"{place}.goal", "sub-goals are nested too deeply")
        if node.inputs or node.goal or node.metadata:
            try:
                size = len(json.dumps(raw[index], allow_nan=False, ensure_ascii=False).encode())
                node.model_dump(mode="json", include={"inputs", "goal"})  # the depth that can be stored
            except (ValueError, TypeError, RecursionError) as error:
                yield Fault(f"{place}.inputs", f"it is not JSON: {error}")
                continue
            if size > limits.node_bytes:
                remedy = "hand large values over by reference"
                yield Fault(place, f"its JSON has {size:,} bytes, the limit is {limits.node_bytes:,}", remedy)


def _condition_faults(edges: Mapping[int, Edge]) -> Iterable[Fault]:
    for index, edge in edges.items():
        try:
            if edge.when is not None:
                json.dumps(edge.when.model_dump(), allow_nan=False, ensure_ascii=False).encode()
                edge.when.model_dump(mode="json")
        except (ValueError, TypeError, RecursionError) as error:
            yield Fault(f"edges[{index}].when", f"it is not JSON: {error}")


def _items(
    model: type[Item], raw: Any, place: str, limit: int, faults: list[Fault], required: bool = False
) -> dict[int, Item]:
    if raw is None and required:
        faults.append(Fault(place, "it is missing", f'a goal has "{place}": a list'))
        return {}
    if not isinstance(raw, list | tuple):
        faults.append(Fault(place, f"it must be a list, this is {_kind_of(raw)}"))
        return {}
    if required and not raw:
        faults.append(Fault(place, "it is empty", "a goal has at least one node"))
    if len(raw) > limit:
        faults.append(Fault(place, f"there are {len(raw):,}, the limit is {limit:,}", "split the goal into sub-goals"))
        return {}
    try:  # all at once takes half the time; where one has a fault, each is looked at for its place
        return dict(enumerate(_list_of(model).validate_python(raw)))
    except ValidationError:
        pass
    parsed = ((index, _model(model, item, f"{place}[{index}]", faults)) for index, item in enumerate(raw))
    return {index: item for index, item in parsed if item is not None}


@cache
def _list_of(model: type[Item]) -> TypeAdapter[list[Item]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]


def _model(model: type[Item], raw: Any, place: str, faults: list[Fault]) -> Item | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults.extend(
            _as_fault(model, detail, place) for detail in error.errors(include_url=False, include_context=False)
        )
        return None


def _as_fault(model: type[BaseModel], detail: Any, place: str) -> Fault:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    where = f"{place}{path}".lstrip(".") or "document"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return Fault(where, "there is no such field", f"known fields: {', '.join(model.model_fields)}")
    if detail["type"] == "string_pattern_mismatch":
        remedy = "use 1 to 64 letters, digits, dots, underscores or hyphens"
        return Fault(where, f"{detail['input']!r:.80} is not an id", remedy)
    if detail["type"] == "missing":
        return Fault(where, "it is missing")
    return Fault(where, f"{message}{_shown(detail['input'])}")


def _shown(value: Any) -> str:
    if not isinstance(value, str | int | float | None):
        return ""
    try:
        return f", got {value!r:.60}"
    except ValueError:  # Python does not write out integers of more than 4,300 digits
        return ", got a number with thousands of digits"


def _ids(raw: Any) -> set[str]:
    """Ids that are declared, even on nodes with other faults: an edge to one of those is not dangling."""
    items = raw if isinstance(raw, list | tuple) else ()
    return {item["id"] for item in items if isinstance(item, Mapping) and isinstance(item.get("id"), str)}


def _kind_of(value: Any) -> str:
    names = {type(None): "null", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "a list" if isinstance(value, list | tuple) else "an object")
