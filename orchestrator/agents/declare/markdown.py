"""Agents declared in Markdown: `## Agents`, a heading of the third level for each, and fields as bullets.

A line belongs to what it stands under. In an agent's stanza the bullets `- Field: value` come first; what follows is
text for the agent, and so are indented lines below `- Instructions:`. Everything outside of the stanzas is the goal's
text. Fenced blocks are never looked into, but for one that declares the agents (`instructions_yaml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.agents.declare.draft import Draft, Item, Stanza, read_yaml
from orchestrator.agents.declare.fields import AgentEntry, Options, field_name
from orchestrator.agents.declare.yaml_form import read_options, read_yaml_document

_HEADING: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_BULLET: Final = re.compile(
    r" {0,1}[-*+][ \t]+(\*\*|__|`)?([A-Za-z][A-Za-z _-]{0,30}?)(?:\1)?[ \t]*:(?:\1)?(?:[ \t]+(.*))?"
)
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([A-Za-z0-9_-]*)")
_STRUCTURED: Final = frozenset(("limits", "output_schema", "spawn"))
"""Fields whose value is read as YAML."""
_TEXT: Final = _STRUCTURED | {"instructions", "goal_instructions", "description", "tools", "fallback_roles", "imports"}
"""Fields whose value may go on in indented lines."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text with what Markdown says of it."""

    number: int
    text: str
    level: int = 0
    """Of a heading; 0 for other lines."""
    title: str = ""
    fenced: bool = False
    """It is inside of a fenced block, or one of its two ends."""
    opens: str | None = None
    """The language of the fenced block that it opens."""


def read_markdown(draft: Draft, text: str) -> None:
    """Fill the draft from a Markdown document."""
    body, above = _front_matter(draft, text)
    lines = list(_lines(body, above))
    sections = {title: _section(lines, title) for title in ("agents", "options")}
    agents, options = sections["agents"], sections["options"]
    block = [] if any(line.level == 3 for line in agents) else _declaring_block(lines)
    inside = {line.number for line in (*options, *(block or agents))}
    rest = [line for line in lines if line.number not in inside]
    if block:
        read_yaml_document(draft, "\n".join(line.text for line in block[1:-1]), block[0].number)
    elif agents:
        rest += _stanzas(draft, agents)
    if options:
        _bullets_as_options(draft, options[1:])
    if not agents and not block:
        draft.fault(1, "no agents are declared", "write '## Agents' with a heading '### name' for each")
    _words(draft, sorted(rest, key=lambda line: line.number))


