"""Sections in the terminal, and as the page of the docs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table as Printed

from bench.llm.results import Results
from bench.llm.section import Section, Table, number
from bench.processes import ROOT

PAGE: Final = ROOT / "docs" / "explanation" / "llm-benchmarks.md"

_INTRO: Final = """# Benchmarks of model calls

The line before a model, measured: are its limits kept, are they used up, is it fair, what does it cost, and what happens
when a process is killed. Figures come from what really went out and from the account's events, never from the limiter's own
gauges."""
_FOOT: Final = """## Run it yourself

`make bench-llm` measures everything; `ARGS="--only windows"` one section, `ARGS="--help"` lists the options, `ARGS=--page`
writes this page again from the newest results."""


def tables(console: Console, section: Section) -> None:
    """Print one section."""
    for table in section.tables:
        printed = Printed(title=table.title, title_justify="left")
        for index, column in enumerate(table.columns):
            printed.add_column(column, justify="right" if index else "left")
        for row in table.rows:
            printed.add_row(*(number(cell) for cell in row))
        console.print(printed)
        if table.note:
            console.print(table.note, markup=False)
    for target in section.targets:
        verdict = "met" if target.met else "MISSED"
        console.print(f"{verdict}: {target.what}: {target.measured}, wanted {target.wanted}", markup=False)
    for what, reason in section.missing.items():
        console.print(f"not measured: {what}: {reason}", style="yellow", markup=False)


def write_page(results: Results, source: str, page: Path = PAGE) -> None:
    """Write the page of the docs."""
    page.write_text(text(results, source), encoding="utf-8")


def text(results: Results, source: str) -> str:
    """The page."""
    made = f"Made by bench/llm/show.py from bench/results/{source}; `make bench-llm ARGS=--page` writes it again."
    return page_of(results, made, _INTRO, _machine(results), _FOOT)


def page_of(results: Results, made: str, intro: str, machine: str, foot: str) -> str:
    """A page of sections: who made it, what it is about, where it was measured, and how to do it again."""
    parts = [f"<!-- {made} -->", intro, machine, *_verdicts(results)]
    for section in results.sections:
        parts += _section(section)
    return "\n\n".join([*parts, foot]) + "\n"


def machine_of(results: Results) -> str:
    """Where it was measured."""
    machine = results.machine
    return f"{machine['cpus']} CPUs ({machine['cpu']}), Python {machine['python']}, {Path(machine['server']).name}"


def _machine(results: Results) -> str:
    options = results.options
    return (
        f"Measured on {results.date[:10]}: {machine_of(results)}. {options['processes']} processes of {options['threads']} threads call, "
        f"on the same machine as the server, which syncs its append-only file every second."
    )


def _verdicts(results: Results) -> Iterator[str]:
    targets = [target for section in results.sections for target in section.targets]
    if targets:
        missed = sum(not target.met for target in targets)
        said = f"{missed} of {len(targets)} targets were missed." if missed else f"All {len(targets)} targets were met."
        rows = [[t.what, t.wanted, t.measured, "yes" if t.met else "**no**"] for t in targets]
        yield f"## Targets\n\n{said}\n\n" + _grid(["what", "wanted", "measured", "met"], rows)


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}"
    if section.how:
        yield section.how.strip()
    for table in section.tables:
        yield from _table(table)
    if section.missing:
        yield "Not measured:\n\n" + "\n".join(
            f"- {what}: {reason.splitlines()[0]}" for what, reason in section.missing.items()
        )


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"{table.title}:"
    yield _grid(list(table.columns), [[number(cell) for cell in row] for row in table.rows])
    if table.note:
        yield table.note


def _grid(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
