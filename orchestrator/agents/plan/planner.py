"""From a goal in words to a document that plans itself: `plan` -> `approve-plan` -> `apply-plan`, and what was planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

from orchestrator.agents.declare.instructions import Declaration
from orchestrator.agents.plan import workflow as role_workflow
from orchestrator.agents.plan.approval import APPLY
from orchestrator.agents.plan.form import read
from orchestrator.agents.plan.judges import Terms
from orchestrator.agents.plan.proposal import MOST_NODES, Proposal
from orchestrator.agents.plan.scene import PLANNERS, workers
from orchestrator.agents.plan.workflow import CYCLES, MOST_CYCLES, OUR_RETRIES
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import Fault, InvalidGoal

PLAN, APPROVE, APPLY_PLAN = "plan", "approve-plan", "apply-plan"
"""Ids of the nodes of a goal that plans itself."""
INSTRUCTIONS_CHARACTERS: Final = 400
"""How much of an agent's instructions the planner reads."""
MOST_AGENTS: Final = 200
_OUR_NAMES: Final = ("planner", "planner.chordal", "planner.of.chordal")
DEFAULT_INSTRUCTIONS: Final = """\
You plan the work of a team of agents. You are told the goal and the agents, and answer with a plan: nodes, each a piece of
work for one agent, and for each node what must be done before it. You do no work yourself.

- Name for each node the agent, or the role that it needs. Use only agents and roles that you were told.
- An agent sees the goal, its task, and the outputs of the nodes in depends_on; nothing else. Say in the task all that it needs.
- What does not depend on each other runs at the same time: depend only on what is needed.
- As few nodes as do the work well. The last node gives the result of the goal.
- A node of the kind approval stops until a person says yes; use it where the goal asks for that."""


def is_ours(card: AgentCard) -> bool:
    """Whether nobody declared this planner: `planner_of` made it."""
    return card.name in _OUR_NAMES and card.instructions == DEFAULT_INSTRUCTIONS


def planner_of(cards: Mapping[str, AgentCard], model: str | None = None) -> AgentCard:
    """The agent that plans: the declared one with the role planner or orchestrator, as it is, else our own."""
    declared = next((card for card in cards.values() if card.resolved_role in PLANNERS), None)
    if declared is not None:
        return declared
    name = next(name for name in _OUR_NAMES if name not in cards)
    return AgentCard(name=name, role="planner", instructions=DEFAULT_INSTRUCTIONS, model=model, memory=0)


def planning_goal(
    agents: Declaration | Iterable[AgentCard],
    goal_text: str,
    *,
    goal_id: str | None = None,
    title: str = "",
    approve: bool = True,
    workflow: bool = False,
    review_cycles: int = CYCLES,
    recovery: bool = True,
    owner: str = "default",
    priority: int = 0,
    model: str | None = None,
    budget: Mapping[str, Any] | None = None,
    apply: bool = True,
) -> dict[str, Any]:
    """The document of a goal that an agent plans first, for `submit`.

    `model` is our planner's; a declared one has its own. With `approve` a person sees the plan before it starts, with
    `workflow` each piece of work is reviewed, with `recovery` agents that give up get help. With `apply` off nothing follows
    the plan: it is only made. Raises InvalidGoal where nobody could do a plan's work, or the workflow lacks a role.
    """
    if isinstance(agents, Declaration):
        goal_id, title = goal_id or agents.goal, title or agents.title
        recovery = recovery and agents.options.recovery is not False
        agents = agents.cards
    known = {card.name: card for card in agents}
    able = workers(known)
    _check(able, goal_text, workflow)
    planner = planner_of(known, model)
    metadata = Terms(False, workflow, min(review_cycles, MOST_CYCLES), recovery).as_metadata()
    nodes, edges = _nodes(planner, planning_task(able, workflow), metadata, approve, apply)
    cards_of_goal = {**known, planner.name: planner}
    document: dict[str, Any] = {
        "title": title or _first_line(goal_text),
        "instructions": goal_text,
        "owner": owner,
        "agents": [card.model_dump(mode="json", exclude_defaults=True) for card in cards_of_goal.values()],
        "nodes": nodes,
        "edges": edges,
    }
    optional = {"goal_id": goal_id, "priority": priority, "budget": dict(budget) if budget else None}
    return document | {name: value for name, value in optional.items() if value}


