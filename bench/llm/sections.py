"""The sections by name, in the order of the page, and how sections are run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.llm import show
from bench.llm.results import Results
from bench.llm.section import Options, Section

SECTIONS: Final = ("windows", "fairness", "kill", "waiters", "quota", "inflight")
"""Each is the module of this name."""


def run(
    names: Iterable[str], act: Callable[[str], Section], results: Results, out: Path, tell: Callable[[str], None]
) -> int:  # fmt: skip
    """Measure sections, print and write each as it ends. Returns 1 when something could not be measured."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    for name in names:
        tell(f"{name} ...")
        section = _measured(name, act, tell)
        results.sections.append(section)
        results.write(out)
        show.tables(console, section)
    tell(f"written: {out}")
    return int(any(section.missing for section in results.sections))


def measure(name: str, options: Options) -> Section:
    """One section of this benchmark."""
    section: Section = import_module(f"bench.llm.{name}").measure(options)
    return section


def _measured(name: str, act: Callable[[str], Section], tell: Callable[[str], None]) -> Section:
    """One section. When it fails, it says so, and the others go on."""
    begun = time.monotonic()
    try:
        section = act(name)
    except Exception as error:  # whatever it was: other sections have minutes of figures to keep
        section = Section(name, name, "", missing={name: f"{type(error).__name__}: {error}"[:4000]})
        tell(f"not measured: {name}: {error}")
    section.seconds = round(time.monotonic() - begun, 1)
    return section
