"""`llm`: the group of commands for model calls."""

from __future__ import annotations

from typing import Final

import click

from orchestrator.cli.context import connection_options
from orchestrator.cli.groups import LazyGroup, Sections

SECTIONS: Final[Sections] = {
    "Look": {
        "status": "llm_status:status",
        "watch": "llm_watch:watch",
        "estimate": "llm_estimate:estimate",
    },
    "Control": {
        "set-limit": "llm_control:set_limit",
        "drain": "llm_control:drain",
        "close": "llm_control:close",
    },
}


@click.group(
    cls=LazyGroup, sections=SECTIONS, name="llm", context_settings={"help_option_names": ["-h", "--help"]}
)  # fmt: skip
@connection_options
def llm() -> None:
    """Look at the line of model calls, change its limits, estimate what calls cost.

    Accounts are those of the file of profiles (CHORDAL_LLM_FILE), or the one of OPENAI_API_KEY and OPENAI_BASE_URL. Use
    the same profiles as the workers: limits come from there. Keys are not needed.
    """
