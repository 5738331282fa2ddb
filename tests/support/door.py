"""A stand-in for the facade, for tests of arguments, rendering and exit codes: nothing here knows how goals work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from click.testing import Result

from orchestrator.control import errors
from orchestrator.domain.command import Answer, Command, Effect
from orchestrator.domain.errors import ChordalError, GoalNotFound
from orchestrator.domain.events import Event
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.views import GoalStatus, NodeStatus
from orchestrator.events.violation import Report

Run = Callable[..., Result]
"""What the fixture `chordal` is."""


def make_status(
    goal: str = "g1",
    state: GoalState = GoalState.RUNNING,
    nodes: Mapping[str, NodeStatus | NodeState] | None = None,
    **more: NodeStatus | NodeState,
) -> GoalStatus:
    """A goal in which a keyword is a node, given whole or by its state; each follows the one before it."""
    whole = {
        name: node if isinstance(node, NodeStatus) else NodeStatus(name, name.upper(), node, 1)
        for name, node in {**(nodes or {}), **more}.items()
    }
    counts = {state: sum(node.state is state for node in whole.values()) for state in NodeState}
    names = list(whole)
    return GoalStatus(
        goal_id=goal, title="A goal", state=state, owner="default", created=1000.0, started=1000.5, ended=None,
        read_at=1003.0, counts=counts, total=len(whole), nodes=whole, edges=tuple(pairwise(names)),
    )  # fmt: skip


def make_event(number: int, kind: str, node: str = "", token: int | None = None, **data: Any) -> Event:
    """The event of that number, a tenth of a second after the one before."""
    claimed = kind == "node.claimed"
    return Event(
        f"{number}-0", 1000.0 + number / 10, kind, "g1", node, 1 if node else None, token or (number if claimed else None),
        "w1" if claimed else "", data,
    )  # fmt: skip


class Service:
    """Answers commands with what the test said, and writes them down. What the door raises refuses them."""

    def __init__(self, door: Door) -> None:
        self.given: list[Command] = []
        self.says: dict[str, Callable[[Command], Answer]] = {}
        self._door = door

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """What was given, without door and sender."""
        return [
            {name: value for name, value in one.as_json().items() if value and name not in ("door", "sender")}
            for one in self.given
        ]

    def carry_out(self, command: Command) -> Answer:
        self.given.append(command)
        if isinstance(self._door.raises, ChordalError):
            return errors.refusal(command, self._door.raises)
        say = self.says.get(command.verb)
        return say(command) if say else answered(command, command.verb.lower())

    def act(self, command: Command) -> Answer:
        return errors.demand(self.carry_out(command))


def answered(command: Command, outcome: str, *effects: Effect, **extra: Any) -> Answer:
    """The answer to a command that was carried out."""
    told = effects or (Effect(command.goal or "", command.node or "", outcome),)
    return Answer(
        "c-1", command.verb.value, command.target, 200, outcome, effects=told, receivers=len(told), extra=extra
    )  # fmt: skip


class Door:
    """Answers from what the test put in, and writes down every call."""

    def __init__(self) -> None:
        self.statuses: dict[str, GoalStatus] = {}
        self.pages: list[Event] = []
        self.calls: list[tuple[Any, ...]] = []
        self.raises: BaseException | None = None
        self.checks: list[Any] = []
        self.reports: dict[str, Report] = {}
        self.workers = 0
        self.commands = Service(self)
        self.store = SimpleNamespace(goals=SimpleNamespace(spec=lambda _goal, _node: '{"inputs": {"path": "src"}}'))

    def _note(self, name: str, *args: Any, **more: Any) -> str:
        self.calls.append((name, *args, *([more] if more else [])))
        if self.raises:
            raise self.raises
        return name

    @contextmanager
    def reachable(self) -> Iterator[None]:
        yield

    def submit(self, goal: Any) -> str:
        self._note("submit", goal.goal_id)
        return str(goal.goal_id)

    def status(self, goal: str) -> GoalStatus:
        self._note("status", goal)
        if goal not in self.statuses:
            raise GoalNotFound(f"there is no goal {goal!r}")
        return self.statuses[goal]

    def summary(self, goal: str) -> GoalStatus:
        self._note("summary", goal)
        return self.statuses[goal]

    def list(self, limit: int = 50, state: GoalState | None = None, owner: str | None = None) -> Sequence[GoalStatus]:
        self._note("list", limit, state, owner)
        return [*self.statuses.values()]

    def events(self, goal: str, after: str = "0", block_seconds: float = 0.0, limit: int = 1000) -> Sequence[Event]:
        self._note("events", goal, after, block_seconds)
        behind = [event for event in self.pages if int(event.id.partition("-")[0]) > int(after.partition("-")[0])]
        return behind[:limit]

    def live_workers(self) -> int:
        self._note("live_workers")
        return self.workers

    def doctor(self) -> Sequence[Any]:
        self._note("doctor")
        return self.checks

    def check_history(self, goal: str) -> Report:
        self._note("check_history", goal)
        if goal not in self.reports:
            raise GoalNotFound(f"there is no goal {goal!r}")
        return self.reports[goal]

    def __getattr__(self, name: str) -> Callable[..., str]:
        return lambda *args, **more: self._note(name, *args, **more)
