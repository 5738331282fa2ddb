"""`chordal ask`: one question, one answer, as a durable goal like every other."""

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
    json_option,
    settings,
    text_of,
)
from orchestrator.cli.exits import ExitCode, of_outcome
from orchestrator.domain.states import GoalState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.cli.ground import Ground
    from orchestrator.cli.tally import Tally
    from orchestrator.domain.dag import Goal
    from orchestrator.domain.events import Event
    from orchestrator.domain.views import GoalStatus
    from orchestrator.settings import Settings
    from orchestrator.wiring import Chordal

NODE = "answer"


@click.command(
    cls=Command,
    epilog=example("chordal ask 'What is a fencing token?'", "git diff | chordal ask - --system 'Review this diff.'"),
)
@click.argument("question", metavar="QUESTION")
@click.option("--agent", type=Id(), metavar="NAME", help="Have this agent answer, of the modules in CHORDAL_IMPORTS.")
@click.option("--model", metavar="NAME", help="A model or a chain of the profiles.  [default: the profiles']")
@click.option("--system", metavar="TEXT", help="Instructions that come first; an agent has its own.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Let go of the question after so long."
)
@click.option("--local-model", is_flag=True, help="Serve a small model, where a stack is started for the question.")
@json_option
@connection_options
def ask(question: str, as_json: bool, timeout: float | None, local_model: bool, **how: str | None) -> None:
    """Ask a model or an agent one thing and print the answer. QUESTION is - for standard input.

    Uses the stack that is running, or starts one for the question, as `chordal run` does. The answer goes to stdout;
    JSON is an object with goal_id, state, text, output, model and usage.
    """
    text = text_of(question, "QUESTION")
    if not text.strip():
        raise click.UsageError("there is no question")
    from orchestrator.domain.dag import Goal

    goal = Goal.model_validate(_document(text, **how))
    _ask(goal, timeout, local_model, as_json)


def _document(question: str, agent: str | None, model: str | None, system: str | None) -> dict[str, Any]:
    """A goal of one node: the agent's, or a call of the model."""
    title = " ".join(question.split())[:100]
    if agent is None:
        inputs = {"prompt": question, **({"system": system} if system else {}), **({"model": model} if model else {})}
        return {"title": title, "nodes": [{"id": NODE, "kind": "llm", "title": title, "inputs": inputs}]}
    if model or system:
        raise click.UsageError("an agent has its own model and instructions; --model and --system go without --agent")
    node = {"id": NODE, "kind": "agent", "agent": agent, "title": title, "inputs": {"task": question}}
    return {"title": title, "nodes": [node]}


def _ask(goal: Goal, timeout: float | None, local_model: bool, as_json: bool) -> None:
    from orchestrator.cli.ground import Shape, ground
    from orchestrator.cli.load import Source

    chosen, shape = settings(), Shape(1, None, "threads", 1, local_model)
    goal = _queued(chosen, goal)
    with ground(chosen, Source(goal, Path.cwd(), ()), shape, start=True) as place:
        door = client(place.settings)
        name = door.submit(goal)
        _wait(door, name, timeout, place)
        _tell(door, name, as_json)


def _queued(chosen: Settings, goal: Goal) -> Goal:
    """The goal with its node on the queue of its agent, where that is declared here.

    Raises a click error where there is no such agent. A module that cannot be imported here may have it: then the workers
    say.
    """
    from orchestrator.cli.agents import declared

    (node,) = goal.nodes
    if not node.agent:
        return goal
    known, whole = declared(chosen)
    card = known.get(node.agent)
    if card is None and whole:
        names = ", ".join(sorted(known)) or "none"
        message = (
            f"no module in CHORDAL_IMPORTS declares an agent {node.agent!r} (declared are: {names}); "
            "name there the modules that the workers import"
        )
        raise click.BadParameter(message, param_hint="--agent")
    if card is None or card.queue is None:
        return goal
    return goal.model_copy(update={"nodes": [node.model_copy(update={"queue": card.queue})]})


def _wait(door: Chordal, goal: str, timeout: float | None, place: Ground) -> None:
    from orchestrator.cli.follow import Follower, Parting
    from orchestrator.cli.ground import way_of
    from orchestrator.cli.tally import Tally

    tally = Tally(goal)
    parting = Follower(door, tally, _Silent(), 0.0, timeout, place.is_gone).run()
    if parting is not Parting.OVER:
        way = way_of(place)
        first = f"\n  {way}\nand in another terminal:" if way else ""
        said = "the stack stops now, and the question waits. To go on:" if way else "it goes on."
        click.echo(f"Let go of {goal}; {said}{first}\n  watch it:  {again('watch', goal)}", err=True)
        raise SystemExit(ExitCode.DETACHED)


def _tell(door: Chordal, goal: str, as_json: bool) -> None:
    status = door.status(goal)
    found = door.output(goal, NODE) if status.state is GoalState.DONE else None
    answer: dict[str, Any] = found if isinstance(found, dict) else {}
    if as_json:
        kept = {name: answer.get(name) for name in ("text", "output", "model", "usage")}
        output.json_line({"goal_id": goal, "state": status.state, **kept, "error": _error(status)})
    elif status.state is GoalState.DONE:
        click.echo(output.safe(answer.get("text", "")).rstrip())
    else:
        click.echo(f"no answer, goal {goal} is {status.state}: {output.safe(_error(status))}", err=True)
    raise SystemExit(of_outcome(status.state))


def _error(status: GoalStatus) -> str | None:
    return next((node.error for node in status.nodes.values() if node.error), status.reason or None)


class _Silent:
    """A view that shows nothing but what a person must answer: the answer is all that is wanted."""

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:  # noqa: ARG002
        for event in events:
            if event.type == "node.waiting" and event.data.get("reason") == "approval":
                click.echo(f"waits for a yes: {again('approve', tally.goal, event.node)}", err=True)

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def close(self) -> None:
        pass
