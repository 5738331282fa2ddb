"""A command: what somebody wants done to goals, nodes, agents or the fleet, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from orchestrator.domain.agent import Name
from orchestrator.domain.errors import ChordalError, Fault, Faulty
from orchestrator.domain.verbs import VERBS, Arguments, Budget, Pause, Retry, Scope, Text, Verb, verb_of

M = TypeVar("M", bound=BaseModel)
Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
CommandId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{0,128}$")]
LONGEST_SECONDS: Final = 604_800
_OF_COMMAND: Final = frozenset(
    {"id", "sender", "reason", "expires_seconds", "goal", "node", "agent", "queue", "owner", "all"}
)


class Door(StrEnum):
    """Where a command came in."""

    HEARTBEAT = "heartbeat"
    CLI = "cli"
    PYTHON = "python"
    CELERY = "celery"
    HTTP = "http"


class InvalidCommand(Faulty):
    """The command is none. Mend it and send it again: nothing was done."""

    WHAT = "the command is not valid"
    SHOWN = 20


class Denied(ChordalError):
    """The policy does not let this sender do that through this door; the text names both. Nothing was done."""


class Expired(ChordalError):
    """The command came after its expiry. Nothing was done."""


class IdTaken(ChordalError):
    """Another command was given under this id. Nothing was done; give it an id of its own, or none."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a script is told of the command that it carries out: it acts on each receiver once, and not after `until_ms`."""

    id: str
    by: str
    """Door and sender: ``cli:ann@host``."""
    reason: str = ""
    until_ms: int | None = None
    """Redis time."""

    def as_json(self) -> str:
        """As the scripts read it."""
        found: dict[str, Any] = {"id": self.id, "by": self.by, "reason": self.reason}
        if self.until_ms is not None:
            found["until"] = self.until_ms
        return json.dumps(found, separators=(",", ":"))


class Repeated(ChordalError):
    """The receiver has acted on this command before; `outcome` is what came of it then."""

    def __init__(self, outcome: str) -> None:
        super().__init__(f"this command was carried out before: {outcome}")
        self.outcome = outcome


