"""What may be said of an agent and of a whole declaration: the models that every dialect is read into."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints

from orchestrator.domain.agent import AgentLimits, Name, Seconds

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LEVELS: Final = {"warn": "warning", "critical": "error", "fatal": "error"}
_YES, _NO = ("true", "yes", "on"), ("false", "no", "off")


def cadence_seconds(value: Any) -> float:
    """Seconds of ``5``, ``"5"``, ``"5s"``, ``"5m"``, ``"2h"`` or ``"1d"``. Raises ValueError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    found = (
        re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([smhd]?)\s*", value.lower())
        if isinstance(value, str)
        else None
    )
    if found is None:
        raise ValueError("a time is a number of seconds, or a number with a unit: 30s, 5m, 2h")
    return float(found[1]) * _UNITS[found[2]]


def _names(value: Any) -> Any:
    """A list, or a text with commas or one item a line."""
    if not isinstance(value, str):
        return value
    parts = [re.sub(r"^[-*+]\s+", "", part.strip()) for part in re.split(r"[,\n]", value.strip().strip("[]"))]
    return [part.strip("`\"'") for part in parts if part]


def _level(value: Any) -> Any:
    return _LEVELS.get(value.strip().lower(), value.strip().lower()) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("this is not a number")
    return value


def _truth(value: Any) -> Any:
    """Only words that mean yes or no: a number is a mistake."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word in _YES or word is True:
        return True
    if word in _NO or word is False:
        return False
    raise ValueError("this is neither true nor false")


Cadence = Annotated[Seconds, BeforeValidator(cadence_seconds)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]
Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=200)]
Truth = Annotated[bool, BeforeValidator(_truth)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AgentEntry(_Model):
    """One agent as it is declared. Its identity is name and goal."""

    name: Name
    """Its name; in Markdown the heading."""
    goal: Name | None = None
    """The id of the goal it works for; also `goal_id`. Without it, for every goal of the declaration."""
    role: Name | None = None
    """What it does; its name where it is left out."""
    instructions: str | None = None
    """What the model is told: a text, or the path of a file."""
    heartbeat: str | None = None
    """Path of the file with directives for it; the file need not be there yet."""
    cadence: Cadence | None = None
    """Kept: seconds, `5s`, `5m`, `2h`. The file with directives is read at once, whatever this says. Also `cadence_seconds`."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"] | None, BeforeValidator(_level)] = None
    """How much of it is logged; `warn` and `critical` are understood."""
    model: str | None = Field(None, min_length=1, max_length=128)
    """A model or a chain of the profiles."""
    tools: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field((), max_length=128)
    """Tools it may use, by name."""
    queue: Name | None = None
    """The Celery queue of its nodes and tools."""
    fallback_roles: Names = ()
    """Roles that take its nodes when no worker serves its queue."""
    max_turns: Annotated[int | None, BeforeValidator(_number), Field(ge=1, le=1000)] = None
    """Answers of the model on one node; short for `limits.max_turns`."""
    memory: Annotated[int | None, BeforeValidator(_number), Field(ge=0, le=1000)] = None
    """Latest outputs that it remembers."""
    limits: AgentLimits | None = None
    """All limits; in Markdown written as YAML, `{depth: 1}` or in indented lines."""
    output_schema: dict[str, JsonValue] | None = None
    """JSON schema of its final output; in Markdown written as YAML."""
    description: str | None = Field(None, max_length=4000)
    """For people; the model is not told."""


class Spawn(_Model):
    """How many sub-agents there may be."""

    limit: Annotated[int, BeforeValidator(_number), Field(ge=0, le=1000)] = 10
    """Sub-agents and sub-goals of one node, where its agent does not say."""
    mode: Literal["dynamic"] = "dynamic"
    """Kept from its declaration: agents start others while they run."""


class Options(_Model):
    """What a declaration says of the goal as a whole."""

    title: str | None = Field(None, max_length=1000)
    """The goal's title; without it the first heading."""
    goal_instructions: str | None = None
    """What is wanted, in words, or the path of a file; without it the text around the agents."""
    workflow: Truth | None = None
    """Each builder's node is followed by a review and an integration."""
    recovery: Truth | None = None
    """False: no recovery where an agent's node failed for good, unless its agent's `limits.recoveries` says so."""
    approve_plan: Truth | None = None
    """A person approves the plan that a model makes, before it starts. Refused where a DAG or task lists are the plan."""
    spawn: Spawn | None = None
    """Limits for sub-agents."""
    imports: Annotated[tuple[Module, ...], BeforeValidator(_names)] = Field((), max_length=100)
    """Python modules beside it, with tools and agents, that the workers of `chordal run` import."""


ALIASES: Final = {"goal_id": "goal", "cadence_seconds": "cadence", "approve": "approve_plan", "loglevel": "log_level"}
FRONT_FIELDS: Final = frozenset(AgentEntry.model_fields) - {"goal", "instructions"}
"""What the front matter of an agent's own file may say."""


def field_name(written: str) -> str:
    """The name of a field however it is written: ``Log-level``, ``log level`` and ``log_level`` are one."""
    plain = re.sub(r"[\s_-]+", "_", written.strip().strip("*`_").strip(": ").lower())
    return ALIASES.get(plain, plain)
