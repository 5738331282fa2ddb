"""Declared agents: `INSTRUCTIONS.md` or `INSTRUCTIONS.yaml` with the files that it names, read and checked as a whole.

docs/reference/instructions.md has the grammar. Three dialects are read into one `Draft` (Markdown stanzas, YAML with
a version, and the older list of agents in YAML or in a fenced block), and the draft is checked here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from orchestrator.agents.declare.check import Entry, check
from orchestrator.agents.declare.draft import Draft
from orchestrator.agents.declare.faults import InvalidInstructions
from orchestrator.agents.declare.fields import Options
from orchestrator.agents.declare.files import DOCUMENT_BYTES, Folder, Refused, normal
from orchestrator.agents.declare.markdown import read_markdown
from orchestrator.agents.declare.tasks import tasks_goal
from orchestrator.agents.declare.yaml_form import read_yaml_document
from orchestrator.agents.roles import Family, family
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import Fault

__all__ = ["NAMES", "Declaration", "InvalidInstructions", "find_instructions", "read_instructions", "tasks_goal"]

NAMES: Final = ("INSTRUCTIONS.md", "INSTRUCTIONS.yaml", "INSTRUCTIONS.yml")
"""What a declaration is called in a folder, or in its folder `instructions`."""

_KEYS: Final = r"(agents|instruction_schema_version)[ \t]*:"


@dataclass(frozen=True, slots=True)
class Declaration:
    """Agents as they were declared, with what they are to do."""

    path: Path
    """The file it was read from."""
    entries: tuple[Entry, ...]
    """The agents in the order of the file."""
    title: str
    """The goal's title, empty without one."""
    instructions: str
    """What is wanted, in words."""
    options: Options
    """What was said of the goal as a whole; None where nothing was said."""
    files: Mapping[str, str]
    """Path below the folder -> SHA-256 of what was read, the declaration's own file included."""
    listed: bool = False
    """The agents stand in a YAML list, as porki reads them."""
    goal: str | None = None
    """The id of the goal that it was narrowed down to."""

    @property
    def cards(self) -> tuple[AgentCard, ...]:
        """The agents."""
        return tuple(entry.card for entry in self.entries)

    @property
    def goals(self) -> tuple[str, ...]:
        """The ids of the goals that agents name, each once, in order."""
        return tuple(dict.fromkeys(card.goal for card in self.cards if card.goal))

    @property
    def wanted(self) -> str:
        """What a planner is to plan for: the words, or those of the first manager (else of the first agent).

        In a YAML list, where words have no place of their own, porki takes the manager's; so both are taken there.
        """
        managers = (card for card in self.cards if family(card.resolved_role) is Family.MANAGER)
        lead = next(managers, self.cards[0])
        alone = bool(self.instructions) and (not self.listed or self.options.goal_instructions is not None)
        return (
            self.instructions if alone else "\n\n".join(part for part in (self.instructions, lead.instructions) if part)
        )

    @property
    def tasks(self) -> dict[str, tuple[str, ...]]:
        """The open items of the task lists, by agent; agents without any are left out."""
        return {entry.card.name: entry.tasks for entry in self.entries if entry.tasks}

    @property
    def digest(self) -> str:
        """The same for the same files: 16 hexadecimal digits."""
        text = "\n".join(f"{path} {self.files[path]}" for path in sorted(self.files))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def for_goal(self, goal: str | None) -> Declaration:
        """The agents of one goal, and those that name none.

        Where only one goal is declared, its agents work under any id, so that it can be run again under another one.
        """
        meant = goal if goal in self.goals or len(self.goals) != 1 else self.goals[0]
        kept = tuple(entry for entry in self.entries if entry.card.goal in (None, meant))
        return replace(self, entries=kept, goal=goal)

    def head(self) -> dict[str, Any]:
        """The fields of a goal document that follow from the declaration, without nodes and edges."""
        goal = {"goal_id": self.goal} if self.goal else {}
        cards = [card.model_dump(mode="json", exclude_defaults=True) for card in self.cards]
        return {**goal, "title": self.title, "instructions": self.instructions, "agents": cards}


def find_instructions(folder: Path) -> Path | None:
    """The declaration of a folder, in it or in its folder `instructions`; None without one."""
    places = (place / name for place in (folder, folder / "instructions") for name in NAMES)
    return next((place for place in places if place.is_symlink() or place.is_file()), None)


def read_instructions(path: Path, text: str | None = None) -> Declaration:
    """The agents that the file at `path` declares; `text` is taken in place of what the file has.

    Everything it names is looked for below its folder. Raises InvalidInstructions with all faults, each with its file
    and line.
    """
    draft, folder = Draft(str(path)), Folder(path.parent)
    try:
        name = normal(path.name)
        if text is None:
            text = folder.read(name, DOCUMENT_BYTES)
        else:
            folder.hold(name, text.encode("utf-8", "surrogatepass"))
            text = folder.read(name)
    except Refused as refusal:
        place = f"{path}:{refusal.line}" if refusal.line else str(path)
        raise InvalidInstructions([Fault(place, str(refusal))]) from None
    if _is_yaml(path, text):
        read_yaml_document(draft, text)
    else:
        read_markdown(draft, text)
    entries, options, words = check(draft, folder)
    if draft.faults:
        raise InvalidInstructions(sorted(draft.faults, key=_place))
    title = options.title or draft.title
    return Declaration(path, entries, title[:1000], words, options, dict(folder.files), draft.listed)


def _is_yaml(path: Path, text: str) -> bool:
    """The suffix says it, or the text has the keys of the YAML form: those files are often called ``.md``."""
    if path.suffix in (".yaml", ".yml"):
        return True
    first = next((line for line in text.split("\n") if line.strip() and not line.startswith(("#", "---"))), "")
    if re.match(rf"{_KEYS}|-\s+(name|goal|role|instructions|heartbeat)\s*:", first):
        return True
    markdown = re.search(r"^##[ \t]+Agents\b|^(```|~~~)", text, re.MULTILINE | re.IGNORECASE)
    return not markdown and re.search(f"^{_KEYS}", text, re.MULTILINE) is not None


def _place(fault: Fault) -> tuple[str, int]:
    file, _, line = fault.place.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (fault.place, 0)
