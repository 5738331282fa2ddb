"""What a node says to a model, and what it makes of the answer: one way for `llm` nodes, another for agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, Self

from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import Done, End, Failed
from orchestrator.engine.upstream import Upstream
from orchestrator.gate.asked import Asked
from orchestrator.gate.request import about, output_of, read_inputs, to_request
from orchestrator.llm.messages import Reply, Request
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.schema import check_schema
from orchestrator.store.records import Claimed
from orchestrator.store.store import Store

ASKER: Final = ("owner", "created", "resumed")
"""The fields of a goal that say whose call it is."""


class Asker(NamedTuple):
    """Whose call it is."""

    owner: str
    run: str
    """When the goal was stored."""
    resumed_ms: int
    """When the goal last went on after a pause: a wait or a time limit does not count the pause."""

    @classmethod
    def of(cls, owner: str | None, created: str | None, resumed: str | None) -> Self:
        """From the goal's fields."""
        return cls(owner or "default", created or "", int(resumed or 0))


class Talk(Protocol):
    """One call of a node."""

    @property
    def asker(self) -> Asker:
        """Whose it is."""
        ...

    @property
    def request(self) -> Request:
        """What is asked."""
        ...

    @property
    def attempt_seconds(self) -> float | None:
        """Time limit of one attempt, where the account's is not enough."""
        ...

    def answered(self, reply: Reply, waited_seconds: float, asked: Asked) -> End:
        """What the node does with the answer."""
        ...


class Speaker(Protocol):
    """Talks for nodes of one kind."""

    def talk(self, lease: Lease, spec: Mapping[str, Any], upstream: Upstream) -> Talk:
        """The call that a node wants. Raises BadInputs, BadSchema, UnknownModel and what says that it has none."""
        ...

    def failed(self, claimed: Claimed, spec: Mapping[str, Any], error: Exception, failure: Failed) -> End:
        """What follows when the call cannot be made or got no answer."""
        ...


@dataclass(frozen=True, slots=True)
class OneCall:
    """The call of an `llm` node: its answer is the node's output."""

    asker: Asker
    request: Request
    attempt_seconds: float | None = None

    def answered(self, reply: Reply, waited_seconds: float, asked: Asked) -> End:  # noqa: ARG002
        """The node is done."""
        return Done(output_of(reply), about(reply, waited_seconds))


class Caller:
    """Speaks for `llm` nodes."""

    def __init__(self, store: Store, profiles: Profiles) -> None:
        self._store = store
        self._profiles = profiles

    def talk(self, lease: Lease, spec: Mapping[str, Any], upstream: Upstream) -> OneCall:
        """As the inputs say. Raises BadInputs, BadSchema and UnknownModel."""
        found = read_inputs(upstream.inputs(spec))
        if found.response_schema is not None:
            check_schema(found.response_schema)
        asker = Asker.of(*self._store.goals.fields(lease.goal, *ASKER))
        model = found.model or self._profiles.default()
        request = to_request(found, model, owner=asker.owner, goal=lease.goal, priority=spec.get("priority", 0))
        return OneCall(asker, request)

    def failed(self, claimed: Claimed, spec: Mapping[str, Any], error: Exception, failure: Failed) -> End:  # noqa: ARG002
        """The node fails."""
        return failure
