"""`heartbeat`: have a file read whose lines are commands, and follow what comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, Id, client, connection_options, example, json_option

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration
    from orchestrator.control.files.registry import Registered
    from orchestrator.wiring import Chordal

_UNWATCHED: Final = "no worker on {host} watches it at the moment; lines act once one does, or a beat runs there"


@dataclass(frozen=True, slots=True)
class Purpose:
    """For whom a file is to be read, as the command line says it."""

    goal: str | None
    agent: str | None
    owner: str | None
    all: bool
    any_host: bool

    def is_said(self) -> bool:
        """Whether it says anything."""
        return bool(self.goal or self.agent or self.owner or self.all or self.any_host)

    def check(self) -> None:
        """Raises a click error where it does not say for whom, once."""
        if self.agent and not self.goal:
            raise click.UsageError("--agent is an agent of a goal: give --goal, too")
        if [self.goal is not None, self.owner is not None, self.all].count(True) != 1:
            raise click.UsageError("say for whom the file is: --goal GOAL, --owner OWNER or --all")


@click.command(
    cls=Command,
    epilog=example(
        "chordal heartbeat notes/g1.md --goal g1",
        "chordal heartbeat notes/g1.md --follow",
        "chordal heartbeat ops.md --all",
        "chordal heartbeat",
    ),
)
@click.argument("path", metavar="[FILE]", type=click.Path(dir_okay=False), required=False)
@click.option("--goal", type=Id(), metavar="GOAL", help="Its lines are commands on this goal.")
@click.option("--agent", type=Id(), metavar="AGENT", help="With --goal: PAUSE, RESUME, STEER mean this agent of it.")
@click.option("--owner", metavar="OWNER", help="Its lines are commands on the goals of this owner.")
@click.option("--all", "for_all", is_flag=True, help="Its lines are commands on all goals and on the fleet.")
@click.option("--any-host", is_flag=True, help="Every machine has the file at this path: a shared volume.")
@click.option("--follow", "-f", is_flag=True, help="Show new lines and their answers until Ctrl-C.")
@click.option("--remove", is_flag=True, help="Read it no more.")
@json_option
@connection_options
def heartbeat(
    path: str | None, goal: str | None, agent: str | None, owner: str | None, for_all: bool, any_host: bool, follow: bool,
    remove: bool, as_json: bool,
) -> None:  # fmt: skip
    """Have a file read whose lines are commands: PAUSE, RESUME, DROP-TASK write, STEER write: be brief, ...

    Each line that is added acts once, within a second. Its answer stands in FILE.log beside it. What is in the file
    already does not act. Files that declared agents name are read without this command.

    Without --goal, --owner or --all, shows for whom FILE is read; without FILE, lists the files that are. FILE must lie on a
    machine where a worker or beat runs, and is no link.
    """
    purpose = Purpose(goal, agent, owner, for_all, any_host)
    door = client()
    if path is None:
        if purpose.is_said() or follow or remove:
            raise click.UsageError("name the FILE")
        return _list(door, as_json)
    if remove:
        if purpose.is_said() or follow:
            raise click.UsageError("--remove goes alone with FILE")
        return _remove(door, path, as_json)
    file, what = _register(door, path, purpose) if purpose.is_said() else (_known(door, path), "known")
    if not follow:
        return _say(door, file, what, as_json)
    from orchestrator.cli.heartbeat_follow import Following

    following = Following(door, file)  # from here on: what is written while this is said is shown, too
    _say(door, file, what, as_json)
    return following.run(as_json)


def _register(door: Chordal, path: str, purpose: Purpose) -> tuple[Registered, str]:
    from orchestrator.control.files.parts import this_host
    from orchestrator.control.files.registry import ANY_HOST, Registered

    purpose.check()
    if purpose.goal is not None:
        door.summary(purpose.goal)
    place = _place(path)
    if not place.parent.is_dir():
        raise click.BadParameter(f"there is no folder {place.parent} here", param_hint="FILE")
    host = ANY_HOST if purpose.any_host else this_host()
    file = Registered(
        str(place.parent), place.name, host, goal=purpose.goal, agent=purpose.agent, owner=purpose.owner
    )  # fmt: skip
    with door.reachable():
        return file, door.files.registry.register(file)


def _known(door: Chordal, path: str) -> Registered:
    from orchestrator.control.files.parts import this_host
    from orchestrator.control.files.registry import ANY_HOST

    place = _place(path)
    with door.reachable():
        files = door.files.registry.all()
    for file in files:
        if file.where.path == place and file.host in (this_host(), ANY_HOST):
            return file
    raise click.BadParameter(f"{path} is not read; say for whom it is: --goal, --owner or --all", param_hint="FILE")


def _place(path: str) -> Path:
    """The path without links, but for the file itself, which must be none."""
    given = Path(path)
    return given.parent.resolve() / given.name


def _remove(door: Chordal, path: str, as_json: bool) -> None:
    file = _known(door, path)
    with door.reachable():
        door.files.registry.forget(file)
    if as_json:
        return output.json_line({**_as_json(file), "state": "removed"})
    return click.echo(f"{output.one_line(path)} is read no more")


def _say(door: Chordal, file: Registered, what: str, as_json: bool) -> None:
    with door.reachable():
        watcher = door.files.watcher(file.host) if file.host else None
    if as_json:
        return output.json_line({**_as_json(file), "state": what, "watcher": watcher})
    path = output.one_line(file.where.path)
    click.echo(f"{path} is read for {output.one_line(file.place.text)}; answers: {path}.log")
    if file.host and watcher is None:
        click.echo(_UNWATCHED.format(host=output.one_line(file.host)), err=True)
    return None


def _list(door: Chordal, as_json: bool) -> None:
    with door.reachable():
        files = sorted(door.files.registry.all(), key=lambda file: (file.host, file.where.path))
    if as_json:
        return output.json_line([_as_json(file) for file in files])
    if not files:
        return click.echo("no heartbeat files are read", err=True)
    return output.columns(
        ("file", "for", "on"),
        [
            (
                output.one_line(file.where.path),
                output.one_line(file.place.text),
                output.one_line(file.host or "every machine"),
            )
            for file in files
        ],
    )


def _as_json(file: Registered) -> Mapping[str, Any]:
    return {
        "file": str(file.where.path), "host": file.host or None, "goal": file.goal, "agent": file.agent, "owner": file.owner,
        "all": not (file.goal or file.owner), "instructions": file.instructions or None,
    }  # fmt: skip


def read_declared(door: Chordal, declaration: Declaration | None, goal: str, own_stack: bool = False) -> list[str]:
    """Have the files read that the agents of a submitted goal name; returns what there is to say of it.

    `own_stack`: workers on this machine were started for the goal, and one of them is about to watch.
    """
    from orchestrator.control.files.registry import NotReadable

    if declaration is None or not any(card.heartbeat for card in declaration.cards):
        return []
    try:
        with door.reachable():
            files = door.files.register_declared(declaration, goal)
    except NotReadable as error:
        return [f"no heartbeat file is read: {output.one_line(error)}"]
    names = ", ".join(output.one_line(one.name) for one in files)
    said = [f"reads the heartbeat file{'s' if len(files) > 1 else ''} {names}"]
    host = files[0].host
    with door.reachable():
        watched = door.files.watcher(host)
    return said if watched or own_stack else [*said, _UNWATCHED.format(host=output.one_line(host))]
