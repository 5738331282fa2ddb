"""What a planner answers: nodes for agents and for people, and nothing that runs by itself. Every fault is found at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.agents import roles
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.dag import MAX_PRIORITY
from orchestrator.domain.errors import Fault, InvalidGoal
from orchestrator.domain.validate import read_goal

MOST_NODES: Final = 500
"""Nodes of one plan, before a workflow adds its own."""
MOST_EDGES: Final = 5000
ID_CHARACTERS: Final = 48
"""The longest id of a planned node: names of reviews and tool calls are made from it."""
TASK_CHARACTERS: Final = 20_000
SHOWN: Final = 50
"""Faults that are told at once; a plan with more is told how many."""
_ID: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{ID_CHARACTERS}}}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PlannedNode(_Part):
    """One piece of work."""

    id: str = Field(description="1 to 48 letters, digits, dots, underscores or hyphens; once a plan")
    title: str = Field("", description="a line for people")
    kind: Literal["agent", "approval"] = Field(
        "agent", description="agent: an agent does it; approval: a person says yes or no, and what depends on it waits"
    )
    agent: str = Field("", description="the agent's name; empty where required_role says who does it")
    required_role: str = Field("", description="the role it needs; empty where agent names who does it")
    role_assignment: Literal["soft", "hard"] = Field(
        "soft", description="hard: nobody but that role may do it; soft: others may if there is nobody"
    )
    fallback_roles: tuple[str, ...] = Field((), description="for soft: the roles that may do it instead, best first")
    task: str = Field("", description="all that the agent must know to do it; it also gets what depends_on gave")
    priority: int = Field(0, description="0 or more; higher first")
    expected_artifacts: tuple[str, ...] = Field((), description="names of what it should leave behind")
    depends_on: tuple[str, ...] = Field((), description="ids of the nodes that must be done before")


class Proposal(_Part):
    """A plan."""

    goal_id: str = Field("", description="the id of the goal as it was told, or empty")
    nodes: tuple[PlannedNode, ...] = Field(description="the nodes, in an order that people can follow")


class Revision(Proposal):
    """A change of a plan that is carried out already."""

    drop: tuple[str, ...] = Field((), description="ids of nodes that have not started and are not needed any more")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a plan meets in its goal."""

    goal_id: str = ""
    """Empty: not known yet."""
    taken: frozenset[str] = frozenset()
    """Ids that the goal has already."""
    standing: frozenset[str] = frozenset()
    """Those of them that a new node may depend on."""
    droppable: frozenset[str] = frozenset()
    """Those that have not started."""
    edges: tuple[tuple[str, str], ...] = ()
    """Edges between stored nodes that have not ended."""
    role_faults: tuple[str, ...] = ()
    """What is missing for the role workflow that was asked for."""
    gates: Mapping[str, str] = field(default_factory=dict)
    """Of ids under review: the integration on which a new node depends in their place."""


def faults(proposal: Proposal, cards: Mapping[str, AgentCard], scene: Scene | None = None) -> list[str]:
    """Everything that is wrong with a plan, each as one line that says where and what would mend it; [] is a good plan."""
    scene = scene or Scene()
    found = list(_whole_faults(proposal, scene))
    for index, node in enumerate(proposal.nodes):
        found += [f"nodes[{index}] {_quoted(node.id)}: {text}" for text in _node_faults(node, cards, scene)]
    if isinstance(proposal, Revision):
        found += _drop_faults(proposal, scene)
    if len(proposal.nodes) <= MOST_NODES and sum(len(node.depends_on) for node in proposal.nodes) <= MOST_EDGES:
        found += _graph_faults(proposal, scene)
    found += scene.role_faults
    return list(dict.fromkeys(found))


def shown(found: Sequence[str]) -> list[str]:
    """The faults as they are told: not more than a reader can use."""
    more = len(found) - SHOWN
    return [*found[:SHOWN], *([f"... and {more:,} more faults"] if more > 0 else [])]


def _whole_faults(proposal: Proposal, scene: Scene) -> Iterator[str]:
    if scene.goal_id and proposal.goal_id not in ("", scene.goal_id):
        yield f"goal_id: the goal is {scene.goal_id!r}, this plan is for {_quoted(proposal.goal_id)}"
    if not proposal.nodes and not getattr(proposal, "drop", ()):
        yield "nodes: the plan is empty; it needs at least one node"
    if len(proposal.nodes) > MOST_NODES:
        yield f"nodes: there are {len(proposal.nodes):,}, the limit is {MOST_NODES}; plan coarser"
    edges = sum(len(node.depends_on) for node in proposal.nodes)
    if edges > MOST_EDGES:
        yield f"nodes: depends_on has {edges:,} entries together, the limit is {MOST_EDGES:,}"


