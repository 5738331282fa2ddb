"""The file of one run: machine, date and sections, written again after each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.llm.section import Section, section_of


@dataclass
class Results:
    """What was measured so far."""

    date: str
    machine: dict[str, Any]
    options: dict[str, Any]
    sections: list[Section] = field(default_factory=list)

    @classmethod
    def begun(cls, date: str, machine: dict[str, Any], options: Any) -> Results:
        """Nothing yet. `options` is a dataclass; what it `tell`s with is left out."""
        kept = {name: value for name, value in asdict(options).items() if name != "tell"}
        return cls(date, machine, kept)

    def write(self, path: Path) -> None:
        """All of it; never half a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "date": self.date, "machine": self.machine, "options": self.options,
            "sections": [one.as_json() for one in self.sections],
        }  # fmt: skip
        new = path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1) + "\n")
        new.replace(path)


def read(path: Path) -> Results:
    """The results of an earlier run. Raises OSError and ValueError."""
    document = json.loads(path.read_text())
    sections = [section_of(one) for one in document["sections"]]
    return Results(document["date"], document["machine"], document["options"], sections)
