"""What every dialect is read into before it is checked: fields with the place where each was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from orchestrator.agents.declare.fields import field_name
from orchestrator.domain.document import line_of, parse_marked_yaml
from orchestrator.domain.errors import Fault, InvalidGoal

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Item:
    """A value and where it stands."""

    value: Any
    file: str
    line: int
    """From 1."""
    node: yaml.Node | None = None
    """The YAML that it was read from."""
    above: int = 0
    """Lines of the file before that YAML."""

    def place(self, tail: Sequence[str | int] = ()) -> str:
        """``file:line`` of a member of the value."""
        line = self.above + line_of(self.node, tail) if self.node is not None and tail else self.line
        return f"{self.file}:{line}"


@dataclass(slots=True)
class Stanza:
    """One agent as it was written."""

    head: Item
    """Where it begins."""
    fields: dict[str, Item] = field(default_factory=dict)
    text: Item | None = None
    """What stands in it besides fields: more instructions."""


@dataclass(slots=True)
class Draft:
    """A whole declaration as it was written."""

    file: str
    """What places begin with."""
    stanzas: list[Stanza] = field(default_factory=list)
    options: dict[str, Item] = field(default_factory=dict)
    title: str = ""
    words: str = ""
    """The text that is nobody's alone."""
    listed: bool = False
    """The agents stand in a YAML list."""
    faults: list[Fault] = field(default_factory=list)

    def fault(self, line: int, message: str, remedy: str = "") -> None:
        """Note what is wrong in a line of the file."""
        self.faults.append(Fault(f"{self.file}:{line}", message, remedy))

    def put(self, fields: dict[str, Item], key: str, item: Item, known: Iterable[str], what: str) -> None:
        """Add a field however it is written; an unknown one, or one that is there, is a fault."""
        name = field_name(key)
        if name not in known:
            remedy = f"known {what}s: {', '.join(one.replace('_', '-') for one in known)}"
            self.faults.append(Fault(item.place(), f"there is no {what} {key.strip()!r}", remedy))
        elif name in fields:
            first = fields[name].place()
            self.faults.append(Fault(item.place(), f"{name.replace('_', '-')!r} stands twice", f"first at {first}"))
        else:
            fields[name] = item


def read_yaml(draft: Draft, text: str, above: int, file: str = "") -> Item | None:
    """The YAML text that begins after `above` lines of a file; None where it cannot be read, with the fault noted."""
    file = file or draft.file
    try:
        value, node = parse_marked_yaml(text)
    except InvalidGoal as error:
        for fault in error.faults:
            place, line = fault.place, 1
            if place.startswith("line "):
                line = int(place.removeprefix("line ").partition(",")[0])
            draft.faults.append(Fault(f"{file}:{above + line}", fault.message, fault.remedy))
        return None
    if _has_half_characters(value):
        draft.faults.append(
            Fault(f"{file}:{above + 1}", "an escape stands for half a character", "write the character")
        )
        return None
    return Item(value, file, above + line_of(node, ()), node, above)


def _has_half_characters(value: Any) -> bool:
    r"""YAML does not join the halves of ``"\ud83d\ude00"``, which JSON has; such a text could not be stored."""
    return re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False, default=str)) is not None


def member(item: Item, key: str | int) -> Item:
    """A member of a YAML value, with its own line."""
    line, node = item.above + line_of(item.node, (key,)), item.node
    if isinstance(node, yaml.MappingNode):
        node = next((value for name, value in node.value if getattr(name, "value", None) == key), None)
    elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        node = node.value[key] if key < len(node.value) else None
    return Item(item.value[key], item.file, line, node, item.above)


def checked(model: type[Model], fields: dict[str, Item], head: Item, faults: list[Fault]) -> Model | None:
    """The fields as a model; None where they do not fit, with every fault at the line of its field."""
    try:
        # A field with nothing behind it (`- Role:`) says nothing.
        return model.model_validate({name: item.value for name, item in fields.items() if item.value is not None})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            name, *tail = detail["loc"] or ("",)
            item = fields.get(str(name), head)
            shown = ".".join(str(part) for part in (str(name).replace("_", "-"), *tail) if part != "[key]")
            faults.append(Fault(item.place(tail), f"{shown}: {_message(detail)}", _remedy(detail, item)))
        return None


def _message(detail: Any) -> str:
    if detail["type"] == "string_pattern_mismatch":
        return "this is not 1 to 64 letters, digits, dots, underscores or hyphens"
    if detail["type"] == "extra_forbidden":
        return "there is no such field"
    return str(detail["msg"]).removeprefix("Value error, ").replace("Input should", "it should")


def _remedy(detail: Any, item: Item) -> str:
    return "write it in quotes" if detail["type"] == "string_type" and item.node is not None else ""
