"""The commands that change a goal. Each prints what became of it in one sentence, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import (
    Command,
    Id,
    client,
    connection_options,
    example,
    goal_argument,
    json_option,
    node_argument,
)

reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; kept with the goal and in its events.")
comment_option = click.option("--comment", default="", metavar="TEXT", help="Kept with the decision.")


SENTENCES: Final[Mapping[str, str]] = {
    "paused": "is paused: what runs finishes, nothing new starts",
    "resumed": "goes on",
    "unchanged": "is in that state already; nothing changed",
    "cancelled": "is cancelled",
    "ended": "had ended already; nothing changed",
    "retried": "runs again",
    "approved": "is approved",
    "rejected": "is rejected",
    "woken": "has received the signal",
    "kept": "keeps the signal for the node that will wait for it",
}
"""The facade's words for what became of a command, as people read them."""


def _said(outcome: str, as_json: bool, goal: str, node: str | None = None) -> None:
    """Print the outcome of a command; `outcome` is the facade's word for it."""
    if as_json:
        output.json_line({"goal_id": goal, **({"node": node} if node else {}), "outcome": outcome})
    else:
        subject = f"node {node} of goal {goal}" if node else f"goal {goal}"
        click.echo(f"{subject} {output.one_line(SENTENCES.get(outcome, outcome))}")


def _control(*examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """The decorators that all control commands share."""

    def made(function: Callable[..., Any]) -> click.Command:
        command = click.command(cls=Command, epilog=example(*examples))
        return command(goal_argument(json_option(connection_options(function))))

    return made


@_control("chordal pause g1 --reason 'waiting for the new key'")
@reason_option
def pause(goal: str, reason: str, as_json: bool) -> None:
    """Pause a goal: running nodes finish, nothing new starts."""
    _said(client().pause(goal, reason=reason), as_json, goal)


@_control("chordal resume g1")
def resume(goal: str, as_json: bool) -> None:
    """Let a paused goal go on."""
    _said(client().resume(goal), as_json, goal)


@_control("chordal cancel g1 --reason 'wrong input'")
@reason_option
def cancel(goal: str, reason: str, as_json: bool) -> None:
    """Cancel a goal for good: what has not started never will."""
    _said(client().cancel(goal, reason=reason), as_json, goal)


@_control("chordal retry g1", "chordal retry g1 --node fetch")
@click.option("--node", type=Id(), metavar="NODE", help="Only this failed node and what hangs on it.  [all failed]")
def retry(goal: str, node: str | None, as_json: bool) -> None:
    """Run the failed nodes of a goal again, and what was skipped because of them."""
    _said(client().retry(goal, node=node), as_json, goal, node)


@_control("chordal approve g1 release --comment 'looks good'", "chordal approve g1 approve-plan --plan plan.yaml")
@node_argument
@comment_option
@click.option(
    "--plan",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For the approval of a plan: carry out this one, an edited output of `plans`.",
)
def approve(goal: str, node: str, comment: str, plan: Path | None, as_json: bool) -> None:
    """Say yes to an approval node that waits. An edited plan is checked first; its faults leave everything as it is."""
    if plan is None:
        return _said(client().approve(goal, node, comment=comment), as_json, goal, node)
    from orchestrator.cli.plans import approve_edited

    return _said(approve_edited(client(), goal, node, plan, comment, quiet=as_json), as_json, goal, node)


@_control("chordal reject g1 release --comment 'not on a Friday'")
@node_argument
@comment_option
def reject(goal: str, node: str, comment: str, as_json: bool) -> None:
    """Say no to an approval node that waits: it fails."""
    _said(client().reject(goal, node, comment=comment), as_json, goal, node)


@_control("chordal signal g1 invoice-paid", """chordal signal g1 invoice-paid '{"amount": 12}'""")
@click.argument("name", type=Id(), metavar="NAME")
@click.argument("payload", required=False, metavar="[JSON]")
def signal(goal: str, name: str, payload: str | None, as_json: bool) -> None:
    """Send a named signal to the wait nodes of a goal; JSON becomes their output."""
    from orchestrator.domain.document import parse_json
    from orchestrator.domain.errors import InvalidGoal

    try:
        value = parse_json(payload) if payload is not None else None
    except InvalidGoal as error:
        fault = error.faults[0]
        hint = "; a text needs double quotes inside the shell's" if payload and payload[0].isalpha() else ""
        raise click.BadParameter(f"{fault.message} ({fault.place}){hint}", param_hint="JSON") from None
    _said(client().signal(goal, name, payload=value), as_json, goal)
