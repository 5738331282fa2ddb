"""The role workflow, for goals that ask for it: whatever is built is reviewed, and integrated only once it passed.

A builder's node `x` becomes `x` -> `x__qa` -> `x__verdict` -> `x__integrate`, and what depended on `x` depends on
`x__integrate`. A review that does not pass adds a repair and another review in front of `x__integrate` (review.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from orchestrator.agents import roles
from orchestrator.agents.roles import Family
from orchestrator.domain.agent import AgentCard

REVIEW: Final = "chordal:review"
"""The built-in function that reads a review."""
CYCLES: Final = 3
"""Repairs of one piece of work before a manager decides."""
MOST_CYCLES: Final = 9
OUR_RETRIES: Final = 5
"""Of nodes that call functions of ours: what they fail by and could not mend is never tried again."""
QA, VERDICT, INTEGRATE, FIX, ESCALATE = "__qa", "__verdict", "__integrate", "__fix", "__escalate"

Nodes = list[dict[str, Any]]


def faults(cards: Mapping[str, AgentCard]) -> list[str]:
    """What the agents lack for the workflow."""
    found = []
    if not roles.of_family(Family.REVIEWER, cards):
        found.append(f"workflow: no agent reviews; declare one with a role such as {_some(roles.REVIEWERS)}")
    if not roles.of_family(Family.MANAGER, cards):
        found.append(f"workflow: no agent manages; declare one with a role such as {_some(roles.MANAGERS)}")
    return found


def expand(
    nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], cards: Mapping[str, AgentCard],
    cycles: int = CYCLES,
) -> tuple[Nodes, Nodes]:  # fmt: skip
    """The plan with the nodes of the workflow behind every builder's. `cards` must be without `faults`."""
    builders = {str(node["id"]) for node in nodes if is_built(node, cards)}
    load: dict[str, int] = {}
    made: Nodes = []
    for node in nodes:
        made.append(dict(node))
        if node["id"] in builders:
            made[-1]["metadata"] = {**node.get("metadata", {}), "phase": "build", "review": f"{node['id']}{QA}"}
            made += _behind(node, cards, load, cycles)
    wired: Nodes = [
        {**edge, "source": edge["source"] + INTEGRATE} if edge["source"] in builders else dict(edge) for edge in edges
    ]
    for name in (str(node["id"]) for node in nodes if node["id"] in builders):
        parts = (name, name + QA, name + VERDICT, name + INTEGRATE)
        wired += [{"source": source, "target": target} for source, target in pairwise(parts)]
        wired.append({"source": name, "target": name + INTEGRATE})
    return made, wired


def gated(edges: Sequence[Mapping[str, Any]], gates: Mapping[str, str]) -> Nodes:
    """The edges of new nodes, with the integration in place of stored work that is reviewed; each pair once."""
    found = {}
    for edge in edges:
        source = gates.get(edge["source"], edge["source"])
        found[source, edge["target"]] = {**edge, "source": source}
    return list(found.values())


def with_workflow(document: Mapping[str, Any], cards: Mapping[str, AgentCard], cycles: int = CYCLES) -> dict[str, Any]:
    """A goal's document with the workflow. `cards` must be without `faults`."""
    nodes, edges = expand(document.get("nodes", ()), document.get("edges", ()), cards, cycles)
    return {**document, "nodes": nodes, "edges": edges}


def is_built(node: Mapping[str, Any], cards: Mapping[str, AgentCard]) -> bool:
    """Whether the workflow goes behind this node: an agent's, and the agent neither reviews nor manages."""
    reviewed = "review" in node.get("metadata", {})
    if node.get("kind") != "agent" or (node.get("inputs") or {}).get("judge") or reviewed:
        return False
    card = cards.get(str(node.get("agent", "")))
    return roles.family(card.resolved_role if card else str(node.get("agent", ""))) is Family.BUILDER


def _behind(node: Mapping[str, Any], cards: Mapping[str, AgentCard], load: dict[str, int], cycles: int) -> Nodes:
    name, title = str(node["id"]), str(node.get("title") or node["id"])
    reviewer, manager = (_least(roles.of_family(group, cards), load) for group in (Family.REVIEWER, Family.MANAGER))
    shared = {
        "parent_task_id": name, "review_cycle": "1", "role_assignment": "hard",
        "dev_role": _role(cards, str(node.get("agent", ""))), "manager_role": manager.resolved_role,
    }  # fmt: skip
    qa = agent_node(name + QA, f"Review: {title}", reviewer, {**shared, "phase": "qa"}, node)
    qa["inputs"] = {"task": review_task(node), "judge": "review"}
    integrate = agent_node(name + INTEGRATE, f"Integrate: {title}", manager, {**shared, "phase": "integrate"}, node)
    integrate["inputs"] = {"task": _integrate_task(node)}
    return [qa, verdict_node(name, 1, name + QA, cycles, node), integrate]


def agent_node(
    name: str, title: str, card: AgentCard, metadata: Mapping[str, str], like: Mapping[str, Any]
) -> dict[str, Any]:
    """A node of an agent, with the priority of another one."""
    made: dict[str, Any] = {"id": name, "title": title[:1000], "kind": "agent", "agent": card.name}
    made["metadata"] = {**metadata, "required_role": card.resolved_role}
    made["priority"] = like.get("priority", 0)
    return made | ({"queue": card.queue} if card.queue else {})


def verdict_node(
    work: str, cycle: int, review: str, cycles: int, like: Mapping[str, Any], last: bool = False
) -> dict[str, Any]:
    """The node that reads a review of a piece of work."""
    inputs = {"review": {"from": review, "path": "output"}, "work": work, "cycle": cycle, "cycles": cycles}
    return {
        "id": work + VERDICT + ("" if cycle == 1 else str(cycle)),
        "title": f"Verdict {cycle}: {like.get('title') or work}"[:1000],
        "kind": "python", "call": REVIEW, "retries": OUR_RETRIES,
        "inputs": inputs | ({"last": True} if last else {}),
        "priority": like.get("priority", 0),
        "metadata": {"phase": "verdict", "parent_task_id": work, "review_cycle": str(cycle)},
    }  # fmt: skip


def review_task(node: Mapping[str, Any]) -> str:
    """What a reviewer is asked about a piece of work."""
    wanted = "".join(f"\n- {name}" for name in node.get("expected_artifacts", ()))
    artifacts = f"\n\nIt should have left behind:{wanted}" if wanted else ""
    return (
        "Review the output that you are given against its task. passed is true only if nothing must be mended before "
        "others build on it; else findings says, one by one, what must be mended and how.\n\n"
        f"The task was:\n{task_of(node)}{artifacts}"
    )


def _integrate_task(node: Mapping[str, Any]) -> str:
    return (
        "The work on this task passed its review. Integrate it: give the final result, in full, as those who depend on it "
        "need it. Where repairs were made, the latest one is what counts.\n\n"
        f"The task was:\n{task_of(node)}"
    )


def task_of(node: Mapping[str, Any]) -> str:
    """What an agent's node is to do."""
    task = (node.get("inputs") or {}).get("task")
    return task if isinstance(task, str) and task else str(node.get("title") or node["id"])


def _least(cards: Sequence[AgentCard], load: dict[str, int]) -> AgentCard:
    chosen = min(cards, key=lambda card: load.get(card.name, 0))
    load[chosen.name] = load.get(chosen.name, 0) + 1
    return chosen


def _role(cards: Mapping[str, AgentCard], agent: str) -> str:
    card = cards.get(agent)
    return card.resolved_role if card else agent


def _some(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
