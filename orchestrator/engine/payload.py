"""Outputs on their way into Redis and out of it: JSON, and a reference where it is large."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

import fsspec
from pydantic_core import PydanticSerializationError, to_jsonable_python

from orchestrator.domain.dag import ID_PATTERN
from orchestrator.domain.errors import ChordalError, OutputNotSerialisable

REFERENCE: Final = "@"
"""What a stored output begins with when it is a reference; no JSON text does."""


class ArtifactMissing(ChordalError):
    """A large output is not where it was written. Workers must share `artifacts_url` (a bucket or a shared folder)."""


def _known_type(value: Any) -> Any:
    return to_jsonable_python(value)


_ID: Final = re.compile(ID_PATTERN)
_encoder: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False, default=_known_type)


def to_json(value: Any) -> str:
    """Compact JSON. Dataclasses, pydantic models, dates and sets are understood.

    Raises OutputNotSerialisable for anything else, and for NaN and infinities.
    """
    try:
        text = _encoder.encode(value)
        text.encode()  # a lone surrogate cannot be stored
    except (TypeError, ValueError, RecursionError, PydanticSerializationError) as error:
        raise OutputNotSerialisable(
            f"the output, {type(value).__name__}, is not JSON: {error}. Return plain data, a dataclass or a pydantic model"
        ) from None
    return text


class Payloads:
    """Stores outputs: inline up to `inline_bytes`, else as a file below `url` (any fsspec URL)."""

    def __init__(self, url: str, inline_bytes: int, limit_bytes: int) -> None:
        self._url = url.rstrip("/")
        self._inline = inline_bytes
        self._limit = limit_bytes

    def pack(self, goal: str, node: str, value: Any) -> str:
        """The text to store for an output; empty for None. Raises OutputNotSerialisable."""
        if not (_ID.fullmatch(goal) and _ID.fullmatch(node)):
            raise OutputNotSerialisable(f"{goal!r} and {node!r} are not ids of a goal and a node")
        if value is None:
            return ""
        text = to_json(value)
        if len(text) <= self._inline // 4:
            return text  # however its characters are encoded
        data = text.encode()
        if len(data) <= self._inline:
            return text
        if len(data) > self._limit:
            raise OutputNotSerialisable(
                f"the output has {len(data):,} bytes, the limit is {self._limit:,} (CHORDAL_OUTPUT_LIMIT_BYTES)"
            )
        digest = hashlib.sha256(data).hexdigest()
        # Named by content: a repeated attempt writes the same file, a late one cannot change what was committed.
        target = f"{self._folder(goal)}/{node}-{digest[:16]}.json"
        with fsspec.open(target, "wb", auto_mkdir=True) as file:
            file.write(data)
        return REFERENCE + to_json({"url": target, "bytes": len(data), "sha256": digest})

    def unpack(self, text: str | None) -> Any:
        """The output that was stored. Raises ArtifactMissing."""
        if not text:
            return None
        if not text.startswith(REFERENCE):
            return json.loads(text)
        reference = json.loads(text[1:])
        if not str(reference["url"]).startswith(f"{self._url}/"):
            raise ArtifactMissing(f"{reference['url']} is not below CHORDAL_ARTIFACTS_URL, {self._url}; it is not read")
        try:
            with fsspec.open(reference["url"], "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise ArtifactMissing(
                f"{reference['url']} is not there; workers must share CHORDAL_ARTIFACTS_URL"
            ) from None
        if hashlib.sha256(data).hexdigest() != reference["sha256"]:
            raise ArtifactMissing(f"{reference['url']} is not what was written: its SHA-256 differs")
        return json.loads(data)

    def forget(self, goal: str) -> None:
        """Remove a goal's files."""
        filesystem, path = fsspec.core.url_to_fs(self._folder(goal))
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)

    def _folder(self, goal: str) -> str:
        # "." and ".." are ids too; a folder of that name would be this one or the one above it. No id holds an "@".
        return f"{self._url}/{goal}" if goal.strip(".") else f"{self._url}/@{goal}"


def preview(text: str | None) -> Any:
    """A stored output for display: a reference is shown as such, not read."""
    if not text:
        return None
    return {"$ref": json.loads(text[1:])} if text.startswith(REFERENCE) else json.loads(text)
