"""Text to plain data: JSON and YAML read strictly, so that what was written is what is run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Final, NoReturn

import yaml

from orchestrator.domain.errors import Fault, InvalidGoal

MAX_YAML_ALIASES: Final = 100
MAX_YAML_EXPANSION: Final = 100_000
"""Values that aliases may add, all together: aliases of aliases would grow without bound under a limit of their number."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Refuses, with the place: NaN and infinities, duplicate keys, numbers out of range."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded
        )
    except UnicodeDecodeError as error:
        raise InvalidGoal([Fault(f"byte {error.start}", "this is not UTF-8 text", "save it as UTF-8")]) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidGoal([Fault(place, f"this is not JSON: {error.msg}")]) from None
    except RecursionError:
        raise InvalidGoal([Fault("document", "the JSON is nested too deeply to be read")]) from None


def parse_yaml(text: str | bytes) -> Any:
    """The value of a YAML text (safe subset). Refuses duplicate keys, more than 100 aliases, and non-finite numbers."""
    return parse_marked_yaml(text)[0]


def parse_marked_yaml(text: str | bytes) -> tuple[Any, yaml.Node | None]:
    """As `parse_yaml`, with the nodes of the text, which know their lines: `line_of` reads them."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
        json.dumps(value, allow_nan=False, default=str)
        return value, node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "document"
        raise InvalidGoal([Fault(place, f"this is not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise InvalidGoal([Fault("document", f"this is not YAML: {error}")]) from None
    except (ValueError, RecursionError) as error:
        raise InvalidGoal([Fault("document", str(error))]) from None
    except (AttributeError, LookupError, TypeError):  # what the constructors of explicit tags raise
        raise InvalidGoal([Fault("document", "a value is not what its tag says", "leave the !!tag out")]) from None


def line_of(node: yaml.Node | None, path: Sequence[str | int]) -> int:
    """The line, from 1, where the value at `path` stands, or the innermost one on the way to it that there is."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in path:
        key, node = _member(node, part)
        if node is None:
            break
        line = (key or node).start_mark.line + 1
    return line


def _member(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        found = [(key, value) for key, value in node.value if getattr(key, "value", None) == part]
        return found[0] if found else (None, None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = sorted(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        place = f"object with the keys {', '.join(map(repr, list(value)[:5]))}"
        raise InvalidGoal([Fault(place, f"the key {twice[0]!r} stands twice", "keep one of them")])
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidGoal([Fault("document", f"{text} is not a JSON number", "use null or a finite number")])


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InvalidGoal([Fault("document", f"the number {text} is out of range", "use a finite number")])
    return value


def _bounded(text: str) -> int:
    if len(text) > 40:
        raise InvalidGoal([Fault("document", f"the number {text[:20]}... has {len(text)} digits", "write it as text")])
    return int(text)


class _Loader(yaml.SafeLoader):
    aliases = values = expansion = 0

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self.sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before, size = self.values, 1
        if isinstance(event, yaml.AliasEvent):
            size = self.sizes.get(str(event.anchor), 1)
            self.aliases += 1
            self.expansion += size
            if self.aliases > MAX_YAML_ALIASES or self.expansion > MAX_YAML_EXPANSION:
                most = (
                    f"more than {MAX_YAML_ALIASES} aliases, or they stand for more than {MAX_YAML_EXPANSION:,} values"
                )
                raise yaml.YAMLError(most)
        self.values += size
        node = super().compose_node(parent, index)
        if event.anchor and not isinstance(event, yaml.AliasEvent):
            self.sizes[event.anchor] = self.values - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not a text", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
