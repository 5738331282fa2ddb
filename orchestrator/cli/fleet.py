"""Commands on queues, agents and the whole fleet, and any command as JSON."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.context import Command, connection_options, example, json_option, text_of
from orchestrator.cli.control import json_value
from orchestrator.cli.giving import carry_out, control, read


@control(
    "HOLD",
    *("goal", "node", "agent", "queue", "whose"),
    examples=(
        "chordal hold --queue gpu --reason 'the driver is updated'",
        "chordal hold --agent writer --owner acme",
        "chordal hold g1 --node fetch",
    ),
)
def hold() -> dict[str, Any]:
    """Let nobody begin nodes of a queue or an agent, in goals to come too, or one node of a goal; what runs finishes."""
    return {}


@control(
    "RELEASE",
    *("goal", "node", "agent", "queue", "whose", "all"),
    examples=("chordal release --queue gpu", "chordal release g1 --node fetch", "chordal release --all"),
)
def release() -> dict[str, Any]:
    """End a hold; with --all every hold of a queue or an agent, and a `stop`."""
    return {}


@control("STOP", examples=("chordal stop --reason 'maintenance'", "chordal release --all"), for_all=True)
@click.option("--exit", is_flag=True, help="The workers end, too, once their nodes have finished.")
def stop(exit: bool) -> dict[str, Any]:
    """Drain the fleet: what runs finishes, nothing new starts until `release --all`."""
    return {"exit": True} if exit else {}


@control(
    "FLUSH-MEMORY",
    *("goal", "agent", "owner"),
    examples=("chordal flush-memory g1 --agent writer", "chordal flush-memory --agent writer --owner acme"),
    name="flush-memory",
)
def flush_memory() -> dict[str, Any]:
    """Make an agent forget what it did for an owner, or for the owner of a goal."""
    return {}


@click.command(
    cls=Command,
    epilog=example(
        """chordal command '{"command": "PAUSE", "goal": "g1", "mode": "stop", "id": "p-1"}'""",
        "chordal command - <command.json",
    ),
)
@click.argument("payload", metavar="JSON")
@json_option
@connection_options
def command(payload: str, as_json: bool) -> None:
    """Give any command as JSON; - for standard input.

    An object with `command`, for whom it is (`goal`, `node`, `agent`, `queue`, `owner`, `all`), `id`, `reason`,
    `expires_seconds` and the command's own arguments, as in the reference of commands.
    """
    from collections.abc import Mapping

    from orchestrator.cli.answers import tell

    value = json_value(text_of(payload, "JSON"), "JSON")
    if not isinstance(value, Mapping):
        raise click.BadParameter("a command is an object", param_hint="JSON")
    given = read(value)
    tell(given, carry_out(given), as_json)
