"""The commands that there are: what each acts on, and its arguments. The reference page is made from this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from orchestrator.domain.agent import AgentCard, Name
from orchestrator.domain.dag import MAX_PRIORITY

Text = Annotated[str, StringConstraints(max_length=10_000)]


class Scope(StrEnum):
    """What a command is for."""

    NODE = "node"
    GOAL = "goal"
    AGENT = "agent"
    QUEUE = "queue"
    OWNER = "owner"
    ALL = "all"


class Arguments(BaseModel):
    """The arguments of a command; those of one without any."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Pause(Arguments):
    """What happens to nodes that run when a goal is paused."""

    mode: Literal["finish", "stop"] = "finish"
    """`finish`: they come to their end. `stop`: their leases are taken away; they run again, from their start, after RESUME."""


class Drop(Arguments):
    """What becomes of the nodes that wait for the dropped one."""

    dependants: Literal["skip", "fail", "rewire"] = "skip"
    """`skip`: those that needed it are skipped. `fail`: as if it had failed. `rewire`: they wait for its parents instead."""


class Retry(Arguments):
    """How much of a failed goal runs again."""

    descendants: bool = False
    """Of one node: what comes after it runs again too, even where it is DONE."""


class Edit(Arguments):
    """Other inputs for a node that has not begun, or has failed."""

    inputs: dict[str, Any] | None = Field(None, repr=False)
    """All of its inputs anew."""
    set: dict[str, Any] | None = Field(None, repr=False)
    """Single inputs anew; the others stay."""
    retry: bool = False
    """Run it again at once, if it has failed."""

    @model_validator(mode="after")
    def _one(self) -> Edit:
        if (self.inputs is None) == (self.set is None):
            raise ValueError("give either inputs (all of them) or set (some of them)")
        return self


class Priority(Arguments):
    """A new priority."""

    priority: int = Field(ge=0, le=MAX_PRIORITY)
    """Higher goes first."""


class Reparse(Arguments):
    """Agents of the goal, declared anew."""

    agents: tuple[AgentCard, ...] = Field((), max_length=1000, repr=False)
    """As their INSTRUCTIONS declare them now."""
    removed: tuple[Name, ...] = Field((), max_length=1000)
    """Agents that are declared no more: their next turns fail."""
    source: str = Field("", max_length=1000)
    """Where they were declared."""


class Steer(Arguments):
    """Something said to an agent, which its next turn reads."""

    message: str | list[Any] = Field(repr=False)
    """A text, or a list of texts and `{"role": "user" | "system", "content": text}`."""


class Decision(Arguments):
    """A person's word on an approval."""

    comment: Text = ""
    """Kept with the decision."""


class Approve(Decision):
    """A yes."""

    plan: Any = Field(None, repr=False)
    """For the approval of a plan: carry out this one."""


class Signal(Arguments):
    """A named signal."""

    name: str = Field(min_length=1, max_length=200)
    """What `wait` nodes wait for."""
    payload: Any = Field(None, repr=False)
    """Their output; JSON."""


class Replan(Arguments):
    """Have the goal's planner change what has not started; the reason tells it why."""

    approve: bool = False
    """A person looks at the change first."""


class Budget(Arguments):
    """What may be spent on model calls from now on, in all; what was spent before counts."""

    tokens: int | None = Field(None, ge=0)
    """Tokens, input and output together."""
    micro_usd: int | None = Field(None, ge=0)
    """Millionths of a US dollar."""
    account: Name | None = None
    """For an owner: the account of models that keeps it; every account where it is left out."""

    @model_validator(mode="after")
    def _some(self) -> Budget:
        if self.tokens is None and self.micro_usd is None:
            raise ValueError("give tokens, micro_usd or both")
        return self


class Stop(Arguments):
    """The fleet takes no new node; what runs finishes. RELEASE for all lets it go on."""

    exit: bool = False
    """The workers end, too, once their nodes have finished."""


