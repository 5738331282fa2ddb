"""The sections by name, in the order of the page."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Final

from bench.llm.section import Options, Section

SECTIONS: Final = ("windows", "fairness", "kill", "waiters", "quota", "inflight")
"""Each is the module of this name."""


def measure(name: str, options: Options) -> Section:
    """One section. When it fails, it says so, and the others go on."""
    begun = time.monotonic()
    try:
        section: Section = import_module(f"bench.llm.{name}").measure(options)
    except Exception as error:  # whatever it was: other sections have minutes of figures to keep
        section = Section(name, name, "", missing={name: f"{type(error).__name__}: {error}"[:4000]})
        options.tell(f"not measured: {name}: {error}")
    section.seconds = round(time.monotonic() - begun, 1)
    return section
