"""The commands on goals. Each prints what became of it in one sentence, or as JSON."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.context import Id, text_of
from orchestrator.cli.giving import control

comment_option = click.option("--comment", default="", metavar="TEXT", help="Kept with the decision.")


@control(
    "PAUSE",
    *("goal", "node", "agent", "owner", "all"),
    examples=(
        "chordal pause g1 --reason 'waiting for the new key'",
        "chordal pause g1 --stop",
        "chordal pause g1 --node fetch",
        "chordal pause --owner acme --expires 60",
    ),
)
@click.option("--stop", is_flag=True, help="Stop what runs, too: it runs again, from its start, after `resume`.")
def pause(stop: bool) -> dict[str, Any]:
    """Pause a goal with its sub-goals, a node, an agent, or every goal of an owner: nothing new starts.

    What runs finishes and is kept, unless --stop is given.
    """
    return {"mode": "stop"} if stop else {}


@control(
    "RESUME",
    *("goal", "node", "agent", "owner", "all"),
    examples=("chordal resume g1", "chordal resume g1 --node fetch", "chordal resume --all"),
)
def resume() -> dict[str, Any]:
    """Let go on what was paused: a goal, a node, an agent, or every goal of an owner."""
    return {}


@control(
    "CANCEL",
    *("goal", "owner", "all"),
    examples=("chordal cancel g1 --reason 'wrong input'", "chordal cancel --owner acme"),
)
def cancel() -> dict[str, Any]:
    """Cancel a goal, or every goal of an owner, for good: what has not started never will."""
    return {}


@control(
    "RETRY",
    *("goal", "node", "owner", "all"),
    examples=(
        "chordal retry g1",
        "chordal retry g1 --node fetch",
        "chordal retry g1 --node fetch --descendants",
        "chordal retry --owner acme",
    ),
)
@click.option("--descendants", is_flag=True, help="With --node: what comes after it runs again even where it is DONE.")
def retry(descendants: bool) -> dict[str, Any]:
    """Run the failed nodes of a goal again, and what was skipped because of them; with --node, only that one's."""
    return {"descendants": True} if descendants else {}


@control("REJECT", "GOAL", "NODE", examples=("chordal reject g1 release --comment 'not on a Friday'",))
@comment_option
def reject(comment: str) -> dict[str, Any]:
    """Say no to an approval node that waits: it fails."""
    return {"comment": comment} if comment else {}


@control(
    "SIGNAL",
    "GOAL",
    examples=("chordal signal g1 invoice-paid", """chordal signal g1 invoice-paid '{"amount": 12}'"""),
)
@click.argument("name", metavar="NAME")
@click.argument("payload", required=False, metavar="[JSON]")
def signal(name: str, payload: str | None) -> dict[str, Any]:
    """Send a named signal to the wait nodes of a goal; JSON becomes their output."""
    return {"name": name} if payload is None else {"name": name, "payload": json_value(payload, "JSON")}


@control(
    "DROP-TASK",
    *("GOAL", "NODE"),
    examples=("chordal drop g1 translate", "chordal drop g1 translate --dependants rewire"),
    name="drop",
)
@click.option(
    "--dependants",
    type=click.Choice(("skip", "fail", "rewire")),
    default="skip",
    show_default=True,
    help="What needed it is skipped, sees it as failed, or waits for what it waited for.",
)
def drop(dependants: str) -> dict[str, Any]:
    """Take a node that has not begun out of the plan."""
    return {"dependants": dependants}


@control(
    "EDIT",
    *("GOAL", "NODE"),
    examples=("chordal edit g1 fetch --set url=https://example.org/new --retry", "chordal edit g1 fetch --inputs -"),
)
@click.option("--inputs", metavar="JSON", help="All of its inputs anew, as an object; - for standard input.")
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE", help="One input: JSON, else text. Repeatable.")
@click.option("--retry", is_flag=True, help="Run it again at once, if it has failed.")
def edit(inputs: str | None, values: tuple[str, ...], retry: bool) -> dict[str, Any]:
    """Give a node other inputs before it runs, or after it has failed. The other inputs stay as they are with --set."""
    if (inputs is None) == (not values):
        raise click.UsageError("give either --inputs JSON (all of them) or --set KEY=VALUE (some of them)")
    found: dict[str, Any] = {"retry": True} if retry else {}
    if inputs is not None:
        return found | {"inputs": json_value(text_of(inputs, "--inputs"), "--inputs")}
    return found | {"set": dict(_pair(one) for one in values)}


@control(
    "SET-PRIORITY",
    *("GOAL", "node"),
    examples=("chordal priority g1 50", "chordal priority g1 50 --node fetch"),
    name="priority",
)
@click.argument("priority", type=click.IntRange(min=0), metavar="PRIORITY")
def priority(priority: int) -> dict[str, Any]:
    """Give a goal, or one node of it, another priority: higher goes first."""
    return {"priority": priority}


@control(
    "SET-BUDGET",
    *("goal", "owner"),
    examples=("chordal budget g1 --tokens 200000", "chordal budget --owner acme --usd 20 --account openai"),
    name="budget",
)
@click.option("--tokens", type=click.IntRange(min=0), metavar="N", help="Tokens of model calls, in all.")
@click.option("--usd", type=click.FloatRange(min=0, max=1e9), metavar="USD", help="US dollars, in all.")
@click.option("--account", type=Id(), metavar="NAME", help="With --owner: on this account of models.  [every one]")
def budget(tokens: int | None, usd: float | None, account: str | None) -> dict[str, Any]:
    """Set what a goal or an owner may spend on model calls in all, with what it has spent already."""
    found = {"tokens": tokens, "micro_usd": None if usd is None else round(usd * 1_000_000), "account": account}
    return {key: value for key, value in found.items() if value is not None}


def json_value(text: str, name: str) -> Any:
    """The value of a JSON text. Raises a click error that names the parameter."""
    from orchestrator.domain.document import parse_json
    from orchestrator.domain.errors import InvalidGoal

    try:
        return parse_json(text)
    except InvalidGoal as error:
        fault = error.faults[0]
        hint = "; a text needs double quotes inside the shell's" if text and text[0].isalpha() else ""
        raise click.BadParameter(f"{fault.message} ({fault.place}){hint}", param_hint=name) from None


def _pair(text: str) -> tuple[str, Any]:
    from orchestrator.domain.document import parse_json
    from orchestrator.domain.errors import InvalidGoal

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--set")
    try:
        return key, parse_json(value)
    except InvalidGoal:
        return key, value
