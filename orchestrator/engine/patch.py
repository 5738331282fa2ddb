"""Change the plan of a goal that runs: add, drop and rewire nodes, validated as a whole and applied by one script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain import graph
from orchestrator.domain.command import Order
from orchestrator.domain.condition import Condition
from orchestrator.domain.dag import Edge, Goal, Name, Node, NodeKind
from orchestrator.domain.errors import Fault, IllegalTransition, InvalidGoal
from orchestrator.domain.validate import OF_TURN, read_goal
from orchestrator.engine import encode
from orchestrator.engine.came import heeded
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.payload import Payloads
from orchestrator.store.records import NodeRow
from orchestrator.store.store import Store

MOST_NODES: Final = 1000
TRIES: Final = 10
_FIRING: Final = {"": "done", "f": "failed", "a": "finished", "w": "done"}


class Patch(BaseModel):
    """What to change. Nodes that were claimed already keep their edges; only open ones can be rewired or dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field("", max_length=1000)
    add_nodes: list[Node] = Field(default_factory=list, max_length=MOST_NODES)
    add_edges: list[Edge] = Field(default_factory=list, max_length=10 * MOST_NODES)
    drop_nodes: list[Name] = Field(default_factory=list, max_length=MOST_NODES)
    drop_edges: list[tuple[Name, Name]] = Field(default_factory=list, max_length=10 * MOST_NODES)


