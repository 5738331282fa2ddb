"""`plans` and `replan`: look at a plan before it starts, and have one changed that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, Id, again, client, connection_options, example, goal_argument, json_option

if TYPE_CHECKING:
    from orchestrator.agents.plan.waiting import WaitingPlan
    from orchestrator.wiring import Chordal


@click.command(
    cls=Command, epilog=example("chordal plans g1 > plan.yaml", "chordal approve g1 approve-plan --plan plan.yaml")
)
@goal_argument
@click.argument("node", type=Id(), metavar="[NODE]", required=False)
@json_option
@connection_options
def plans(goal: str, node: str | None, as_json: bool) -> None:
    """Print the plan that waits for approval, as YAML that can be edited.

    NODE is the approval or the planner's node, where a goal has several plans; with it a plan that was answered is
    printed too. With --json every plan of the goal is printed.
    """
    found = _plans(client(), goal)
    if as_json:
        return output.json_line([_as_json(one) for one in found])
    chosen = [one for one in found if (node in (one.approval, one.planner) if node else one.waits)]
    if not chosen:
        known = ", ".join(one.approval or one.planner for one in found) or "none"
        raise click.UsageError(f"no plan of {goal} waits for an answer; its plans: {known}")
    one = chosen[-1]
    if one.waits:
        click.echo(f"# goal {goal}: approve it as it is, or edited:")
        click.echo(f"#   {again('approve', goal, one.approval)}")
        click.echo(f"#   {again('approve', goal, one.approval, '--plan', 'FILE')}")
    return click.echo(_text(one), nl=False)


@click.command(cls=Command, epilog=example("chordal replan g1 --reason 'the customer wants it in French'"))
@goal_argument
@click.option("--reason", required=True, metavar="TEXT", help="What the planner is told, and the goal's events say.")
@click.option("--approve", "approval", is_flag=True, help="A person looks at the change before it is made.")
@json_option
@connection_options
def replan(goal: str, reason: str, approval: bool, as_json: bool) -> None:
    """Have the goal's planner change the plan while it runs.

    It may add nodes, and drop those that nobody has begun; what runs or has ended stays as it is.
    """
    node = client().agents.replan(goal, reason, approve=approval)
    if as_json:
        output.json_line({"goal_id": goal, "node": node, "outcome": "replanning"})
    else:
        click.echo(f"goal {goal} is planned anew by its node {node}")


def approve_edited(door: Chordal, goal: str, node: str, file: Path, comment: str, quiet: bool) -> str:
    """Answer the approval of a plan with an edited one, and show what was changed.

    Raises BadPlan with every fault, and a click error where the file is no YAML or empty.
    """
    from orchestrator.agents.plan.form import read
    from orchestrator.agents.plan.text import plan_diff, read_plan
    from orchestrator.domain.errors import InvalidGoal

    try:
        value = read_plan(file.read_bytes())
    except InvalidGoal as error:
        raise click.BadParameter(f"{file}: {error.faults[0]}", param_hint="--plan") from None
    if value is None:
        raise click.BadParameter(
            f"{file}: there is no plan in it; `approve` without --plan takes the plan as it is", param_hint="--plan"
        )
    outcome = door.approve(goal, node, comment=comment, plan=value)
    before = next((one.plan for one in _plans(door, goal) if one.approval == node), None)
    if before is not None and not quiet:
        after, _ = read(value, type(before))
        click.echo(
            output.safe(plan_diff(before, after) or "the plan is as it was proposed\n") if after else "", nl=False
        )
    return outcome


def _plans(door: Chordal, goal: str) -> list[WaitingPlan]:
    from orchestrator.agents.plan.waiting import plans_of

    return plans_of(door.store, door.payloads, goal)


def _text(one: WaitingPlan) -> str:
    from orchestrator.agents.plan.text import plan_text

    return output.safe(plan_text(one.plan))


def _as_json(one: WaitingPlan) -> dict[str, Any]:
    return {
        "planner": one.planner, "approval": one.approval or None, "waits": one.waits, "plan": one.plan.model_dump(mode="json"),
    }  # fmt: skip
