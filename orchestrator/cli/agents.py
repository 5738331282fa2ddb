"""`chordal agents`, `steer` and `complete`: who takes turns, and what is said to them from outside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import (
    Command,
    Id,
    client,
    connection_options,
    example,
    json_option,
    text_of,
)
from orchestrator.cli.giving import control
from orchestrator.domain.states import GOAL_TERMINAL

if TYPE_CHECKING:
    from orchestrator.agents.roster import Presence
    from orchestrator.domain.agent import AgentCard
    from orchestrator.settings import Settings
    from orchestrator.wiring import Chordal


@click.command(cls=Command, epilog=example("chordal agents", "chordal agents g1 --json"))
@click.argument("goal", type=Id(), metavar="[GOAL]", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Newest goals to look at."
)
@json_option
@connection_options
def agents(goal: str | None, limit: int, as_json: bool) -> None:
    """List agents: of one goal, or of all open goals and of the modules in CHORDAL_IMPORTS.

    WORKERS are live workers on the agent's queue; RUNNING, WAITING and ENDED count its nodes. A waiting node holds no
    worker: it is parked until its model, tools or an answer are there.
    """
    door = client()
    with door.reachable():
        found = _present(door, goal, limit)
    if as_json:
        output.json_line([one.as_json() for one in found])
    elif found:
        head = ("AGENT", "ROLE", "QUEUE", "WORKERS", "RUNNING", "WAITING", "ENDED", "GOALS", "MODEL")
        output.columns(head, [_row(one) for one in found])
    else:
        click.echo(
            f"goal {goal} has no agents" if goal else "no open goal has agents, and no module declares one", err=True
        )


def _present(door: Chordal, goal: str | None, limit: int) -> list[Presence]:
    from orchestrator.agents.roster import Roster
    from orchestrator.app import DEFAULT_QUEUE

    goals = [goal] if goal else [one.goal_id for one in door.list(limit) if one.state not in GOAL_TERMINAL]
    if goal:
        door.summary(goal)
    roster = Roster(door.store, door.settings.worker_stale_seconds, DEFAULT_QUEUE)
    if goal is None:
        roster.declared(declared(door.settings)[0])
    roster.goals(goals)
    return roster.found()


def declared(settings: Settings) -> tuple[dict[str, AgentCard], bool]:
    """The agents of the modules that workers import too, and whether all of those could be imported here."""
    from importlib import import_module

    from orchestrator.agents.agent import AGENTS

    here, whole = str(Path.cwd()), True
    if settings.imports and here not in sys.path:
        sys.path.insert(0, here)  # as workers do, which are started in the folder of their modules
    for module in settings.imports:
        try:
            import_module(module)
        except Exception as error:  # the workers say it as well; here it only shortens the list
            whole = False
            click.echo(f"the module {module} cannot be imported here: {output.one_line(error, 200)}", err=True)
    return AGENTS.cards(), whole


def _row(one: Presence) -> tuple[str, ...]:
    workers = str(one.workers) if one.workers else click.style("0", fg="red")
    return (
        output.one_line(one.name), output.one_line(one.role), output.one_line(one.queue), workers, f"{one.running:,}",
        f"{one.waiting:,}", f"{one.ended:,}", f"{len(one.goals):,}", output.one_line(one.model or "-"),
    )  # fmt: skip


@control(
    "STEER",
    *("GOAL", "agent"),
    examples=(
        "chordal steer g1 write 'Keep it under a page.'",
        "chordal steer g1 --agent writer 'Keep it under a page.'",
        "chordal steer g1 write - --as system <note.txt",
    ),
)
@click.argument("nodes", nargs=-1, type=Id(), metavar="[NODE]")
@click.argument("text", metavar="TEXT")
@click.option(
    "--as", "speaker", type=click.Choice(("user", "system")), default="user", show_default=True, help="In whose name."
)
def steer(nodes: tuple[str, ...], text: str, speaker: str) -> dict[str, Any]:
    """Say something to an agent while it works; its next turn reads it.

    TEXT is - for standard input. For a node, or with --agent for every node of an agent that has not ended. Messages keep
    their order, survive a turn that fails, and are refused when the node has ended.
    """
    if len(nodes) > 1:
        raise click.UsageError("say it in one TEXT: put it in quotes")
    message = [{"role": speaker, "content": text_of(text, "TEXT")}]
    return {"message": message, **({"node": nodes[0]} if nodes else {})}


@click.command(
    cls=Command,
    epilog=example(
        """chordal complete g1:ask.t1.0:5f3a '{"arrived": true}'""", "chordal complete TOKEN --error 'lost'"
    ),
)
@click.argument("token", metavar="TOKEN")
@click.argument("payload", required=False, metavar="[JSON]")
@click.option("--error", metavar="TEXT", help="The call failed: its agent reads this.")
@json_option
@connection_options
def complete(token: str, payload: str | None, error: str | None, as_json: bool) -> None:
    """Give a deferred tool call its result, once. JSON is - for standard input.

    TOKEN is what the tool was given as `deferred_token`; who has it may answer. Its call node is named in it.
    """
    if error is not None and payload is not None:
        raise click.UsageError("give either JSON or --error")
    value, door = _value(payload), client()
    with door.reachable():
        outcome = door.agents.complete_deferred(token, value, error=error)
    goal, _, rest = token.partition(":")
    node = rest.partition(":")[0]
    if as_json:
        output.json_line({"goal_id": goal, "node": node, "outcome": outcome})
    else:
        click.echo(f"the tool call {output.one_line(node)} of goal {output.one_line(goal)} has its result")


def _value(payload: str | None) -> Any:
    from orchestrator.domain.document import parse_json
    from orchestrator.domain.errors import InvalidGoal

    if payload is None:
        return None
    try:
        return parse_json(text_of(payload, "JSON"))
    except InvalidGoal as error:
        fault = error.faults[0]
        raise click.BadParameter(f"{fault.message} ({fault.place})", param_hint="JSON") from None