class Patcher:
    """Applies patches."""

    def __init__(
        self, store: Store, payloads: Payloads, sender: Sender, slots: Slots, cancel: Callable[[str, str], object]
    ) -> None:
        """`cancel` cancels a goal for a reason: the sub-goals of nodes that are dropped."""
        self._cancel = cancel
        self._store = store
        self._payloads = payloads
        self._sender = sender
        self._slots = slots

    def apply(
        self, goal: str, patch: Mapping[str, Any] | Patch, reason: str = "", *, order: Order | None = None,
        dropping: str = "", as_failed: bool = False,
    ) -> int:  # fmt: skip
        """Change the plan; returns its new version.

        All or nothing: a patch with a fault (a cycle, a dangling edge, a node that runs already) changes nothing. The command
        `order` is for the node `dropping`, where it has one; `as_failed`: what is dropped counts as failed. Raises
        InvalidGoal with every fault, GoalNotFound, IllegalTransition, Repeated, Expired.
        """
        wanted = _read(patch)
        said: dict[str, Any] = {"reason": reason or wanted.reason, "receiver": dropping}
        if as_failed:
            said["as"] = dict.fromkeys(wanted.drop_nodes, "f")
        detail = ""
        for _ in range(TRIES):
            record = self._store.goals.record(goal)
            version = int(record.get("version", 1))
            try:
                body, rows = self._plan(goal, wanted, said)
            except InvalidGoal:
                if int(self._store.goals.field(goal, "version") or 1) == version:
                    raise
                continue  # what was read is of two plans: another patch came between
            self._store.goals.expect(goal, 1000)
            outcome, detail, invitations = self._store.goals.patch(
                goal, version, body, rows, slots=self._slots.json(), order=order
            )
            heeded(goal, outcome)
            if outcome == "patched":
                self._sender.invite(invitations)
                self.cancel_children(goal, json.loads(body)["drop"])
                return int(detail)
            if outcome == "busy":
                _, invitations = self._store.nodes.settle(goal, slots=self._slots.json())
                self._sender.invite(invitations)
            elif outcome != "changed":
                raise IllegalTransition(f"goal {goal!r} is {outcome}; its plan cannot be changed any more")
            elif not detail.isdecimal():
                self._refuse_if_fixed(goal, wanted, detail)
        raise IllegalTransition(f"the plan of goal {goal!r} keeps changing ({detail}); pause the goal and try again")

    def cancel_children(self, goal: str, dropped: Sequence[str]) -> None:
        """Cancel the sub-goals of dropped nodes. After a patch whose caller dies right here they run to their end, and
        nobody waits for them; a command is carried out to its end by others.
        """
        children = self._store.goals.part(goal, "children") if dropped else {}
        for node in dropped:
            if node in children and self._store.goals.field(children[node], "parent") == goal:
                self._cancel(children[node], f"the node {node} of {goal} was dropped")

    def _refuse_if_fixed(self, goal: str, patch: Patch, node: str) -> None:
        state = self._store.nodes.states(goal, [node])[0].get("state", "gone")
        if state not in ("BLOCKED", "READY", "WAITING"):
            targets = {edge.target for edge in patch.add_edges} | {target for _, target in patch.drop_edges}
            place = (
                f"drop_nodes: {node}" if node in patch.drop_nodes else f"edges into {node}" if node in targets else node
            )
            raise InvalidGoal([Fault(place, f"the node is {state}; only nodes that have not started can be changed")])

    def _plan(self, goal: str, patch: Patch, said: Mapping[str, Any]) -> tuple[str, list[NodeRow]]:
        """The script's arguments for a patch of the plan as it stands now. Raises InvalidGoal."""
        goals = self._store.goals
        written = goals.part(goal, "edges")  # before the nodes: of those there are only ever more
        specs = {name: json.loads(raw) for name, raw in goals.part(goal, "nodes").items()}
        edges = self._edges(written, specs)
        names = list(specs)
        states = {name: task.get("state", "") for name, task in zip(names, self._states(goal, names), strict=True)}
        faults = _faults(patch, specs, edges, states)
        if faults:
            raise InvalidGoal(faults)
        dropped = set(patch.drop_nodes)
        cut = set(patch.drop_edges)
        kept = {
            pair: edge for pair, edge in edges.items()
            if pair not in cut and pair[0] not in dropped and pair[1] not in dropped
        }  # fmt: skip
        kept |= {(edge.source, edge.target): edge for edge in patch.add_edges}
        alive = {name: spec for name, spec in specs.items() if name not in dropped}
        added = {node.id: node for node in patch.add_nodes}
        if alive or added:  # the last node of a plan may go, too
            _validate(alive, added, list(kept.values()))
        changed = {target for _, target in cut} | {edge.target for edge in patch.add_edges} | set(added)
        # Dependants of a dropped node keep that edge in the store: its end (dropped) settles it like any other.
        sources = {source for source, _ in cut} | {edge.source for edge in patch.add_edges}
        body = {
            **said,
            "drop": sorted(dropped | _items(dropped, written, states)),
            "edges": {
                source: self._out(source, written.get(source, ""), edges, cut, patch)
                for source in sorted(sources - set(added))
            },
            "targets": [
                self._target(goal, name, alive, added, edges, cut, patch, states) for name in sorted(changed - dropped)
            ],
        }
        return json.dumps(body), self._rows(goal, added, patch)

    def _states(self, goal: str, names: Sequence[str]) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for at in range(0, len(names), 1000):
            found += self._store.nodes.states(goal, names[at : at + 1000])
        return found

    def _edges(self, raw: Mapping[str, str], specs: Mapping[str, Any]) -> dict[tuple[str, str], Edge]:
        found = {}
        for source, text in raw.items():
            for part in text.split():
                target, _, letter = part.partition(":")
                if letter != "i":
                    when = specs[source].get("_when", {}).get(target)
                    found[source, target] = Edge.model_validate(
                        {"source": source, "target": target, "on": _FIRING[letter], "when": when}
                    )
        return found

    def _out(
        self, source: str, written: str, edges: Mapping[tuple[str, str], Edge], cut: set[tuple[str, str]], patch: Patch
    ) -> str:
        """A source's edges after the patch; items of a map keep theirs, which are not edges of the plan."""
        kept = [edge for pair, edge in edges.items() if pair[0] == source and pair not in cut]
        plan = encode.write_edges([*kept, *(edge for edge in patch.add_edges if edge.source == source)])
        return " ".join([*(part for part in written.split() if part.endswith(":i")), plan]).strip()

    def _target(
        self, goal: str, name: str, alive: Mapping[str, Any], added: Mapping[str, Node],
        edges: Mapping[tuple[str, str], Edge], cut: set[tuple[str, str]], patch: Patch, states: Mapping[str, str],
    ) -> dict[str, Any]:  # fmt: skip
        into = [edge for pair, edge in edges.items() if pair[1] == name and pair not in cut]
        into += [edge for edge in patch.add_edges if edge.target == name]
        join = added[name].join if name in added else alive[name].get("join", "all")
        need = len(into) if join == "all" else 1 if join == "any" else int(join)
        parents = [[edge.source, encode.edge_letter(edge), self._holds(goal, edge, states)] for edge in into]
        deps = json.dumps([edge.source for edge in into], separators=(",", ":")) if into else ""
        return {"id": name, "deps": deps, "need": need, "parents": parents}

    def _holds(self, goal: str, edge: Edge, states: Mapping[str, str]) -> int:
        """1 or 0 where the source is DONE and the edge has a condition; -1: not known yet."""
        if edge.when is None:
            return 1
        if states.get(edge.source) != "DONE":
            return -1
        output = self._payloads.unpack(self._store.nodes.outputs(goal, [edge.source])[0])
        return int(Condition.model_validate(edge.when).holds(output))

    def _rows(self, goal: str, added: Mapping[str, Node], patch: Patch) -> list[NodeRow]:
        rows = []
        agents = any(node.agent for node in added.values())
        cards = self._store.agents.cards(goal) if agents else {}
        queues = {name: json.loads(card).get("queue") or "" for name, card in cards.items()}
        out: dict[str, list[Edge]] = {name: [] for name in added}
        for edge in patch.add_edges:
            if edge.source in out:
                out[edge.source].append(edge)
        inner = [
            (edge.source, edge.target) for edge in patch.add_edges if edge.source in added and edge.target in added
        ]
        children = graph.successors(added, inner)
        ranks = graph.upward_rank(children, graph.topological_order(children))
        for name, node in added.items():
            row = encode.row_of(node, [], out[name], ranks[name], queues.get(node.agent or "", ""))
            # Stored as blocked; the script then sets its join from the states its parents are in at that moment.
            rows.append(NodeRow(**{**{field: getattr(row, field) for field in row.__slots__}, "need": 1, "open": 1}))
        return rows


