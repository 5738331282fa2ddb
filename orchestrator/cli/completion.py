"""`completion`: the line that makes a shell complete commands, options and names."""

from __future__ import annotations

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, connection_options, example, json_option

SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    epilog=example(
        'eval "$(chordal completion bash)"', "chordal completion fish > ~/.config/fish/completions/chordal.fish"
    ),
)
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@json_option
@connection_options
def completion(shell: str, as_json: bool) -> None:
    """Print what makes a shell complete commands, options, goals, nodes, agents, queues and owners.

    Names come from the Redis that the command would use, when you press the key. Put the line of the example into
    ~/.bashrc or ~/.zshrc.
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    script = made(click.get_current_context().find_root().command, {}, "chordal", "_CHORDAL_COMPLETE").source()
    if as_json:
        output.json_line({"shell": shell, "script": script})
    else:
        click.echo(script)
