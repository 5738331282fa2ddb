"""Pause and resume a goal, with its sub-goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.domain.command import Expired, Order, Repeated
from orchestrator.domain.errors import GoalNotFound, IllegalTransition
from orchestrator.engine.came import Came, heeded
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.store.store import Store


class Pausing:
    """Each method acts once on the goal and on each of its open sub-goals.

    Raises GoalNotFound, IllegalTransition (the goal's state does not allow it), Repeated and Expired.
    """

    def __init__(self, store: Store, sender: Sender, slots: Slots) -> None:
        self._store = store
        self._sender = sender
        self._slots = slots

    def pause(self, goal: str, reason: str = "", *, stop: bool = False, order: Order | None = None) -> Came:
        """No further claim. 'paused' or 'unchanged'; running nodes finish, or with `stop` run again after a resume.

        The nodes that were stopped are told; those of a sub-goal as ``goal:node``.
        """
        self._store.goals.record(goal)
        repeated: Repeated | None = None
        came = Came("unchanged")
        try:
            came = self._pause(goal, reason, stop, order)
        except Repeated as error:
            repeated = error
            self._go_on_stopping(goal)
        passed = passed_on(order)
        below = self._children(goal, lambda child: self.pause(child, reason, stop=stop, order=passed))
        if repeated is not None:
            raise repeated
        return Came(came.outcome, came.nodes + below)

    def _pause(self, goal: str, reason: str, stop: bool, order: Order | None) -> Came:
        found = self._store.changes.pause(goal, "pause", reason, slots=self._slots.json(), stop=stop, order=order)
        outcome = _allowed(goal, "pause", heeded(goal, found.outcome), "paused")
        more = self._go_on_stopping(goal) if found.more else ()
        return Came(outcome, (*found.nodes, *more))

    def _go_on_stopping(self, goal: str) -> tuple[str, ...]:
        """What is left of a pause that stops nodes; whoever began it may be gone."""
        stopped: list[str] = []
        more = self._store.goals.field(goal, "stopping") is not None
        while more:
            found = self._store.changes.pause(goal, "stop", "", slots=self._slots.json(), stop=True)
            stopped += found.nodes
            more = found.more and found.outcome == "PAUSED"
        return tuple(stopped)

    def resume(self, goal: str, reason: str = "", *, order: Order | None = None) -> Came:
        """Claims again. 'resumed' or 'unchanged'."""
        self._store.goals.record(goal)
        repeated: Repeated | None = None
        outcome = "unchanged"
        try:
            self._store.goals.expect(goal)
            found = self._store.changes.pause(goal, "resume", reason, slots=self._slots.json(), order=order)
            self._sender.invite(found.invitations)
            outcome = _allowed(goal, "resume", heeded(goal, found.outcome), "resumed")
        except Repeated as error:
            repeated = error
        passed = passed_on(order)
        self._children(goal, lambda child: self.resume(child, reason, order=passed))
        if repeated is not None:
            raise repeated
        return Came(outcome)

    def _children(self, goal: str, act: Callable[[str], Came]) -> tuple[str, ...]:
        """Act on the sub-goals that are there. One that is stored later takes its parent's state over by itself."""
        nodes: list[str] = []
        for child in self._store.goals.part(goal, "children").values():
            if self._store.goals.field(child, "parent") != goal:
                continue
            try:
                nodes += [name if ":" in name else f"{child}:{name}" for name in act(child).nodes]
            except (GoalNotFound, IllegalTransition, Repeated, Expired):
                continue  # it has ended, or has acted before
        return tuple(nodes)


def passed_on(order: Order | None) -> Order | None:
    """The order for the sub-goals of a goal that has taken it: it came in time, whenever they are reached."""
    return None if order is None else replace(order, until_ms=None)


def _allowed(goal: str, what: str, outcome: str, wanted: str) -> str:
    if outcome in (wanted, "unchanged"):
        return outcome
    raise IllegalTransition(
        f"goal {goal!r} is {outcome}; it cannot be {wanted} ({what} needs a goal that has not ended)"
    )
