"""From a draft to agents: each field checked, each named file read, every fault kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.agents.declare.draft import Draft, Item, Stanza, checked, member, read_yaml
from orchestrator.agents.declare.fields import FRONT_FIELDS, AgentEntry, Options
from orchestrator.agents.declare.files import MISSING, Folder, Refused, normal
from orchestrator.agents.declare.markdown import front_matter
from orchestrator.agents.declare.tasks import open_tasks
from orchestrator.domain.agent import AgentCard, AgentLimits
from orchestrator.domain.errors import Fault

MOST_AGENTS: Final = 1000
TEXT_LENGTH: Final = 100_000
"""Characters of an agent's instructions, and of the goal's."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One declared agent."""

    card: AgentCard
    place: str
    """``file:line`` of its declaration."""
    tasks: tuple[str, ...] = ()
    """The open items of the task lists in its instructions."""
    source: str = ""
    """The file with its instructions, below the folder; empty if they stand in the declaration."""


def check(draft: Draft, folder: Folder) -> tuple[tuple[Entry, ...], Options, str]:
    """The agents, the options, and the goal in words. Faults are added to the draft's; then the rest is as it could be."""
    options = checked(Options, draft.options, Item(None, draft.file, 1), draft.faults) or Options()
    reader = _Reader(draft, folder)
    words = reader.words(options)
    if len(draft.stanzas) > MOST_AGENTS:
        draft.fault(draft.stanzas[MOST_AGENTS].head.line, f"there are more than {MOST_AGENTS:,} agents")
    _find_twins(draft)
    entries = [reader.entry(stanza, options) for stanza in draft.stanzas[:MOST_AGENTS]]
    if not draft.stanzas and not draft.faults:
        draft.fault(1, "no agents are declared")
    return tuple(entry for entry in entries if entry), options, words


class _Reader:
    def __init__(self, draft: Draft, folder: Folder) -> None:
        self._draft, self._folder = draft, folder

    def words(self, options: Options) -> str:
        """What is wanted: the option and the text around the agents."""
        item = self._draft.options.get("goal_instructions")
        given = self._text(item) if item and options.goal_instructions else ""
        words = "\n\n".join(part for part in (given, self._draft.words) if part)
        if len(words) > TEXT_LENGTH:
            place = item or Item(None, self._draft.file, 1)
            self._fault(place, f"the goal's text has more than {TEXT_LENGTH:,} characters")
        return words

    def entry(self, stanza: Stanza, options: Options) -> Entry | None:
        """The agent of a stanza; None where it has faults."""
        before = len(self._draft.faults)
        given = stanza.fields.get("instructions")
        text = self._text(given) if given else ""
        source = self._path_of(given) if given else None
        fields = dict(stanza.fields)
        if source:
            text, front = self._front(text, source, stanza)
            fields = {**front, **fields}
        if stanza.text is not None:
            text = f"{text}\n\n{stanza.text.value}".strip("\n")
        if len(text) > TEXT_LENGTH:
            self._fault(given or stanza.head, f"the instructions have more than {TEXT_LENGTH:,} characters")
        heartbeat = self._heartbeat(fields.get("heartbeat"))
        said = checked(AgentEntry, fields, stanza.head, self._draft.faults)
        if said is None or len(self._draft.faults) > before:
            return None
        card = _card(said, text.strip(), heartbeat, _limits(said, options))
        return Entry(card, stanza.head.place(), open_tasks(text), source or "")

    def _text(self, item: Item) -> str:
        """What a field says that holds a text or names a file."""
        if not isinstance(item.value, str):
            return ""
        path = self._path_of(item)
        if path is None:
            return item.value
        try:
            return self._folder.read(path)
        except Refused as refusal:
            self._fault(item, f"{item.value!r}: {refusal}", _remedy(refusal))
            return ""

    def _path_of(self, item: Item) -> str | None:
        """The path that a field names; None if it holds a text, or a path that is none, which is a fault."""
        value = item.value
        if not isinstance(value, str) or not _names_a_file(value, self._folder):
            return None
        return self._inside(item)

    def _inside(self, item: Item) -> str:
        given = str(item.value).strip()
        try:
            path = normal(given)
        except Refused:
            return given  # reading it says why
        # Written as seen from the folder above, which porki's examples do: ./instructions/heartbeat/a.md.
        head, _, tail = path.partition("/")
        own = Path(self._draft.file).resolve().parent.name
        return tail if tail and head == own and self._folder.look(path) == MISSING else path

    def _front(self, text: str, source: str, stanza: Stanza) -> tuple[str, dict[str, Item]]:
        """The text without its front matter, and what that says."""
        found = front_matter(text)
        if found is None:
            return text, {}
        yaml, length = found
        shown = str(Path(self._draft.file).parent / source)
        root = read_yaml(self._draft, yaml, 1, shown)
        fields: dict[str, Item] = {}
        if root is not None and isinstance(root.value, dict):
            for key in root.value:
                self._draft.put(fields, key, member(root, key), FRONT_FIELDS, "field")
        elif root is not None and root.value is not None:
            self._fault(root, "front matter is a mapping of fields")
        name, mine = fields.pop("name", None), stanza.fields.get("name")
        if name and mine and name.value != mine.value:
            self._fault(name, f"this is {name.value!r}, yet it is named by {mine.value!r}")
        return "\n".join(text.split("\n")[length:]).strip("\n"), fields

    def _heartbeat(self, item: Item | None) -> str | None:
        """The normal path of the file with directives. It need not be there, but nothing else may be in its place."""
        if item is None or not isinstance(item.value, str):
            return None
        try:
            path = normal(self._inside(item))
            said = self._folder.look(path)
        except Refused as refusal:
            path, said = "", str(refusal)
        if said not in (None, MISSING):
            self._fault(item, f"heartbeat {item.value!r}: {said}")
        return path

    def _fault(self, item: Item, message: str, remedy: str = "") -> None:
        self._draft.faults.append(Fault(item.place(), message, remedy))


