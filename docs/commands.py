"""The reference page of the command line, read off the click commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from describe import attribute_docs, table
from orchestrator.cli.context import Command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.main import SECTIONS, chordal

_INTRO = """# The command line

`chordal`, and the same commands under `celery -A orchestrator goal`. Results go to stdout, progress and messages to
stderr. With `--json` a command prints one JSON document (`events`: one object a line), and an error is
`{"error": {"type", "message", "faults": [{"place", "message", "remedy"}]}}` on stdout. Control characters in titles,
errors and outputs are shown as `\\x1b`, so that they cannot steer a terminal. `NO_COLOR` turns colours off.

Where Redis is: `--redis-url`, else `CHORDAL_REDIS_URL` or `REDIS_URL`, else the stack that runs in the data directory
(`--data-dir`, else `CHORDAL_DATA_DIR`). Both options work before and after the command's name. Every other
[setting](settings.md) comes from its variable."""

_COMPLETION = """## Shell completion

```sh
eval "$(chordal completion bash)"   # or zsh, fish
```

It completes commands, options, and the names of stored goals, their nodes and agents, of owners and of queues."""


def cli_body() -> str:
    """docs/reference/cli.md without its first line."""
    ctx = click.Context(chordal, info_name="chordal", **chordal.context_settings)
    parts = [_INTRO, _exit_codes(), f"## Options of every command\n\n{_options(chordal, ctx)}"]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}")
        for name in names:
            command = chordal.get_command(ctx, name)
            assert command is not None
            parts.extend(_tree(command, click.Context(command, info_name=name, parent=ctx)))
    return "\n\n".join([*parts, _COMPLETION])


def _exit_codes() -> str:
    docs = attribute_docs(ExitCode)
    rows = [(f"`{code.value}`", _sentence(docs[code.name])) for code in ExitCode]
    return f"## Exit codes\n\n{table(('code', 'meaning'), rows)}"


def _tree(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """A command, and below a group's its own commands."""
    yield from _command(command, ctx)
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(ctx):
        below = command.get_command(ctx, name)
        assert below is not None
        yield from _tree(below, click.Context(below, info_name=name, parent=ctx))


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    yield f"### {ctx.command_path}"
    yield f"```sh\n{' '.join([ctx.command_path, *command.collect_usage_pieces(ctx)])}\n```"
    yield inspect.cleandoc((command.help or "").replace("\b\n", ""))
    if options := _options(command, ctx, leave_out=Command.COMMON[1:]):
        yield options
    if command.epilog:
        lines = [line.strip() for line in command.epilog.splitlines() if line.startswith("  ")]
        yield "\n".join(["```sh", *lines, "```"])


def _options(command: click.Command, ctx: click.Context, leave_out: tuple[str, ...] = ()) -> str:
    rows = []
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
        if record is None or param.opts[-1] in leave_out:
            continue
        names, text = record
        rows.append((f"`{names}`", " ".join(text.replace("\b", "").split())))
    return table(("option", "meaning"), rows) if rows else ""


def _sentence(text: str) -> str:
    return re.sub(r"^.", lambda first: first[0].upper(), text) + "."