def _check(able: Mapping[str, AgentCard], goal_text: str, wants_workflow: bool) -> None:
    wrong = []
    if not able:
        wrong.append(Fault("agents", "nobody could do the work of a plan", "declare an agent besides the planner"))
    if not goal_text.strip():
        wrong.append(Fault("instructions", "the goal is empty", "say in words what is wanted"))
    if wants_workflow and able:
        wrong += [Fault("agents", text) for text in role_workflow.faults(able)]
    if wrong:
        raise InvalidGoal(wrong)


def _nodes(
    planner: AgentCard, task: str, metadata: Mapping[str, str], approve: bool, apply: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    nodes: list[dict[str, Any]] = [planner_node(PLAN, "Plan", planner, task, "plan", metadata)]
    if apply:
        if approve:
            nodes.append({"id": APPROVE, "kind": "approval", "title": "Approve the plan"})
        approval = {"approval": {"from": APPROVE}} if approve else {}
        nodes.append(apply_node(APPLY_PLAN, "Apply the plan", PLAN, metadata, approval))
    names = [node["id"] for node in nodes]
    return nodes, [{"source": source, "target": target} for source, target in pairwise(names)]


def planner_node(
    name: str, title: str, planner: AgentCard, task: str, judge: str, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """A node whose output is a plan."""
    made: dict[str, Any] = {"id": name, "title": title, "kind": "agent", "agent": planner.name}
    # A declared agent does other work too: what planning is stands with this task, and what a plan is with its judge.
    told = task if planner.instructions.startswith(DEFAULT_INSTRUCTIONS) else f"{DEFAULT_INSTRUCTIONS}\n\n{task}"
    made |= {"inputs": {"task": told, "judge": judge}, "metadata": dict(metadata)}
    return made | ({"queue": planner.queue} if planner.queue else {})


def apply_node(
    name: str, title: str, plan: str, metadata: Mapping[str, str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The node that puts a plan into the goal."""
    inputs = {"plan": {"from": plan}, **more}
    made = {"id": name, "kind": "python", "call": APPLY, "title": title, "retries": OUR_RETRIES}
    return {**made, "inputs": inputs, "metadata": dict(metadata)}


def planning_task(able: Mapping[str, AgentCard], workflow_on: bool) -> str:
    """What the planner is asked."""
    shown = list(able.values())[:MOST_AGENTS]
    parts = [
        "Make the plan for the goal. Leave goal_id empty.",
        "The agents:\n" + "\n".join(about(card) for card in shown),
        f"At most {MOST_NODES} nodes.",
    ]
    if workflow_on:
        parts.append("Plan no reviews and no integration: they are added behind each piece of work by themselves.")
    return "\n\n".join(parts)


def about(card: AgentCard) -> str:
    """A line on an agent, for a planner."""
    does = " ".join(card.instructions.split())
    does = does if len(does) <= INSTRUCTIONS_CHARACTERS else does[: INSTRUCTIONS_CHARACTERS - 3] + "..."
    tools = f"; tools: {', '.join(card.tools[:20])}" if card.tools else ""
    return f"- {card.name} (role {card.resolved_role}{tools})" + (f": {does}" if does else "")


def _first_line(text: str) -> str:
    line = next((line.strip("# ").strip() for line in text.splitlines() if line.strip("# ").strip()), "")
    return line if len(line) <= 120 else line[:117] + "..."


def plan_of(output: Any) -> Proposal | None:
    """The plan in the output of a planner's node."""
    value = output["output"] if isinstance(output, Mapping) and "output" in output else output
    return read(value, Proposal)[0]
