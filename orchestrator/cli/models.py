"""Which models a run of declared agents calls: those that the user named, else a stand-in beside the declaration."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import output
from orchestrator.cli.context import settings

if TYPE_CHECKING:
    from orchestrator.cli.load import Source
    from orchestrator.settings import Settings


def chosen_for(source: Source) -> Settings:
    """The settings, with the profiles beside the declaration where nothing else is named and they call nobody.

    A folder may come from anybody, and profiles say to which address which key goes: so those that call somebody are used
    only when the user names them. Raises InvalidProfiles.
    """
    chosen, file = settings(), source.llm_file
    if file is None or chosen.llm_file is not None:
        return chosen
    if callers := _callers(file):
        click.echo(
            f"{output.one_line(file)} is not used unasked, because it has accounts that call models "
            f"({output.one_line(', '.join(callers), 200)}). To use it, put this before the command:\n"
            f"  CHORDAL_LLM_FILE={output.one_line(shlex.quote(str(file)))}",
            err=True,
        )
        return chosen
    return settings(llm_file=file)


def _callers(file: Path) -> list[str]:
    """The accounts that are no stand-ins."""
    from orchestrator.llm.failures import InvalidProfiles
    from orchestrator.llm.profile_file import load_profiles
    from orchestrator.llm.profiles import Kind

    try:
        profiles = load_profiles(file, {})
    except InvalidProfiles as error:
        error.add_note(f"in {file}")
        raise
    return [name for name, account in profiles.accounts.items() if account.kind is not Kind.SCRIPTED]
