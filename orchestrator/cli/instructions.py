"""`chordal instructions`: write a template of declared agents, check a declaration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, connection_options, example, json_option
from orchestrator.cli.groups import LazyGroup, Sections

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration

SECTIONS: Final[Sections] = {"Commands": {"create": "instructions:create", "check": "instructions:check"}}


@click.group(
    cls=LazyGroup, sections=SECTIONS, name="instructions", context_settings={"help_option_names": ["-h", "--help"]}
)
@connection_options
def instructions() -> None:
    """Declare agents in a file: write a template, check what is declared. Needs no Redis."""


@click.command(
    cls=Command,
    epilog=example(
        "chordal instructions create --name writer", "chordal instructions create --name qa --path team.yaml"
    ),
)
@click.option("--name", "-n", required=True, metavar="NAME", help="The agent's name.")
@click.option(
    "--path",
    "-p",
    type=click.Path(path_type=Path),
    default=Path("INSTRUCTIONS.md"),
    show_default=True,
    metavar="PATH",
    help="The file to write, .md, .yaml or .yml; or a folder, for an INSTRUCTIONS.md in it.",
)
@json_option
@connection_options
def create(name: str, path: Path, as_json: bool) -> None:
    """Write a declaration with one agent, to be filled in, and the agent's own file beside it.

    Nothing is ever overwritten.
    """
    from orchestrator.agents.declare.template import template

    if not re.fullmatch(r"(?!\.+$)[A-Za-z0-9._-]{1,64}", name):
        raise click.BadParameter(
            f"{name!r} is not 1 to 64 letters, digits, dots, underscores or hyphens, or only dots", param_hint="--name"
        )
    if path.is_dir() or not path.suffix:
        path = path / "INSTRUCTIONS.md"
    if path.suffix not in (".md", ".yaml", ".yml"):
        raise click.BadParameter("the file is called .md, .yaml or .yml", param_hint="--path")
    texts = {path.parent / file: text for file, text in template(name, path.absolute()).items()}
    if there := [str(file) for file in texts if file.exists() or file.is_symlink()]:
        exist = "exists; it is" if len(there) == 1 else "exist; they are"
        raise click.UsageError(
            f"{', '.join(there[:-1])}{' and ' if there[1:] else ''}{there[-1]} {exist} not overwritten"
        )
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:  # x: whoever was faster keeps his file
            stream.write(text)
    written = [str(file) for file in texts]
    if as_json:
        output.json_line({"written": written})
    else:
        click.echo("\n".join(f"wrote {output.one_line(file)}" for file in written))


@click.command(
    cls=Command,
    epilog=example("chordal instructions check examples/research", "chordal instructions check INSTRUCTIONS.md --json"),
)
@click.argument("path", metavar="PATH", type=click.Path(exists=True))
@json_option
@connection_options
def check(path: str, as_json: bool) -> None:
    """Read declared agents and show them; with faults, all of them, each with file and line, and exit code 2.

    PATH is an INSTRUCTIONS file or a folder with one.
    """
    declaration = read_declaration(path)
    if as_json:
        output.json_line(_as_json(declaration))
    else:
        _show(declaration)


def _show(declaration: Declaration) -> None:
    if declaration.title:
        click.echo(output.one_line(declaration.title))
    output.columns(("AGENT", "ROLE", "GOAL", "MODEL", "TOOLS", "TASKS", "TURNS", "CADENCE", "INSTRUCTIONS"), [
        (
            card.name, card.resolved_role, card.goal or "-", output.one_line(card.model or "-"),
            output.one_line(", ".join(card.tools) or "-"), str(len(entry.tasks) or "-"), str(card.limits.max_turns),
            output.duration(card.cadence_seconds), output.one_line(entry.source or _first_line(card.instructions), 60),
        )
        for entry, card in ((entry, entry.card) for entry in declaration.entries)
    ])  # fmt: skip
    agents, files = len(declaration.entries), len(declaration.files)
    counts = f"{agents} agent{'s' if agents != 1 else ''} in {files} file{'s' if files != 1 else ''}"
    click.echo(f"{counts}, digest {declaration.digest}")


def read_declaration(path: str) -> Declaration:
    """The declaration at a path. Raises InvalidInstructions, or a click error where a folder has none."""
    from orchestrator.agents.declare.instructions import NAMES, find_instructions, read_instructions

    place = Path(path)
    file = find_instructions(place) if place.is_dir() else place
    if file is None:
        raise click.BadParameter(f"the folder {path!r} has none of {', '.join(NAMES)}", param_hint="PATH")
    return read_instructions(file)


def _as_json(declaration: Declaration) -> dict[str, Any]:
    return {
        "path": str(declaration.path), "title": declaration.title, "instructions": declaration.instructions,
        "goals": list(declaration.goals), "options": declaration.options.model_dump(mode="json", exclude_defaults=True),
        "agents": [
            {**entry.card.model_dump(mode="json"), "place": entry.place, "source": entry.source, "tasks": list(entry.tasks)}
            for entry in declaration.entries
        ],
        "files": dict(declaration.files), "digest": declaration.digest,
    }  # fmt: skip


def _first_line(text: str) -> str:
    return text.partition("\n")[0] or "-"
