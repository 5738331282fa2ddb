"""`chordal:apply_plan`: puts an accepted plan, or a change of it, into its goal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents.plan import judges
from orchestrator.agents.plan.approval import APPLY, applier, asks_of
from orchestrator.agents.plan.form import read
from orchestrator.agents.plan.judges import Terms
from orchestrator.agents.plan.patching import PlanPatcher
from orchestrator.agents.plan.proposal import Proposal, Revision, shown
from orchestrator.agents.plan.scene import Stored, gates, read_cards, read_scene, read_stored
from orchestrator.agents.plan.text import plan_diff
from orchestrator.domain.errors import ChordalError, Fault, IllegalTransition, NodeFailed, NodeNotFound
from orchestrator.domain.refs import references, resolve
from orchestrator.engine.context import current
from orchestrator.engine.payload import Payloads
from orchestrator.store.store import Store

_FAULT: Final = re.compile(r"""([\w\[\].]+(?: '[^']*'| "[^"]*")?): (.+)""", re.DOTALL)
"""A fault of a plan: its place, with the id of the node, and what is wrong."""
DIFF_CHARACTERS: Final = 20_000
"""The longest diff of an edited plan that is kept."""


class NotAPlan(ChordalError):
    """An approval was answered with a plan, and is about something else. Approve it without one."""


class BadPlan(ChordalError):
    """A plan that is to be approved has faults; all of them are in `faults`. Mend them and approve again: nothing changed."""

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class PlanApplier:
    """The built-in function `chordal:apply_plan`."""

    store: Store
    patcher: PlanPatcher

    def apply_plan(self, plan: Any, approval: Any = None, revises: bool = False) -> dict[str, Any]:
        """Put the plan of a planner's output, or the edited one of its approval, behind the calling node.

        Raises NodeFailed with every fault where the plan is none that this goal can take.
        """
        lease = current()
        if lease is None:
            raise NodeFailed(f"{APPLY} runs in a node only")
        goal, author = lease.goal, lease.node
        proposed = _proposed(plan)
        edited = approval.get("plan") if isinstance(approval, Mapping) else None
        value = proposed if edited is None else edited
        terms = Terms.of(json.loads(self.store.goals.spec(goal, author)).get("metadata", {}), revises)
        cards = read_cards(self.store, goal)
        found, faults = read(value, judges.MODELS[judges.REPLAN if revises else judges.PLAN])
        drop = found.drop if isinstance(found, Revision) else ()
        if found and not self.patcher.is_done(goal, author, [node.id for node in found.nodes], drop):
            scene = read_scene(self.store, goal, author, revises=revises)
            found, faults = judges.check_plan(value, cards, scene, terms)
        if found is None or faults:
            raise NodeFailed("\n".join([f"the plan has {_counted(len(faults), 'fault')}:", *shown(faults)]))
        stored = read_stored(self.store, goal)
        nodes, edges = judges.expanded(found, cards, terms, gates(stored))
        nodes = with_outputs(nodes, edges, stored)
        wired = [*edges, *hung(author, nodes, edges, stored)]
        why = reason(stored, author, len(nodes), drop, edited is not None)
        self.patcher.add(goal, author, nodes, wired, drop, why)
        return _output(found, proposed, edited, drop, len(nodes))


def _output(found: Proposal, proposed: Any, edited: Any, drop: Sequence[str], count: int) -> dict[str, Any]:
    output: dict[str, Any] = {"planned": [node.id for node in found.nodes], "nodes": count, "dropped": list(drop)}
    if edited is not None:
        before, _ = read(proposed, type(found))
        output["diff"] = plan_diff(before, found)[:DIFF_CHARACTERS] if before else ""
    return output


def with_outputs(
    nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], stored: Stored
) -> list[dict[str, Any]]:
    """The nodes of agents with the outputs of what they depend on among their inputs."""
    kinds = {name: spec.get("kind") for name, spec in stored.specs.items()}
    kinds |= {node["id"]: node.get("kind") for node in nodes}
    into: dict[str, list[str]] = {}
    for edge in edges:
        into.setdefault(edge["target"], []).append(edge["source"])
    made = []
    for node in nodes:
        given = {}
        if node.get("kind") == "agent" and node.get("metadata", {}).get("phase") != "integrate":  # it reads all parents
            for name in into.get(node["id"], ()):
                part = {"path": "output"} if kinds.get(name) == "agent" else {}
                given[f"from {name}"] = {"from": name, **part}
        made.append({**node, "inputs": {**node.get("inputs", {}), **given}} if given else dict(node))
    return made


