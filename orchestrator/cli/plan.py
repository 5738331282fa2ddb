"""`plan`: what a goal compiles to, without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, connection_options, example, set_option
from orchestrator.cli.declared import take_wish, wish_options

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
@click.option("--llm", is_flag=True, help="Have the model plan, and show its plan as YAML, or drawn as --format says.")
@set_option
@wish_options
@connection_options
def plan(path: str, form: str, as_json: bool, out: Path | None, llm: bool, values: dict[str, Any], **wish: Any) -> None:
    """Show a goal's chains, chords and critical path. Needs no Redis; nothing runs.

    Of declared agents (an INSTRUCTIONS file, or a folder with one) it shows the DAG beside them or the one of their task
    lists; where a model is to plan, the steps that lead to its plan. With --llm a model makes that plan, on the running
    stack or one that is started for it; nothing of the plan is carried out.
    """
    from orchestrator.cli.load import read_source
    from orchestrator.compile.plan import compile as compile_goal
    from orchestrator.compile.render import render

    source = read_source(path, values, take_wish(wish))
    goal, form = source.goal, "json" if as_json else form
    if llm:
        from orchestrator.agents.plan.text import plan_text
        from orchestrator.cli.plan_llm import as_goal, planned

        made = planned(source, as_json=as_json)
        goal = as_goal(source, made)
        text = plan_text(made) if form == "text" else render(compile_goal(goal), goal, form)
    else:
        text = render(compile_goal(goal), goal, form)
    if out is None and form == "json":
        click.echo(json.dumps(json.loads(text), indent=2))  # ASCII: `safe` would break JSON's own escapes
    elif out is None:
        click.echo(output.safe(text), nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"wrote {out}", err=True)
