"""The page of the docs and its plots, made from the results of one run: ``python -m bench --page``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.paragraphs import NAME, SECTIONS
from bench.plots import plots
from bench.processes import ROOT

DOCS: Final = ROOT / "docs" / "explanation"
Json = Mapping[str, Any]

_INTRO: Final = """# Benchmarks

Chordal beside plain Celery and other engines, every system on the same machine in one run, in turn, each repetition on fresh
servers and fresh processes. Seconds count from the client's call to its answer. Medians, with the least and the most. Nodes
do nothing, so that what is measured is the engine; what that says about your own nodes of two seconds is: little, which is
why the sleeping nodes, the recovery and the waits behind a crowd are here too."""
_FOOT: Final = """## Run it yourself

`make bench` measures Chordal and plain Celery in a few minutes. `make bench PEERS="ray dask huey"` installs each peer into an
environment of its own below `.bench/` and measures it in the same run; `PEERS=all` takes every one. `make bench ARGS=--page`
writes this page again from the newest results."""


def newest(path: Path, names: str = "[0-9]*.json") -> Path:
    """The file itself, or the newest of a folder with such a name. Raises FileNotFoundError."""
    if path.is_file():
        return path
    found = sorted(path.glob(names))
    if not found:
        raise FileNotFoundError(f"no results in {path}")
    return found[-1]


def write(document: Json, source: str, docs: Path = DOCS) -> list[Path]:
    """Write the page and its plots below `docs`; returns what was written."""
    folder = docs / NAME
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plots(document)
    for old in set(folder.glob("*.svg")) - {folder / f"{name}.svg" for name in drawn}:
        old.unlink()
    made = {folder / f"{name}.svg": text for name, text in drawn.items()}
    made[docs / f"{NAME}.md"] = text(document, source)
    for path, content in made.items():
        path.write_text(content, encoding="utf-8")
    return list(made)


def text(document: Json, source: str) -> str:
    """The page."""
    made = f"<!-- Made by bench/page.py from bench/results/{source}; `make bench ARGS=--page` writes it again. -->"
    return "\n\n".join([made, _INTRO, *(part for section in SECTIONS for part in section(document)), _FOOT]) + "\n"
