"""What a reviewer answers, and how it is read."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain.errors import NodeFailed

SHOWN: Final = 50
FINDING_CHARACTERS: Final = 2000


class Review(BaseModel):
    """What a reviewer answers."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    passed: bool = Field(description="true only if nothing must be mended before others build on it")
    findings: tuple[str, ...] = Field((), description="what must be mended and how, one by one; empty where passed")


def read_review(value: Any) -> Review:
    """The review in an agent's output; a text that holds the JSON counts too. Raises NodeFailed."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise NodeFailed('the review cannot be read: it is not JSON with "passed" and "findings"') from None
    try:
        found = Review.model_validate(value)
    except ValidationError:
        raise NodeFailed(
            'the review cannot be read: it has no "passed" (true or false) and "findings" (texts)'
        ) from None
    kept = tuple(text[:FINDING_CHARACTERS] for text in found.findings[:SHOWN])
    return found.model_copy(update={"findings": kept})
