"""The command group: which commands there are, where each is defined, and the one place where errors end."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import click

from orchestrator.cli.context import connection_options
from orchestrator.cli.exits import one_handler
from orchestrator.cli.groups import LazyGroup, Sections

SECTIONS: Final[Sections] = {
    "Run": {
        "run": "run:run",
        "submit": "goals:submit",
        "watch": "run:watch",
        "plan": "plan:plan",
        "plans": "plans:plans",
        "replan": "plans:replan",
        "ask": "ask:ask",
    },
    "Look": {
        "status": "goals:status",
        "list": "goals:list_goals",
        "show": "show:show",
        "why": "why:why",
        "events": "events:events",
        "history": "history:history",
    },
    "Control": {
        "pause": "control:pause",
        "resume": "control:resume",
        "cancel": "control:cancel",
        "retry": "control:retry",
        "approve": "plans:approve",
        "reject": "control:reject",
        "signal": "control:signal",
        "drop": "control:drop",
        "edit": "control:edit",
        "priority": "control:priority",
        "budget": "control:budget",
        "hold": "fleet:hold",
        "release": "fleet:release",
        "stop": "fleet:stop",
        "command": "fleet:command",
        "heartbeat": "heartbeat:heartbeat",
    },
    "Agents": {
        "agents": "agents:agents",
        "transcript": "transcript:transcript",
        "steer": "agents:steer",
        "flush-memory": "fleet:flush_memory",
        "complete": "agents:complete",
        "instructions": "instructions:instructions",
        "reparse": "reparse:reparse",
    },
    "Models": {
        "llm": "llm:llm",
    },
    "Operate": {
        "doctor": "doctor:doctor",
        "top": "top:top",
        "workers": "workers:workers",
        "dead": "dead:dead",
        "audit": "history:audit",
        "metrics": "metrics:metrics",
    },
    "This machine": {
        "up": "stack:up",
        "ps": "stack:ps",
        "down": "stack:down",
        "completion": "completion:completion",
    },
}
"""Each command's module in this package and its name there."""


class ChordalGroup(LazyGroup):
    """Ends every expected error as a message and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, sections=SECTIONS, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        with one_handler(as_json="--json" in ctx.args):
            return super().invoke(ctx)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"chordal {version('chordal')}")
        except PackageNotFoundError:
            click.echo("chordal (not installed)")
        ctx.exit()


@click.group(cls=ChordalGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@connection_options
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version and exit."
)
def chordal() -> None:
    """Durable agent task graphs on Celery.

    A goal is a DAG of nodes in a JSON or YAML file, a folder with a goal.py, or agents declared in an INSTRUCTIONS.md.
    `chordal run` runs one from start to end; `chordal up` keeps a stack of Redis, workers and beat on this machine;
    with CHORDAL_REDIS_URL the same commands work on your own.

    \b
    Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 cancelled, 4 Redis not reachable, 130 detached,
    141 the reader of the output went away.
    Shell completion: eval "$(chordal completion bash)"   (or zsh, fish)
    """


@click.group(cls=ChordalGroup, name="goal", context_settings={"help_option_names": ["-h", "--help"]})
@connection_options
def celery_goal() -> None:
    """Submit, watch and control goals: the commands of `chordal`, under `celery -A orchestrator goal`."""


def main() -> None:
    """The console script `chordal`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a narrow terminal encoding must not end the command
    chordal(prog_name="chordal")
