"""A group of commands that are imported only when asked for, so that help stays instant."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

Sections = Mapping[str, Mapping[str, str]]
"""Commands by section, each with its module in this package and its name there."""


class LazyGroup(click.Group):
    """Loads its commands on demand and lists them by section."""

    def __init__(self, *args: Any, sections: Sections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return [name for names in self.sections.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (as above)
        for names in self.sections.values():
            if cmd_name in names:
                module, _, attribute = names[cmd_name].partition(":")
                found: click.Command = getattr(import_module(f"orchestrator.cli.{module}"), attribute)
                return found
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in self.sections.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(name, one.get_short_help_str(100)) for name, one in found if one])