def front_matter(text: str) -> tuple[str, int] | None:
    """The YAML between two lines ``---`` at the very top, and how many lines both take; None where there is none."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return None
    for index, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return "\n".join(lines[1:index]), index + 1
    return None


def _front_matter(draft: Draft, text: str) -> tuple[str, int]:
    found = front_matter(text)
    if found is None:
        return text, 0
    source, length = found
    item = read_yaml(draft, source, 1)
    if item is not None:
        read_options(draft, item)
    return "\n".join(text.split("\n")[length:]), length


def _lines(text: str, above: int) -> Iterator[Line]:
    fence = ""
    for number, line in enumerate(text.split("\n"), above + 1):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" \t`~"):
                fence = ""
            yield Line(number, line, fenced=True)
        elif mark:
            fence = mark[1]
            yield Line(number, line, fenced=True, opens=mark[2].lower())
        elif heading := _HEADING.match(line):
            yield Line(number, line, len(heading[1]), line[heading.end() :].strip(" \t#"))
        else:
            yield Line(number, line)


def _section(lines: list[Line], title: str) -> list[Line]:
    """The lines of the section of the second level with this title, its heading first; empty without one."""
    found: list[Line] = []
    for line in lines:
        if found and 0 < line.level <= 2:
            break
        if found or (line.level == 2 and line.title.lower() == title):
            found.append(line)
    return found


def _declaring_block(lines: list[Line]) -> list[Line]:
    """The first fenced YAML block that looks like a list of agents, with both fences."""
    block: list[Line] = []
    for line in lines:
        if line.opens is not None:
            block = [line] if line.opens in ("yaml", "yml") else []
        elif block and line.fenced:
            block.append(line)
        elif block and _declares(block):
            return block
        else:
            block = []
    return block if block and _declares(block) else []


def _declares(block: list[Line]) -> bool:
    return any(re.match(r"agents\s*:|-\s+(name|goal|role)\s*:", line.text) for line in block[1:])


def _stanzas(draft: Draft, section: list[Line]) -> list[Line]:
    """Read each agent of the section; returns the lines before the first one."""
    before: list[Line] = []
    stanzas: list[list[Line]] = []
    for line in section[1:]:
        if line.level == 3:
            stanzas.append([line])
        else:
            (stanzas[-1] if stanzas else before).append(line)
    for stanza in stanzas:
        draft.stanzas.append(_stanza(draft, stanza))
    if not stanzas:
        draft.fault(section[0].number, "'## Agents' declares none", "write '### name' for each agent")
    return before


def _stanza(draft: Draft, lines: list[Line]) -> Stanza:
    head = lines[0]
    name = Item(head.title.strip("`*_ "), draft.file, head.number)
    stanza = Stanza(name, {"name": name})
    text = _fields(draft, lines[1:], stanza.fields, AgentEntry.model_fields, "field")
    own = "\n".join(line.text for line in text).strip("\n")
    if own.strip():
        stanza.text = Item(own, draft.file, next(line.number for line in text if line.text.strip()))
    return stanza


def _fields(
    draft: Draft, lines: list[Line], fields: dict[str, Item], known: Mapping[str, object], what: str
) -> list[Line]:
    """Take the bullets ``- Field: value`` and give back the other lines."""
    text: list[Line] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        found = None if line.fenced or line.level else _BULLET.fullmatch(line.text)
        begun = any(one.text.strip() for one in text)
        if found is None or (begun and field_name(found[2]) not in known):
            text.append(line)
            continue
        value, index = _continued(lines, index, _plain(found[3] or ""), field_name(found[2]) in _TEXT)
        at = line.number if (found[3] or "").strip() or not value else line.number + 1
        draft.put(fields, found[2], Item(value or None, draft.file, at), known, what)
    _read_structured(draft, fields)
    return text


def _read_structured(draft: Draft, fields: dict[str, Item]) -> None:
    for name in _STRUCTURED & fields.keys():
        item = fields[name]
        if isinstance(item.value, str):
            read = read_yaml(draft, item.value, item.line - 1)
            fields[name] = read or Item(None, item.file, item.line)


def _continued(lines: list[Line], index: int, value: str, may: bool) -> tuple[str, int]:
    """The value with the indented lines that go on with it, and the index after them."""
    parts = [value]
    while may and index < len(lines):
        text = lines[index].text
        if text.strip() and not text.startswith(("  ", "\t")):
            break
        parts.append(text)
        index += 1
    indents = [len(part) - len(part.lstrip()) for part in parts[1:] if part.strip()]
    cut = min(indents, default=0)
    return "\n".join([parts[0], *(part[cut:] for part in parts[1:])]).strip("\n "), index


def _plain(value: str) -> str:
    """The value without backquotes or quotes around it."""
    value = value.strip()
    pair = len(value) > 1 and value[0] == value[-1] and value[0] in "`\"'" and value[0] not in value[1:-1]
    return value[1:-1] if pair else value


def _bullets_as_options(draft: Draft, lines: list[Line]) -> None:
    fields: dict[str, Item] = {}
    for line in _fields(draft, lines, fields, Options.model_fields, "option"):
        if line.text.strip():
            draft.fault(line.number, "'## Options' has bullets '- Option: value' only")
    for name, item in fields.items():
        draft.options.setdefault(name, item)


def _words(draft: Draft, rest: list[Line]) -> None:
    """The title is the first heading; the other lines are what is wanted, in words."""
    titles = [line for line in rest if line.level and line.title.lower() not in ("agents", "options")]
    first = next((line for line in titles if line.level == 1), titles[0] if titles else None)
    draft.title = first.title if first else ""
    kept = [line.text for line in rest if line is not first and not _is_own_heading(line)]
    draft.words = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n ")


def _is_own_heading(line: Line) -> bool:
    return line.level == 2 and line.title.lower() in ("agents", "options")