def hung(
    author: str, nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], stored: Stored
) -> list[dict[str, Any]]:
    """The edges that hang a plan behind its author: to its first nodes, and from its last ones to what waits for him.

    A node that depends on stored nodes alone is a first one too: nothing starts before the plan is in whole.
    """
    new = {node["id"] for node in nodes}
    inner = {edge["target"] for edge in edges if edge["source"] in new}
    sources = {edge["source"] for edge in edges}
    waiting = [
        target
        for source, target in stored.pairs
        if source == author and stored.state(target) == "BLOCKED" and stored.specs[target].get("join", "all") == "all"
    ]
    roots = [{"source": author, "target": node["id"]} for node in nodes if node["id"] not in inner]
    leaves = [node["id"] for node in nodes if node["id"] not in sources]
    return roots + [{"source": leaf, "target": target} for target in waiting for leaf in leaves if target not in new]


def reason(stored: Stored, author: str, count: int, drop: Sequence[str], edited: bool) -> str:
    """Why the plan changed, for its event."""
    inputs = stored.specs[author].get("inputs") or {}
    planner = inputs.get("plan", {}).get("from", "") if isinstance(inputs.get("plan"), Mapping) else ""
    agent = stored.specs.get(planner, {}).get("agent", "")
    said = f"planned by {agent or author}, {_counted(count, 'node')}"
    said += f", {_counted(len(drop), 'node')} dropped" if drop else ""
    return said + (", edited at the approval" if edited else "")


def accept_answer(store: Store, goal: str, node: str, plan: Any) -> None:
    """Let an edited plan through with which someone answers an approval.

    Raises BadPlan with every fault, NotAPlan where the approval is not about a plan, GoalNotFound, NodeNotFound, and
    IllegalTransition where nobody is asked any more.
    """
    store.goals.record(goal)
    if not store.nodes.states(goal, [node])[0]:
        raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
    found = applier(store, goal, node)
    if found is None or asks_of(found[1]) != node:
        raise NotAPlan(f"node {node!r} of goal {goal!r} is not the approval of a plan; approve it without one")
    _refuse_if_answered(store, goal, node)
    if faults := _answer_faults(store, goal, *found, plan):
        raise bad_plan("edited", faults)


def accept_proposed(store: Store, payloads: Payloads, goal: str, node: str) -> None:
    """Let a plan through that is approved as it was proposed: the goal may have changed meanwhile.

    Raises as `accept_answer`; approvals of other things are let through.
    """
    found = applier(store, goal, node)
    if found is None:
        return
    _refuse_if_answered(store, goal, node)
    given = (found[1].get("inputs") or {}).get("plan")
    names = list(references(given))
    if any(record.get("state") != "DONE" for record in store.nodes.states(goal, names)):
        return  # what is approved is not the plan: that is still being made
    outputs = zip(names, store.nodes.outputs(goal, names), strict=True)
    plan = _proposed(resolve(given, {name: payloads.unpack(text) for name, text in outputs}))
    if faults := _answer_faults(store, goal, *found, plan):
        raise bad_plan("proposed", faults)


def _refuse_if_answered(store: Store, goal: str, node: str) -> None:
    state = store.nodes.states(goal, [node])[0]["state"]
    if state != "WAITING":
        raise IllegalTransition(f"node {node!r} of goal {goal!r} is {state} and waits for no approval")


def _answer_faults(store: Store, goal: str, author: str, spec: Mapping[str, Any], plan: Any) -> list[str]:
    revises = bool((spec.get("inputs") or {}).get("revises"))
    scene = read_scene(store, goal, author, revises=revises)
    terms = Terms.of(spec.get("metadata", {}), revises)
    return shown(judges.check_plan(plan, read_cards(store, goal), scene, terms)[1])


def bad_plan(which: str, faults: Sequence[str]) -> BadPlan:
    """The refusal of a plan, `edited` or `proposed`, with its faults."""
    listed = "\n".join(f"  - {fault}" for fault in faults)
    return BadPlan(
        f"the {which} plan is not valid, {_counted(len(faults), 'fault')}:\n{listed}",
        [Fault(*found.groups()) if (found := _FAULT.fullmatch(fault)) else Fault("plan", fault) for fault in faults],
    )


def _proposed(output: Any) -> Any:
    return output["output"] if isinstance(output, Mapping) and "output" in output else output


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