class Verb(StrEnum):
    """The commands, by their names in heartbeat files; everywhere case does not matter, and `_` is `-`."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    CANCEL = "CANCEL"
    DROP_TASK = "DROP-TASK"
    RETRY = "RETRY"
    EDIT = "EDIT"
    SET_PRIORITY = "SET-PRIORITY"
    REPARSE = "REPARSE"
    FLUSH_MEMORY = "FLUSH-MEMORY"
    STEER = "STEER"
    APPROVE = "APPROVE"
    REJECT = "REJECT"
    SIGNAL = "SIGNAL"
    REPLAN = "REPLAN"
    SET_BUDGET = "SET-BUDGET"
    HOLD = "HOLD"
    RELEASE = "RELEASE"
    STOP = "STOP"


ALIASES: Final[Mapping[str, Verb]] = MappingProxyType(
    {"ELEVATE": Verb.SET_PRIORITY, "DROP": Verb.DROP_TASK, "PRIORITY": Verb.SET_PRIORITY, "BUDGET": Verb.SET_BUDGET}
)


def verb_of(name: object) -> object:
    """The name of a command as the table has it; anything else as it is."""
    if not isinstance(name, str):
        return name
    plain = name.strip().upper().replace("_", "-")
    return ALIASES.get(plain, plain)


@dataclass(frozen=True, slots=True)
class VerbSpec:
    """What a command can be for, what it takes, and what it does."""

    scopes: frozenset[Scope]
    arguments: type[Arguments]
    meaning: str


def _spec(meaning: str, arguments: type[Arguments], *scopes: Scope) -> VerbSpec:
    return VerbSpec(frozenset(scopes), arguments, meaning)


_S = Scope
VERBS: Final[Mapping[Verb, VerbSpec]] = MappingProxyType(
    {
        Verb.PAUSE: _spec("No new claim; a goal's sub-goals too.", Pause, _S.GOAL, _S.NODE, _S.AGENT, _S.OWNER, _S.ALL),
        Verb.RESUME: _spec("Claims again.", Arguments, _S.GOAL, _S.NODE, _S.AGENT, _S.OWNER, _S.ALL),
        Verb.CANCEL: _spec("Ends for good: no claim and no commit any more.", Arguments, _S.GOAL, _S.OWNER, _S.ALL),
        Verb.DROP_TASK: _spec("Takes a node that has not begun out of the plan.", Drop, _S.NODE),
        Verb.RETRY: _spec("Runs again what failed, and what was skipped for it.", Retry, _S.GOAL, _S.NODE, _S.OWNER, _S.ALL),
        Verb.EDIT: _spec("Gives a node other inputs.", Edit, _S.NODE),
        Verb.SET_PRIORITY: _spec("Higher goes first.", Priority, _S.GOAL, _S.NODE),
        Verb.REPARSE: _spec("Takes over agents that were declared anew.", Reparse, _S.GOAL),
        Verb.FLUSH_MEMORY: _spec("Makes an agent forget what it did for the owner.", Arguments, _S.AGENT),
        Verb.STEER: _spec("Says something to an agent; its next turn reads it.", Steer, _S.NODE, _S.AGENT),
        Verb.APPROVE: _spec("Answers an approval with yes.", Approve, _S.NODE),
        Verb.REJECT: _spec("Answers an approval with no.", Decision, _S.NODE),
        Verb.SIGNAL: _spec("Sends a named signal.", Signal, _S.GOAL),
        Verb.REPLAN: _spec("Has the goal's planner change what has not started.", Replan, _S.GOAL),
        Verb.SET_BUDGET: _spec("Sets what model calls may spend.", Budget, _S.GOAL, _S.OWNER),
        Verb.HOLD: _spec("No new claim of these nodes, in goals to come too.", Arguments, _S.QUEUE, _S.AGENT, _S.NODE),
        Verb.RELEASE: _spec("Ends a hold; for all: those of the whole fleet, and a STOP.", Arguments, _S.QUEUE, _S.AGENT, _S.NODE, _S.ALL),
        Verb.STOP: _spec("Drains the fleet.", Stop, _S.ALL),
    }
)  # fmt: skip
