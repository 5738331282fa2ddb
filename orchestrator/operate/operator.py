"""What an operator asks, in one place: is everything well, why does this not go on, what is dead, who is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from orchestrator.domain.states import GoalState
from orchestrator.domain.views import Check, GoalSummary
from orchestrator.engine.read import Reader
from orchestrator.operate import dead
from orchestrator.operate.dead import Letter
from orchestrator.operate.facts import FleetFacts, GoalFacts, NodeFacts
from orchestrator.operate.fleet import read_fleet
from orchestrator.operate.gather import Gather
from orchestrator.operate.history import ended_goals
from orchestrator.operate.reason import Finding
from orchestrator.operate.why import why_goal, why_node
from orchestrator.settings import Settings
from orchestrator.store.control import Audited
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.operate.check_broker import Depth
    from orchestrator.operate.following import Following

FRONT: Final = 50
"""Nodes of each kind of one goal that are looked at."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a goal, or one node of it, does not go on."""

    goal: GoalFacts
    findings: tuple[Finding, ...]
    node: NodeFacts | None = None

    def as_json(self) -> dict[str, Any]:
        """As `chordal why --json` prints it."""
        head: dict[str, Any] = {"goal_id": self.goal.id, "state": self.goal.state}
        if self.node is not None:
            head |= {"node": self.node.id, "node_state": self.node.state}
        return {**head, "reasons": [finding.as_json() for finding in self.findings]}


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator's view of one Chordal. Every method may raise RedisNotReachable."""

    store: Store
    reader: Reader
    settings: Settings
    app: Any
    """The Celery app: its settings, and the broker's queues."""
    intervals: Callable[[], Mapping[str, float]]
    """Seconds between the ticks of each duty of beat."""
    reachable: Callable[[], AbstractContextManager[None]]
    others: Callable[[], Iterable[Check]] = tuple
    """What other parts have to say to `doctor`."""

    def why(self, goal: str, node: str | None = None) -> Explained:
        """Why a goal or a node does not go on. Raises GoalNotFound, NodeNotFound."""
        with self.reachable():
            gather = Gather(self.store)
            facts = gather.goal(goal)
            if node is None:
                found, fleet = self._look(gather, facts)
                return Explained(facts, tuple(why_goal(facts, found, fleet)))
            one = gather.node(goal, node)
            fleet = replace(read_fleet(self.store, self.settings), lines=gather.lines([one]))
            return Explained(facts, tuple(Finding(reason, ()) for reason in why_node(one, facts, fleet)), one)

    def reasons(self, gather: Gather, goal: GoalFacts, fleet: FleetFacts) -> Sequence[Finding]:
        """Why a goal does not go on, for a fleet that was read before."""
        found, fleet = self._look(gather, goal, fleet)
        return why_goal(goal, found, fleet)

    def _look(
        self, gather: Gather, goal: GoalFacts, fleet: FleetFacts | None = None
    ) -> tuple[list[NodeFacts], FleetFacts]:
        """The nodes of a goal on which it depends whether it goes on, and the fleet with the lines that they wait in."""
        front = self.store.look.front(goal.id, FRONT)
        failed = list(self.store.look.dead(goal.id, FRONT))
        names = dict.fromkeys([*front.running, *front.waiting, *front.ready, *front.aside, *failed])
        found = gather.nodes(goal.id, list(names))
        if fleet is None:
            fleet = read_fleet(self.store, self.settings)
        return found, replace(fleet, lines={**fleet.lines, **gather.lines(found)})

    def fleet(self) -> FleetFacts:
        """Who is there, what each holds, what is held, whether beat ticks."""
        with self.reachable():
            return read_fleet(self.store, self.settings)

    def queues(self, fleet: FleetFacts) -> list[Depth]:
        """How full the broker's queues are. Raises what the broker's connection raises."""
        from orchestrator.operate.check_broker import depths, queues_of

        return depths(self.app, queues_of(fleet), fleet.now_ms)

    # -- dead letters -------------------------------------------------------------------------------------------------

    def letters(self, goal: str | None = None, *, seen: bool = False) -> list[Letter]:
        """Dead letters of a goal or of all; `seen`: the acknowledged ones too. Raises GoalNotFound."""
        with self.reachable():
            return list(dead.letters(self.store, goal, seen=seen))

    def letter(self, name: str) -> Letter:
        """One of them. Raises LetterNotFound, GoalNotFound."""
        with self.reachable():
            return dead.find(self.store, name)

    def requeue_message(self, name: str, by: str, reason: str = "") -> str:
        """Send a message that was set aside once more; returns its queue. Raises LetterNotFound, CannotRequeue."""
        with self.reachable():
            queue = dead.publish_again(self.app, self.store, dead.raw_message(self.store, name))
            self._note("REQUEUE-MESSAGE", f"message {name}", by, reason, "requeued", queue)
            return queue

    def drop_message(self, name: str, by: str, reason: str = "") -> str:
        """Forget a message that was set aside. Raises LetterNotFound."""
        with self.reachable():
            self.store.fleet.forget_poison(dead.raw_message(self.store, name))
            self._note("DROP-MESSAGE", f"message {name}", by, reason, "dropped")
            return "dropped"

    def acknowledge(self, goal: str, node: str, by: str, reason: str = "") -> str:
        """Hear no more of a failed node, which stays as it is: 'acknowledged' or 'known'. Raises LetterNotFound."""
        with self.reachable():
            (outcome,) = self.store.goals.acknowledge(goal, [node], by, reason)
            if outcome == "missing":
                raise dead.LetterNotFound(f"node {node!r} of goal {goal!r} is no dead letter")
            self._note("ACKNOWLEDGE", f"node {node} of goal {goal}", by, reason, outcome)
            return outcome

    def _note(self, command: str, target: str, by: str, reason: str, outcome: str, message: str = "") -> None:
        """Into the audit trail."""
        door, _, sender = by.partition(":")
        entry = {"command": command, "target": target, "door": door, "sender": sender, "reason": reason}
        entry |= {"outcome": outcome, "code": "200", "message": message, "receivers": "1"}
        self.store.control.close("", "", self.settings.audit_limit, entry)

    # -- what was -----------------------------------------------------------------------------------------------------

    def history(
        self, *, state: GoalState | None = None, owner: str | None = None, since: float | None = None, most: int = 50
    ) -> list[GoalSummary]:
        """Goals that have ended, the latest end first; `since`: within so many seconds."""
        with self.reachable():
            return ended_goals(self.reader, self.store, state=state, owner=owner, since=since, most=most)

    def audit(self, after: str = "", most: int = 100, newest: bool = False) -> list[Audited]:
        """Commands and what came of them: behind a stream id, the oldest first, or the `newest`, these first."""
        with self.reachable():
            return self.store.control.audit(after, most, newest)

    def following(self) -> Following:
        """The events of every goal, from now on."""
        from orchestrator.operate.following import Following

        with self.reachable():
            return Following(self.store)

    # -- is all well --------------------------------------------------------------------------------------------------

    def checks(self) -> list[Check]:
        """What is well and what is not, in the order in which one would look."""
        from orchestrator.operate.doctor import Doctor

        with self.reachable():
            return Doctor(self).checks()
