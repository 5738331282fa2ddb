"""The reference of the command line names every command, option and exit code that there is."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

import generate
from orchestrator.cli.context import Command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.main import chordal

PAGE = (generate.REFERENCE / "cli.md").read_text("utf-8")


def commands() -> Iterator[tuple[str, click.Command]]:
    """The whole tree, each command with its words."""
    left: list[tuple[str, click.Command]] = [("chordal", chordal)]
    while left:
        words, command = left.pop()
        yield words, command
        if isinstance(command, click.Group):
            ctx = click.Context(command)
            found = [(name, command.get_command(ctx, name)) for name in command.list_commands(ctx)]
            left += [(f"{words} {name}", one) for name, one in found if one is not None]


@pytest.mark.parametrize(("words", "command"), [*commands()][1:])
def test_every_command_and_its_options_are_in_the_reference(words: str, command: click.Command) -> None:
    assert f"### {words}\n" in PAGE
    section = PAGE.partition(f"### {words}\n")[2].partition("\n##")[0]
    common = PAGE.partition("## Options of every command\n")[2].partition("\n##")[0]
    for param in command.params:
        if isinstance(param, click.Option):
            place = common if param.opts[-1] in Command.COMMON[1:] else section
            assert all(f"{name}" in place for name in param.opts), param.opts
        else:
            assert (param.metavar or str(param.name).upper()) in section


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_is_in_the_reference(code: ExitCode) -> None:
    assert f"| `{code.value}` |" in PAGE