def _items(dropped: set[str], written: Mapping[str, str], states: Mapping[str, str]) -> set[str]:
    """What dropped maps and agents have added and nobody has begun: it goes with them. What runs comes to its end."""
    found, owners = set[str](), dropped
    while owners:
        marks = {f"{owner}:i" for owner in owners}
        items = {source for source, text in written.items() if not marks.isdisjoint(text.split())}
        owners = items - found - dropped
        found |= owners
    return {name for name in found if states.get(name) in ("BLOCKED", "READY", "WAITING")}


def _read(raw: Mapping[str, Any] | Patch) -> Patch:
    if isinstance(raw, Patch):
        return raw
    try:
        return Patch.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults = [Fault(".".join(map(str, detail["loc"])) or "patch", detail["msg"]) for detail in details]
        raise InvalidGoal(faults) from None


def _faults(
    patch: Patch, specs: Mapping[str, Any], edges: Mapping[tuple[str, str], Edge], states: Mapping[str, str]
) -> list[Fault]:
    open_states = ("BLOCKED", "READY")
    faults = []
    for index, node in enumerate(patch.add_nodes):
        if node.id in specs:
            faults.append(Fault(f"add_nodes[{index}].id", f"there is a node {node.id!r} already"))
    maps = {name for name, spec in specs.items() if spec.get("kind") == "map"}
    maps |= {node.id for node in patch.add_nodes if node.kind is NodeKind.MAP}

    def map_of(name: str) -> str | None:
        owner, _, item = name.rpartition(".")
        return owner if owner in maps and item.isdecimal() else None

    for index, node in enumerate(patch.add_nodes):
        if owner := map_of(node.id):
            faults.append(Fault(f"add_nodes[{index}].id", f"{node.id!r} is the name of an item of the map {owner!r}"))
        found = OF_TURN.fullmatch(node.id)
        if found and specs.get(found[1], {}).get("kind") == "agent":
            faults.append(Fault(f"add_nodes[{index}].id", f"{node.id!r} is the name of a tool call of {found[1]!r}"))
    for index, name in enumerate(patch.drop_nodes):
        if name not in specs:
            faults.append(Fault(f"drop_nodes[{index}]", f"there is no node {name!r}"))
        elif states[name] not in (*open_states, "WAITING"):
            faults.append(
                Fault(f"drop_nodes[{index}]", f"{name!r} is {states[name]}; only what has not started can go")
            )
    for index, pair in enumerate(patch.drop_edges):
        if pair not in edges:
            faults.append(Fault(f"drop_edges[{index}]", f"there is no edge from {pair[0]!r} to {pair[1]!r}"))
    changed = [("drop_edges", index, target) for index, (_, target) in enumerate(patch.drop_edges)]
    changed += [("add_edges", index, edge.target) for index, edge in enumerate(patch.add_edges)]
    for where, index, target in changed:
        if target in states and states[target] not in open_states:
            message = f"{target!r} is {states[target]}; edges into it cannot change any more"
            faults.append(Fault(f"{where}[{index}]", message))
    for index, edge in enumerate(patch.add_edges):
        if (edge.source, edge.target) in edges and (edge.source, edge.target) not in patch.drop_edges:
            faults.append(
                Fault(f"add_edges[{index}]", f"there is an edge from {edge.source!r} to {edge.target!r} already")
            )
        if owner := map_of(edge.target):  # it would wait, unseen, for what waits for its map
            message = f"{edge.target!r} is an item of the map {owner!r}; an item has no edges into it"
            faults.append(Fault(f"add_edges[{index}].target", message, f"add the edge into {owner!r} before it starts"))
        if edge.when is not None and edge.source in specs:
            remedy = "add a node between them that decides"
            faults.append(Fault(f"add_edges[{index}].when", "an edge out of a stored node takes no condition", remedy))
    return faults


def _validate(alive: Mapping[str, Any], added: Mapping[str, Node], edges: Sequence[Edge]) -> Goal:
    """The whole plan as it would be, checked like a new one."""
    nodes = [{"id": name} | {key: spec[key] for key in ("join",) if key in spec} for name, spec in alive.items()]
    nodes += [node.model_dump(mode="json", exclude_defaults=True) for node in added.values()]
    return read_goal({"nodes": nodes, "edges": [edge.model_dump(mode="json", exclude_none=True) for edge in edges]})
