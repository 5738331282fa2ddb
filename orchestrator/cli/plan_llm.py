"""`plan --llm`: have a model make the plan of declared agents, and show it; nothing of it is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.context import client, settings
from orchestrator.domain.dag import Goal
from orchestrator.domain.states import GoalState

if TYPE_CHECKING:
    from orchestrator.agents.plan.proposal import Proposal
    from orchestrator.cli.load import Source

OURS = "plan"
"""The node that plans, in goals that plan first."""


def planned(source: Source, timeout_seconds: float | None = None) -> Proposal:
    """The plan that the model makes, on the running stack or on one that is started for it.

    Raises a click error where there is nothing to plan, and SystemExit where it did not come to a plan.
    """
    from dataclasses import replace

    from orchestrator.agents.plan.planner import plan_of
    from orchestrator.cli.follow import Follower, Parting, epilogue
    from orchestrator.cli.ground import Shape, ground
    from orchestrator.cli.tally import Tally
    from orchestrator.cli.views import make_view

    goal = _only_the_plan(source.goal)
    chosen = settings(llm_file=source.llm_file) if _beside(source) else settings()
    with ground(chosen, replace(source, goal=goal), Shape(None, None, "prefork", 1), start=True) as place:
        door = client(place.settings)
        name = door.submit(goal)
        parting = Follower(door, Tally(name, goal.title), make_view("auto"), 0.0, timeout_seconds, place.is_gone).run()
        status = door.status(name)
        if parting is not Parting.OVER:
            door.cancel(name, reason="the plan was not waited for")
            raise SystemExit(130)
        if status.state is not GoalState.DONE:
            epilogue(status, place.ours)
            raise SystemExit(1)
        found = plan_of(door.output(name, OURS))
    if found is None:  # an output that its judge let pass is a plan
        raise click.ClickException("the model's answer holds no plan")
    return found


def as_goal(source: Source, plan: Proposal) -> Goal:
    """The plan as a goal, with the workflow where it is asked for: to draw it."""
    from orchestrator.agents.plan.judges import Terms, expanded
    from orchestrator.agents.plan.scene import workers
    from orchestrator.domain.validate import read_goal

    metadata = next(node.metadata for node in source.goal.nodes if node.id == OURS)
    cards = workers({card.name: card for card in source.goal.agents})
    nodes, edges = expanded(plan, cards, Terms.of(metadata, revises=False))
    document: dict[str, Any] = {"title": source.goal.title, "nodes": nodes, "edges": edges}
    return read_goal(document)


def _only_the_plan(goal: Goal) -> Goal:
    nodes = [node for node in goal.nodes if node.id == OURS and (node.inputs or {}).get("judge") == "plan"]
    if not nodes:
        raise click.UsageError("--llm is for declared agents whose goal a model plans; here the DAG is given")
    return goal.model_copy(update={"nodes": nodes, "edges": [], "goal_id": None, "idempotency_key": None})


def _beside(source: Source) -> bool:
    return source.llm_file is not None and settings().llm_file is None
