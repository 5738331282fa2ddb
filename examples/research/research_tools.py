"""The tools of the research example: a folder of notes that agents can search and read, and one place to put the report."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from orchestrator import tool

NOTES: Final = Path(__file__).resolve().parent / "notes"
MOST_HITS: Final = 10


@tool
def search_notes(words: str) -> list[dict[str, str]]:
    """Find lines of the notes in which any of the words stands. Gives the names of notes for read_note."""
    wanted = {word.lower() for word in re.findall(r"\w{3,}", words)}
    found = []
    for note in sorted(NOTES.glob("*.txt")):
        lines = note.read_text(encoding="utf-8").splitlines()
        found += [{"note": note.stem, "line": line} for line in lines if wanted & set(re.findall(r"\w+", line.lower()))]
    return found[:MOST_HITS]


@tool
def read_note(name: str) -> str:
    """The whole text of a note, by its name without a suffix."""
    known = {note.stem: note for note in NOTES.glob("*.txt")}  # the model names a note, never a path
    if name not in known:
        raise ValueError(f"there is no note of that name; there are: {', '.join(sorted(known))}")
    return known[name].read_text(encoding="utf-8")


@tool
def save_report(text: str) -> dict[str, Any]:
    """Save the report. Saving again replaces it."""
    place = Path(os.environ.get("RESEARCH_REPORT", "report.md"))
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f"{place.name}.part")
    unfinished.write_text(text.rstrip() + "\n", encoding="utf-8")
    unfinished.replace(place)
    return {"saved": place.name, "characters": len(text)}
