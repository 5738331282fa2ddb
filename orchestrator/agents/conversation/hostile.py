"""What a model or a tool wrote is read here: strict JSON, bounded, and in a form that can be stored and sent on."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from orchestrator.domain.document import parse_json
from orchestrator.domain.errors import InvalidGoal

MOST_DEPTH: Final = 64
"""Lists and objects inside each other."""
SHOWN: Final = 200
"""The most characters of what a model wrote that stand in a text of ours about it."""
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


class Unreadable(ValueError):
    """It is not JSON that can be stored; the text says why and quotes 200 characters of it at most."""


def clean(text: str) -> str:
    """The text without what UTF-8 cannot say."""
    return text.encode("utf-8", "replace").decode()


def shown(text: str, most: int = SHOWN) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(clean(text[: most + 1]).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def safe_name(name: str) -> str:
    """A tool's name as providers accept it: 1 to 64 letters, digits, underscores and hyphens."""
    return _NOT_NAME.sub("_", name[:64]) or "unnamed"


def cut_bytes(text: str, most: int) -> tuple[str, int]:
    """At most `most` bytes of the text, whole characters only, and how many bytes were cut off."""
    data = clean(text).encode()
    if len(data) <= most:
        return clean(text), 0
    kept = data[:most].decode("utf-8", "ignore")
    return kept, len(data) - len(kept.encode())


def read_value(text: str) -> Any:
    """The value of a JSON text. Raises Unreadable: not JSON, a key twice, NaN, too deep, or not to be said in UTF-8."""
    try:
        value = parse_json(text)
    except InvalidGoal as error:
        fault = error.faults[0]
        raise Unreadable(shown(f"{fault.place}: {fault.message}")) from None
    except ValueError as error:  # what Python's own limits refuse
        raise Unreadable(f"this is not JSON: {type(error).__name__}") from None
    if too_deep(value):
        raise Unreadable(f"it has more than {MOST_DEPTH} lists and objects inside each other")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Unreadable("it has a character that is half of a pair (a lone surrogate)") from None
    return value


def too_deep(value: Any, most: int = MOST_DEPTH) -> bool:
    """Whether lists and objects stand more than `most` deep in each other."""
    level: list[Any] = [value]
    for _ in range(most + 1):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def unfenced(text: str) -> str:
    """The inside of the text's only Markdown fence, if it has exactly one; else the text."""
    parts = text.split("```")
    if len(parts) != 3:
        return text.strip()
    head, line_end, body = parts[1].partition("\n")
    return body.strip() if line_end and head.strip().lower() in ("", "json") else parts[1].strip()
