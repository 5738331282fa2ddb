"""What a section of the benchmark of model calls measures and gives back; how it is shown follows from that.

A section is a module of this package with `measure(options) -> Section`; `bench.llm.sections` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Cell = str | int | float | None
"""Text, a count, a figure; None: not measured."""


@dataclass(frozen=True, slots=True)
class Options:
    """How large a run is."""

    seconds: float = 20.0
    """Of each measurement that lasts as long as one likes."""
    processes: int = 4
    threads: int = 25
    """Of each process."""
    waiters: int = 100_000
    calls: int = 1_000
    """In flight at once."""
    whole: bool = True
    """With what takes minutes: a window of a real minute, quotas, peers. Else only: does it run through?"""
    tell: Callable[[str], None] = print
    """Says what has just been measured."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under names. Numbers stay numbers: whoever shows them rounds."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """What has to be said about it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What was wanted of a figure, and what it was."""

    what: str
    wanted: str
    measured: str
    met: bool

    @classmethod
    def most(cls, what: str, value: float, bound: float, unit: str = "") -> Target:
        """It shall not be above the bound."""
        return cls(what, f"<= {number(bound)}{unit}", f"{number(value)}{unit}", value <= bound)

    @classmethod
    def least(cls, what: str, value: float, bound: float, unit: str = "") -> Target:
        """It shall not be below the bound."""
        return cls(what, f">= {number(bound)}{unit}", f"{number(value)}{unit}", value >= bound)


@dataclass(slots=True)
class Section:
    """One question and what was measured."""

    name: str
    title: str
    how: str
    """How each figure was obtained, and what to know when reading it: Markdown, printed before the tables."""
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    """Raw measurements for the JSON file; not shown."""
    missing: dict[str, str] = field(default_factory=dict)
    """What could not be measured: the reason."""
    seconds: float = 0.0
    """How long it took; filled in by the run."""

    def as_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return asdict(self)


def section_of(document: Mapping[str, Any]) -> Section:
    """From the file."""
    tables = [Table(**one) for one in document["tables"]]
    return Section(**{**document, "tables": tables, "targets": [Target(**one) for one in document["targets"]]})


def number(value: Cell) -> str:
    """For people: counts whole, with commas; small figures with three digits that say something."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.4g}" if abs(value) >= 10 else f"{value:.3g}"
