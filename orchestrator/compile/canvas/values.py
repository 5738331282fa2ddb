"""Arguments of signatures as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from celery.canvas import _regen

from orchestrator.compile.canvas.errors import NotAGoal
from orchestrator.domain.refs import is_reference


def plain(value: Any, task: str, place: str) -> Any:
    """The value in JSON's own types. Raises NotAGoal for what JSON does not hold or a goal would read as a reference."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if is_reference(value):
        raise NotAGoal(
            f"{place} of {task} is {dict(value)!r:.100}, which a goal reads as a reference to a node's output"
        )
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise NotAGoal(f"{place} of {task} has the key {key!r:.50}, which is not a text")
        return {key: plain(inner, task, f"{place}[{key!r}]") for key, inner in value.items()}
    if isinstance(value, list | tuple | _regen):
        return [plain(inner, task, f"{place}[{index}]") for index, inner in enumerate(value)]
    raise NotAGoal(f"{place} of {task} is {value!r:.100}, which is not JSON; pass plain data")
