"""`plans`, `approve` and `replan`: look at a plan before it starts, answer it, and have one changed that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import (
    Command,
    Id,
    again,
    client,
    connection_options,
    example,
    goal_argument,
    json_option,
    node_argument,
)
from orchestrator.cli.giving import (
    carry_out,
    command_of,
    control,
    expires_option,
    give,
    id_option,
    must_have_reason,
    reason_option,
)

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


@control(
    "REPLAN",
    "GOAL",
    examples=("chordal replan g1 --reason 'the customer wants it in French'",),
    reason=must_have_reason,
)
@click.option("--approve", is_flag=True, help="A person looks at the change before it is made.")
def replan(approve: bool) -> dict[str, Any]:
    """Have the goal's planner change the plan while it runs; it is told the reason.

    It may add nodes, and drop those that nobody has begun; what runs or has ended stays as it is.
    """
    return {"approve": True} if approve else {}


@click.command(
    cls=Command,
    epilog=example(
        "chordal approve g1 release --comment 'looks good'", "chordal approve g1 approve-plan --plan plan.yaml"
    ),
)
@goal_argument
@node_argument
@click.option("--comment", default="", metavar="TEXT", help="Kept with the decision.")
@click.option(
    "--plan",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For the approval of a plan: carry out this one, an edited output of `plans`.",
)
@reason_option
@id_option
@expires_option
@json_option
@connection_options
def approve(comment: str, plan: Path | None, as_json: bool, **head: Any) -> None:
    """Say yes to an approval node that waits. An edited plan is checked first; its faults leave everything as it is."""
    from orchestrator.cli.answers import tell

    said = {"comment": comment} if comment else {}
    if plan is None:
        give("APPROVE", head, said, as_json)
        return
    edited = _edited(plan)
    command = command_of("APPROVE", head, {**said, "plan": edited})
    answer = carry_out(command)
    if answer.ok and not as_json:
        _show_changes(head["goal"], head["node"], edited)
    tell(command, answer, as_json)


def _edited(file: Path) -> Any:
    from orchestrator.agents.plan.text import read_plan
    from orchestrator.domain.errors import InvalidGoal

    try:
        value = read_plan(file.read_bytes())
    except InvalidGoal as error:
        raise click.BadParameter(f"{file}: {error.faults[0]}", param_hint="--plan") from None
    if value is None:
        raise click.BadParameter(
            f"{file}: there is no plan in it; `approve` without --plan takes the plan as it is", param_hint="--plan"
        )
    return value


def _show_changes(goal: str, node: str, edited: Any) -> None:
    from orchestrator.agents.plan.form import read
    from orchestrator.agents.plan.text import plan_diff

    before = next((one.plan for one in _plans(client(), goal) if one.approval == node), None)
    after = read(edited, type(before))[0] if before is not None else None
    if before is not None and after:
        click.echo(output.safe(plan_diff(before, after) or "the plan is as it was proposed\n"), nl=False)


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
