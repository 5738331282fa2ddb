"""Rules for every command: it prints JSON, its help has examples that are right, and exit codes are documented."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli.exits import ExitCode
from orchestrator.cli.main import celery_goal, chordal

ROOT = Path(__file__).parents[3]
Leaf = tuple[str, click.Command]


def leaves(group: click.Group, words: str) -> Iterator[Leaf]:
    """Every command that does something, with its words."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, f"{words} {name}"
        if isinstance(command, click.Group):
            yield from leaves(command, f"{words} {name}")
        else:
            yield f"{words} {name}", command


COMMANDS = [*leaves(chordal, "chordal")]
IDS = [words for words, _ in COMMANDS]


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=IDS)
def test_it_prints_json(words: str, command: click.Command) -> None:
    assert "--json" in {name for param in command.params for name in param.opts}, words


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=IDS)
def test_its_help_says_what_it_does_and_shows_an_example_of_it(words: str, command: click.Command) -> None:
    assert len((command.help or "").split()) >= 3
    assert command.epilog, words
    assert "Example" in command.epilog
    assert words in command.epilog, f"none of the examples of {words} is one"


def examples() -> Iterator[tuple[str, list[str]]]:
    for words, command in COMMANDS:
        for line in (command.epilog or "").splitlines():
            for call in re.findall(r"(?:^|[|(&;]\s*|\$\()(chordal [^|&;)]+)", line.strip()):
                yield words, shlex.split(call.replace('"$', "").rstrip('"'), comments=True)[1:]


@pytest.mark.parametrize(("words", "argv"), [*examples()])
def test_its_examples_name_commands_and_options_that_there_are(words: str, argv: list[str]) -> None:
    command: click.Command = chordal
    rest = list(argv)
    while rest[0].startswith("--"):  # an option of every command, with its value
        del rest[:2]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None, f"{words}: {argv}"
        command = found
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
    for part in rest:
        if re.match(r"--?[a-z]", part):
            assert part.partition("=")[0] in known, f"{words}: {argv}"


def test_every_exit_code_is_in_the_help_and_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    for code in ExitCode:
        assert re.search(rf"\b{code.value} \w", chordal.help or ""), code
        assert f"| `{code.value}` |" in page


def test_celery_has_the_same_commands() -> None:
    there = {words.removeprefix("celery ") for words, _ in leaves(celery_goal, "celery")}
    assert there == {words.removeprefix("chordal ") for words in IDS}
