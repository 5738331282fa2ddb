"""`plan --llm`: have a model make the plan of declared agents, and show it; nothing of it is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import client
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.follow import epilogue
from orchestrator.domain.dag import Goal
from orchestrator.domain.errors import ChordalError
from orchestrator.domain.states import GoalState

if TYPE_CHECKING:
    from orchestrator.agents.plan.proposal import Proposal
    from orchestrator.cli.load import Source
    from orchestrator.domain.views import GoalStatus
    from orchestrator.wiring import Chordal

OURS = "plan"
"""The node that plans, in goals that plan first."""


def planned(source: Source, timeout_seconds: float | None = None, as_json: bool = False) -> Proposal:
    """The plan that the model makes, on the running stack or on one that is started for it.

    Raises a click error where there is nothing to plan, and SystemExit where it did not come to a plan: then it has said
    why, as JSON where that is asked for.
    """
    from dataclasses import replace

    from orchestrator.agents.plan.planner import plan_of
    from orchestrator.cli.follow import Follower, Parting
    from orchestrator.cli.ground import Shape, ground
    from orchestrator.cli.models import chosen_for
    from orchestrator.cli.tally import Tally
    from orchestrator.cli.views import make_view

    goal = _only_the_plan(source.goal)
    with ground(chosen_for(source), replace(source, goal=goal), Shape(None, None, "prefork", 1), start=True) as place:
        door = client(place.settings)
        name = door.submit(goal)
        parting = Follower(door, Tally(name, goal.title), make_view("auto"), 0.0, timeout_seconds, place.is_gone).run()
        if parting is not Parting.OVER:
            _cancel(door, name)
            raise SystemExit(ExitCode.DETACHED)
        status = door.status(name)
        if status.state is not GoalState.DONE:
            _say_why(status, as_json)
            raise SystemExit(ExitCode.FAILED)
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


def _cancel(door: Chordal, goal: str) -> None:
    """End a preview that nobody waits for; with its stack it has ended already."""
    try:
        door.cancel(goal, reason="the plan was not waited for")
    except ChordalError:
        click.echo("the preview of the plan was let go: its stack does not answer", err=True)
    else:
        click.echo("the preview of the plan was cancelled", err=True)


def _say_why(status: GoalStatus, as_json: bool) -> None:
    """Why there is no plan. A preview is not tried again: nothing would print what it comes to."""
    if not as_json:
        return epilogue(status, retry=False)
    faults = [{"place": node.id, "message": node.error, "remedy": ""} for node in status.nodes.values() if node.error]
    message = f"no plan was made: goal {status.goal_id} is {status.state}"
    return output.json_line({"error": {"type": "NoPlan", "message": message, "faults": faults}})
