"""References to upstream outputs inside a node's inputs: ``{"from": "node", "path": "a.b"}``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.domain.errors import BadReference


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


_INDEX: Final = re.compile("-?[0-9]{1,9}")
MISSING: Final = _Missing()
"""What `member` answers when the path leads nowhere; unlike None it cannot be an output."""


def is_reference(value: Any) -> bool:
    """Whether the value is exactly ``{"from": NODE}`` or ``{"from": NODE, "path": PATH}`` with two texts."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("from"), str)
        and (len(value) == 1 or (len(value) == 2 and isinstance(value.get("path"), str)))
    )


def references(inputs: Any) -> Iterator[str]:
    """Every node id that the inputs refer to, in order of appearance (iterative: inputs can be deep)."""
    stack = [inputs]
    while stack:
        value = stack.pop()
        if is_reference(value):
            yield value["from"]
        elif isinstance(value, Mapping):
            stack.extend(reversed(list(value.values())))
        elif isinstance(value, list | tuple):
            stack.extend(reversed(value))


def member(value: Any, path: str) -> Any:
    """The member of `value` at a dotted path (``a.b.0``), or MISSING. The empty path is the value itself."""
    for part in path.split(".") if path else ():
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and _INDEX.fullmatch(part) and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def resolve(inputs: Any, outputs: Mapping[str, Any]) -> Any:
    """The inputs with every reference replaced by the output it names.

    Raises BadReference where the output has no such member; `outputs` holds None for a node without an output.
    """
    if is_reference(inputs):
        path = inputs.get("path", "")
        found = member(outputs.get(inputs["from"]), path)
        if found is MISSING:
            raise BadReference(f"the output of node {inputs['from']!r} has no member {path!r}")
        return found
    if isinstance(inputs, Mapping):
        return {key: resolve(value, outputs) for key, value in inputs.items()}
    if isinstance(inputs, list | tuple):
        return [resolve(value, outputs) for value in inputs]
    return inputs
