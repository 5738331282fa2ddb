"""`plan`: what a goal compiles to, without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, connection_options, example, set_option

FORMATS: Final = ("text", "mermaid", "dot", "svg", "json")


@click.command(
    cls=Command, epilog=example("chordal plan goal.json", "chordal plan examples/audit --format svg -o plan.svg")
)
@click.argument("path", metavar="FILE|DIR|-")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What to print.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json; errors are JSON too.")
@click.option(
    "-o", "--output", "out", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT", help="Write to this file."
)
@set_option
@connection_options
def plan(path: str, form: str, as_json: bool, out: Path | None, values: dict[str, Any]) -> None:
    """Show a goal's chains, chords and critical path. Needs no Redis; nothing runs."""
    from orchestrator.cli.load import read_source
    from orchestrator.compile.plan import compile as compile_goal
    from orchestrator.compile.render import render

    goal = read_source(path, values).goal
    form = "json" if as_json else form
    text = render(compile_goal(goal), goal, form)
    if out is None and form == "json":
        click.echo(json.dumps(json.loads(text), indent=2))  # ASCII: `safe` would break JSON's own escapes
    elif out is None:
        click.echo(output.safe(text), nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"wrote {out}", err=True)