class Command(BaseModel):
    """One command. It acts once on each receiver, whatever how often and through how many doors it is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    verb: Verb
    id: CommandId = ""
    """Given again under the same id it does nothing, and is answered as the first time. Empty: it is given one."""
    goal: Name | None = None
    node: Name | None = None
    agent: Name | None = None
    queue: Name | None = None
    owner: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    all: bool = False
    """For every goal that has not ended, or for the fleet."""
    reason: Text = ""
    """Why; kept in the audit trail and in the events."""
    expires_seconds: float | None = Field(None, gt=0, le=LONGEST_SECONDS, allow_inf_nan=False)
    """After so long nobody acts on it any more; counted from when it is first given, in Redis time."""
    door: Door = Door.PYTHON
    sender: Line = ""
    """Who gives it, as the door knows; for policies and the audit trail."""
    arguments: Any = Field(default_factory=Arguments)

    @field_validator("verb", mode="before")
    @classmethod
    def _verb(cls, value: object) -> object:
        if not isinstance(value, str):
            raise ValueError("it is no name")  # not shown: it may be of any size
        return verb_of(value)

    @property
    def scope(self) -> Scope:
        """What it is for."""
        for scope in (Scope.ALL, Scope.NODE, Scope.AGENT, Scope.QUEUE, Scope.GOAL, Scope.OWNER):
            if getattr(self, scope.value):
                return scope
        raise InvalidCommand(
            [Fault("goal", "the command says not for whom", "name a goal, owner, agent or queue, or all")]
        )

    @property
    def target(self) -> str:
        """For whom, as people read it: ``node fetch of goal g1``."""
        if self.scope is Scope.ALL:
            return "all"
        names = [
            f"{name} {getattr(self, name)}"
            for name in ("node", "agent", "queue", "goal", "owner")
            if getattr(self, name)
        ]
        return " of ".join(names)

    @property
    def by(self) -> str:
        """Door and sender."""
        return f"{self.door}:{self.sender}" if self.sender else self.door.value

    def order(self, until_ms: int | None = None) -> Order:
        """What the scripts are told."""
        return Order(self.id, self.by, self.reason, until_ms)

    def as_json(self) -> dict[str, Any]:
        """As `read_command` reads it again, with its door."""
        found = self.model_dump(mode="json", exclude_defaults=True, exclude={"arguments", "verb"})
        given = self.arguments.model_dump(mode="json", exclude_defaults=True)
        return {**found, "command": self.verb.value, "id": self.id, "arguments": given}


def read_command(raw: Mapping[str, Any], door: Door, sender: str = "") -> Command:
    """The command that a payload stands for: `command` (its name), for whom, `id`, `reason`, ..., and its arguments.

    The arguments stand beside the rest or in `arguments`. A `sender` in the payload loses against the one that the door
    knows. Raises InvalidCommand with every fault.
    """
    given = {name: value for name, value in raw.items() if name not in ("command", "verb", "arguments", "door")}
    head = {name: value for name, value in given.items() if name in _OF_COMMAND}
    head |= {"verb": raw.get("command", raw.get("verb")), "door": door} | ({"sender": sender} if sender else {})
    faults: list[Fault] = []
    command = _validated(Command, head, faults)
    arguments = _arguments(head["verb"], given, raw.get("arguments", {}), faults)
    if command is not None:
        faults += _scope_faults(command) or _misfits(command, arguments)
    if faults or command is None or arguments is None:
        raise InvalidCommand(faults)
    return command.model_copy(update={"arguments": arguments})


def _arguments(verb: object, given: Mapping[str, Any], inner: object, faults: list[Fault]) -> Arguments | None:
    if not isinstance(inner, Mapping):
        faults.append(Fault("arguments", "it must be an object"))
        inner = {}
    outer = {name: value for name, value in given.items() if name not in _OF_COMMAND}
    faults += [Fault(f"arguments.{name}", "it is given twice") for name in sorted(set(outer) & set(inner), key=str)]
    name = verb_of(verb)
    spec = VERBS[Verb(name)] if isinstance(name, str) and name in VERBS else None
    return _validated(spec.arguments, {**outer, **inner}, faults) if spec is not None else None


def _validated(model: type[M], raw: Mapping[str, Any], faults: list[Fault]) -> M | None:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        takes = ", ".join(model.model_fields) if model is not Command else ""
        faults += [_fault(detail, takes) for detail in error.errors(include_url=False, include_input=False)]
        return None


def _fault(detail: Any, takes: str) -> Fault:
    place = ".".join(map(str, detail["loc"])) or "arguments"
    if place == "verb":
        return Fault("command", "it is none that there is", f"one of {', '.join(VERBS)}")
    if detail["type"] == "extra_forbidden":
        return Fault(place, "there is no such argument", f"it takes: {takes or 'none'}")
    return Fault(place, detail["msg"].removeprefix("Value error, "))


def _scope_faults(command: Command) -> list[Fault]:
    spec = VERBS[command.verb]
    allowed = ", ".join(sorted(spec.scopes))
    try:
        scope = command.scope
    except InvalidCommand as error:
        return [Fault("goal", error.faults[0].message, f"{command.verb} is for: {allowed}")]
    if scope not in spec.scopes:
        return [
            Fault(
                scope.value,
                f"{command.verb} is not for a single {scope}"
                if scope is not Scope.ALL
                else f"{command.verb} is not for all",
                f"it is for: {allowed}",
            )
        ]
    more = {
        Scope.ALL: ("goal", "node", "agent", "queue", "owner"),
        Scope.NODE: ("agent", "queue", "owner"),
        Scope.AGENT: ("queue",),
        Scope.QUEUE: ("goal", "owner"),
        Scope.GOAL: ("owner",),
        Scope.OWNER: (),
    }[scope]
    found = [Fault(name, f"it says for whom a second time, beside {scope}") for name in more if getattr(command, name)]
    if scope is Scope.NODE and command.goal is None:
        found.append(Fault("goal", "a node is named with its goal"))
    return found


def _misfits(command: Command, arguments: Arguments | None) -> list[Fault]:
    """Arguments that mean nothing for whom the command is: without a word they would be left out."""
    match command.verb, command.scope, arguments:
        case Verb.PAUSE, Scope.NODE | Scope.AGENT, Pause(mode="stop"):
            return [Fault("mode", "what runs is stopped in whole goals only", "leave it out: what runs finishes")]
        case Verb.SET_BUDGET, Scope.GOAL, Budget(account=str()):
            return [Fault("account", "a goal has one budget for all accounts", "leave it out, or name an owner")]
        case Verb.RETRY, Scope.GOAL | Scope.OWNER | Scope.ALL, Retry(descendants=True):
            return [Fault("descendants", "they are those of one node", "name the node")]
    return []


class Code(IntEnum):
    """What became of a command, in the numbers of HTTP."""

    OK = 200
    BAD = 400
    DENIED = 403
    NOT_FOUND = 404
    REFUSED = 409
    EXPIRED = 410
    FAILED = 500


@dataclass(frozen=True, slots=True)
class Effect:
    """What became of a command at one receiver."""

    goal: str = ""
    node: str = ""
    outcome: str = ""
    """One word: paused, resumed, unchanged, cancelled, ..., or refused, expired, missing."""
    code: int = Code.OK
    message: str = ""
    """Why not, where it was refused: the state that it met."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command."""

    id: str
    command: str
    target: str
    code: int
    outcome: str
    """The receiver's word; of a broadcast `done`, or `refused` where no receiver could."""
    message: str = ""
    effects: tuple[Effect, ...] = ()
    """Receiver by receiver, the first thousand of a broadcast."""
    receivers: int = 0
    """How many there were."""
    repeated: bool = False
    """It was given before: this is what came of it then."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What some commands tell beside: the node of a REPLAN, the nodes that a PAUSE stopped."""

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return self.code == Code.OK

    def as_json(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """The other way."""
        effects = tuple(Effect(**effect) for effect in raw.get("effects", ()))
        return cls(**{**raw, "effects": effects})