def _names_a_file(value: str, folder: Folder) -> bool:
    """One line without a space is a path, and so is one that begins like one; other texts only if there is such a file."""
    value = value.strip()
    if not value or "\n" in value:
        return False
    if not re.search(r"\s", value) or value.startswith(("./", "../", "/")):
        return True
    try:
        return len(value) < 256 and folder.look(normal(value)) is None
    except Refused:
        return False


def _remedy(refusal: Refused) -> str:
    return "a text that is no path has a space in it" if str(refusal) == MISSING else ""


def _find_twins(draft: Draft) -> None:
    """An identity is name and goal; an agent that names no goal works for all of them."""
    seen: dict[str, dict[str | None, str]] = {}
    for stanza in draft.stanzas:
        name, goal = (stanza.fields[key].value if key in stanza.fields else None for key in ("name", "goal"))
        if not isinstance(name, str) or not isinstance(goal, str | None):
            continue
        others = seen.setdefault(name, {})
        first = others.get(goal) or others.get(None) or (next(iter(others.values()), None) if goal is None else None)
        if first:
            place = stanza.fields["name"].place()
            draft.faults.append(
                Fault(place, f"agent {name!r} of {goal or 'every goal'} is declared twice", f"first at {first}")
            )
        others.setdefault(goal, stanza.head.place())


def _limits(said: AgentEntry, options: Options) -> AgentLimits:
    chosen = said.limits.model_dump(exclude_unset=True) if said.limits else {}
    if said.max_turns is not None:
        chosen["max_turns"] = said.max_turns
    if options.spawn is not None:
        chosen.setdefault("spawn", options.spawn.limit)
    if options.recovery is False:
        chosen.setdefault("recoveries", 0)
    return AgentLimits(**chosen)


def _card(said: AgentEntry, text: str, heartbeat: str | None, limits: AgentLimits) -> AgentCard:
    memory = {} if said.memory is None else {"memory": said.memory}
    return AgentCard(
        name=said.name, role=said.role, goal=said.goal, instructions=text, model=said.model, tools=said.tools,
        output_schema=said.output_schema, limits=limits, queue=said.queue, fallback_roles=said.fallback_roles,
        heartbeat=heartbeat, cadence_seconds=said.cadence, log_level=said.log_level, **memory,
    )  # fmt: skip
