"""What can be read off Python classes for a reference page: texts of attributes, types and bounds in words."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_ELSEWHERE: Final = {"AgentCard": "agents.md"}
"""Models that have their section on a page of their own."""
_PLAIN_TYPES: Final = {
    SecretStr: "text, never shown",
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
}


def attribute_docs(cls: type) -> dict[str, str]:
    """The text that stands behind each attribute of a class: a docstring below it, or a comment on its line."""
    source = textwrap.dedent(inspect.getsource(cls))
    lines, body = source.splitlines(), ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, following in zip(body.body, [*body.body[1:], None], strict=True):
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]  # type: ignore[assignment]
        if not isinstance(target, ast.Name):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[target.id] = " ".join(inspect.cleandoc(str(following.value.value)).split())
        elif comment := re.search(r"#\s(.+)$", lines[statement.lineno - 1]):
            found[target.id] = comment[1]
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    out = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    out += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(out)


def type_name(annotation: Any) -> str:
    """A type as people say it."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if origin is Annotated:
        return type_name(args[0])
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in args)
    if origin in (Union, UnionType):
        return " or ".join(type_name(arg) for arg in args if arg is not type(None))
    if origin in (list, tuple):
        return f"list of {type_name(args[0])}"
    if origin is dict:
        return "object" if args[1] is Any else f"object of {type_name(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{member}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = annotation.__name__.lower()
        return f"[{name}]({_ELSEWHERE.get(annotation.__name__, '')}#{name})"
    return _PLAIN_TYPES.get(annotation, "any value")


def bounds(field: FieldInfo) -> str:
    """Bounds of a field's value, such as `>= 0, <= 1000`; they can stand on the field or inside its type."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    inner = [item for arg in get_args(field.annotation) for item in getattr(arg, "__metadata__", ())]
    metadata = [*field.metadata, *(part for item in inner for part in getattr(item, "metadata", [item]))]
    said = [
        f"{sign} {getattr(item, name):,}" for item in metadata for name, sign in signs.items() if hasattr(item, name)
    ]
    return ", ".join(dict.fromkeys(said))


def default_of(field: FieldInfo) -> str:
    """A field's default as it would be written; of a factory, what its docstring says behind the colon."""
    factory: Any = field.default_factory
    if factory is dict or factory is list:
        return f"`{factory()}`"
    if factory is not None:
        return f"*{(inspect.getdoc(factory) or '').rpartition(': ')[2].rstrip('.')}*"
    if field.default is PydanticUndefined:
        return "*required*"
    if isinstance(field.default, tuple):
        return f"`{','.join(map(str, field.default))}`" if field.default else "*none*"
    if field.default is None or field.default == "":
        return "*none*"
    if isinstance(field.default, float) and field.default.is_integer():
        return f"`{int(field.default)}`"
    if isinstance(field.default, BaseModel):
        return "*its defaults*"
    return f"`{json.dumps(field.default) if not isinstance(field.default, str) else field.default}`"
