"""How a command line becomes a command: for whom, under which id, why, until when; and how it is given."""

from __future__ import annotations

import functools
import getpass
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

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

if TYPE_CHECKING:
    from orchestrator.domain import command as model

SHARED: Final[tuple[str, ...]] = ("goal", "node", "agent", "queue", "owner", "all", "id", "reason", "expires_seconds")
"""What the options that every command shares are called, as in a command's payload."""
Arguments = Mapping[str, Any]

_WHY: Final = "Why; kept in the audit trail and in the events."
reason_option = click.option("--reason", default="", metavar="TEXT", help=_WHY)
must_have_reason = click.option("--reason", required=True, metavar="TEXT", help=_WHY)
id_option = click.option("--id", metavar="ID", help="Given again under this id, it is not done again.  [a new one]")
expires_option = click.option(
    "--expires",
    "expires_seconds",
    type=click.FloatRange(min=0, min_open=True, max=604_800),
    metavar="SECONDS",
    help="After so long nobody acts on it any more.",
)

FOR: Final[Mapping[str, Callable[[Any], Any]]] = {
    "GOAL": goal_argument,
    "NODE": node_argument,
    "goal": click.argument("goal", type=Id(), metavar="[GOAL]", required=False),
    "node": click.option("--node", type=Id(), metavar="NODE", help="This node of the goal."),
    "agent": click.option("--agent", type=Id(), metavar="AGENT", help="The nodes of this agent."),
    "queue": click.option("--queue", type=Id(), metavar="QUEUE", help="The nodes of this queue, in every goal."),
    "owner": click.option("--owner", metavar="OWNER", help="Every goal of this owner that it can be done to."),
    "whose": click.option("--owner", metavar="OWNER", help="With --agent: only where it works for this owner."),
    "all": click.option("--all", is_flag=True, help="Every goal that it can be done to."),
}
"""For whom: arguments that must be there in capitals, what can be left out in small letters."""


def control(
    verb: str,
    *targets: str,
    examples: tuple[str, ...],
    name: str | None = None,
    for_all: bool = False,
    reason: Callable[[Any], Any] = reason_option,
) -> Callable[[Callable[..., Arguments]], click.Command]:
    """Make a click command of a function that returns the arguments of the command `verb` from the options of its own.

    What is called as one of `SHARED` among them says for whom it is. `targets` are keys of `FOR`; a test holds them against what the command can be for. `for_all`: it is always for all.
    """

    def made(function: Callable[..., Arguments]) -> click.Command:
        @functools.wraps(function)
        def run(as_json: bool, **given: Any) -> None:
            head = {key: given.pop(key) for key in SHARED if key in given} | ({"all": True} if for_all else {})
            own = dict(function(**given))
            head |= {key: own.pop(key) for key in SHARED if key in own}
            give(verb, head, own, as_json)

        finished: Any = run
        for option in (expires_option, id_option, reason, *(FOR[key] for key in reversed(targets))):
            finished = option(finished)
        decorate = click.command(name, cls=Command, epilog=example(*examples))
        return decorate(json_option(connection_options(finished)))

    return made


def give(verb: str, head: Mapping[str, Any], arguments: Arguments, as_json: bool) -> model.Answer:
    """Give the command and say what became of it. Raises InvalidCommand; exits where it was refused."""
    from orchestrator.cli.answers import tell

    command = command_of(verb, head, arguments)
    answer = carry_out(command)
    tell(command, answer, as_json)
    return answer


def command_of(verb: str, head: Mapping[str, Any], arguments: Arguments) -> model.Command:
    """The command that a line stands for. Raises InvalidCommand with every fault."""
    given = {key: value for key, value in head.items() if value not in (None, "", False)}
    return read({**given, "command": verb, "arguments": dict(arguments)})


def read(payload: Mapping[str, Any]) -> model.Command:
    """The command that a payload stands for, from this door. Raises InvalidCommand with every fault."""
    from orchestrator.domain.command import Door, read_command

    return read_command(payload, Door.CLI, sender())


def carry_out(command: model.Command) -> model.Answer:
    """Have the service do it. Raises RedisNotReachable."""
    door = client()
    with door.reachable():
        return door.commands.carry_out(command)


def sender() -> str:
    """Who is at the keyboard: ``ann@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # nobody of that number in this container, or a platform without users
        user = "?"
    name = f"{user}@{socket.gethostname()}"
    return "".join(one if one.isprintable() else "?" for one in name)[:200]