def _node_faults(node: PlannedNode, cards: Mapping[str, AgentCard], scene: Scene) -> Iterator[str]:
    if not _ID.fullmatch(node.id):
        yield f"its id must be 1 to {ID_CHARACTERS} letters, digits, dots, underscores or hyphens"
    if node.id in scene.taken:
        yield "the goal has a node of that id already; choose another"
    if not 0 <= node.priority <= MAX_PRIORITY:
        yield f"priority must be 0 to {MAX_PRIORITY:,}"
    if len(node.task) > TASK_CHARACTERS or len(node.title) > 1000:
        yield f"task has at most {TASK_CHARACTERS:,} characters, title 1,000"
    names = (*node.expected_artifacts, *node.fallback_roles, node.required_role)
    if any(len(name) > 200 for name in names) or len(names) > 60:
        yield "roles and artifacts are names of at most 200 characters, at most 60 a node"
    if any("," in name for name in node.fallback_roles):
        yield "fallback_roles is a list; a role has no comma in its name"
    if node.kind == "agent":
        yield from _doer_faults(node, cards)
    elif node.agent or node.required_role:
        yield "an approval is given by a person; leave agent and required_role empty"


def _doer_faults(node: PlannedNode, cards: Mapping[str, AgentCard]) -> Iterator[str]:
    if not (node.task.strip() or node.title.strip()):
        yield "task is empty: say what is to be done"
    if node.agent:
        if node.agent not in cards:
            yield f"there is no agent {_quoted(node.agent)}; there are: {_listed(cards)}"
    elif not node.required_role:
        yield f"it needs an agent or a required_role; agents: {_listed(cards)}"
    elif not roles.candidates(node.required_role, node.fallback_roles, node.role_assignment == "hard", cards):
        known = _listed(dict.fromkeys(card.resolved_role for card in cards.values()))
        yield f"nobody has the role {_quoted(node.required_role)}; roles: {known}"


def _drop_faults(revision: Revision, scene: Scene) -> Iterator[str]:
    gone = set(revision.drop)
    for index, name in enumerate(revision.drop):
        if name not in scene.taken:
            yield f"drop[{index}]: there is no node {_quoted(name)}"
        elif name not in scene.droppable:
            yield f"drop[{index}]: {_quoted(name)} has started or ended; only what has not started can go"
    for source, target in scene.edges:
        if source in gone and target not in gone:
            yield f"drop: {target!r} depends on {source!r}; drop it too, and add what is needed instead"


def _graph_faults(proposal: Proposal, scene: Scene) -> Iterator[str]:
    """The rules of every goal, for a graph of the same shape."""
    gone = set(getattr(proposal, "drop", ()))
    standing = {name for name in scene.standing if name not in gone and scene.gates.get(name) not in gone}
    pairs = [(index, node, name) for index, node in enumerate(proposal.nodes) for name in node.depends_on]
    wanted = {name for _, _, name in pairs if name in standing}
    document = {
        "nodes": [{"id": name} for name in (*(node.id for node in proposal.nodes), *sorted(wanted))],
        "edges": [{"source": name, "target": node.id} for _, node, name in pairs],
    }
    try:
        if document["nodes"]:
            read_goal(document)
    except InvalidGoal as error:
        for fault in error.faults:
            if (text := _told(fault, proposal, pairs)) is not None:
                yield text


def _told(fault: Fault, proposal: Proposal, pairs: Sequence[tuple[int, PlannedNode, str]]) -> str | None:
    """A fault of the graph in the words of the plan; None where it was told of the node already."""
    place = re.match(r"(nodes|edges)\[(\d+)\](.*)", fault.place)
    remedy = f" ({fault.remedy})" if fault.remedy else ""
    if place is None:
        return f"depends_on: {fault.message:.500}{remedy}"
    at = int(place[2])
    if place[1] == "nodes":
        told = at >= len(proposal.nodes) or not _ID.fullmatch(proposal.nodes[at].id)
        return None if told else f"nodes[{at}] {_quoted(proposal.nodes[at].id)}: {fault.message:.300}"
    index, node, name = pairs[at]
    if place[3] == ".target" or not _ID.fullmatch(node.id):
        return None
    where = f"nodes[{index}] {_quoted(node.id)}: depends_on {_quoted(name)}:"
    again = "joins the same two nodes" in fault.message
    return f"{where} {'it stands there twice' if again else f'{fault.message:.300}{remedy}'}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _listed(names: Iterable[str]) -> str:
    kept = list(names)
    return ", ".join(kept[:30]) + (f" and {len(kept) - 30} more" if len(kept) > 30 else "") if kept else "none"


def to_nodes(proposal: Proposal, cards: Mapping[str, AgentCard]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The nodes and edges of a plan without faults, in the format of goals."""
    nodes = [_node(node) for node in proposal.nodes]
    edges = [{"source": name, "target": node.id} for node in proposal.nodes for name in node.depends_on]
    return roles.assign(nodes, cards), edges


def _node(node: PlannedNode) -> dict[str, Any]:
    made: dict[str, Any] = {"id": node.id, "title": node.title, "kind": node.kind, "priority": node.priority}
    made["inputs"] = {"task": node.task or node.title}
    made["expected_artifacts"] = list(node.expected_artifacts)
    if node.kind == "agent":
        metadata = {
            "required_role": node.required_role,
            "role_assignment": node.role_assignment,
            "fallback_roles": ",".join(node.fallback_roles),
        }
        made["metadata"] = {key: value for key, value in metadata.items() if value}
        if node.agent:
            made["agent"] = node.agent
    return made
