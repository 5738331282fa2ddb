"""What commands do to goals and nodes: each method acts once an order, and tells what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestrator.domain.command import Order
from orchestrator.domain.errors import GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.engine.came import Came, heeded, recall
from orchestrator.engine.control import Control
from orchestrator.engine.dispatch import SLOTS_SECONDS, Sender, Slots
from orchestrator.engine.dropping import Dependants, Dropper
from orchestrator.engine.editing import Editor
from orchestrator.engine.holds import slots_now
from orchestrator.engine.patch import Patcher
from orchestrator.engine.payload import to_json
from orchestrator.engine.reopen import Reopener
from orchestrator.store.store import Store

__all__ = ["Came", "Changes"]

WHY_CHARACTERS: Final = 1000
TRIES: Final = 5
AFTER_RELEASE_MS: Final = round(SLOTS_SECONDS * 1000) + 500
"""Until then every process knows of the end of a hold: what one that did not know it yet set aside again comes back."""


class Changes:
    """The changes that commands make to one goal.

    Every method raises GoalNotFound, and where it names a node NodeNotFound; IllegalTransition, whose text tells the state that
    was met; Repeated where the `order` was carried out there before, and Expired where it came too late.
    """

    def __init__(
        self, store: Store, sender: Sender, slots: Slots, control: Control, reopener: Reopener, patcher: Patcher
    ) -> None:
        self._store = store
        self._sender = sender
        self._slots = slots
        self._control = control
        self._reopener = reopener
        self._dropper = Dropper(store, patcher)
        self._editor = Editor(store)

    def pause(self, goal: str, reason: str = "", *, stop: bool = False, order: Order | None = None) -> Came:
        """No further claim, here and in sub-goals: 'paused' or 'unchanged'.

        Running nodes finish; with `stop` they lose their leases and run again, from their start, after a resume. `nodes` tells
        which.
        """
        return self._control.pausing.pause(goal, reason, stop=stop, order=order)

    def resume(self, goal: str, reason: str = "", *, order: Order | None = None) -> Came:
        """Claims again, here and in sub-goals: 'resumed' or 'unchanged'."""
        return self._control.pausing.resume(goal, reason, order=order)

    def cancel(self, goal: str, reason: str = "", *, order: Order | None = None) -> Came:
        """No claim and no commit from now on, here and in sub-goals: 'cancelled', or 'ended' (it had ended)."""
        return Came(self._control.cancel(goal, reason, order=order))

    def retry(
        self, goal: str, node: str | None = None, *, descendants: bool = False, order: Order | None = None
    ) -> Came:
        """Run what failed again: 'retried'. See Reopener.retry."""
        outcome = self._reopener.retry(goal, node, descendants=descendants, order=order)
        return Came(outcome, (node,) if node else ())

    def refuse_retry(self, goal: str, node: str) -> None:
        """Raise what `retry` of the node would be refused with as things stand; changes nothing."""
        self._reopener.refuse(goal, node)

    def drop(
        self, goal: str, node: str, *, dependants: Dependants = "skip", reason: str = "", order: Order | None = None
    ) -> Came:
        """Take a node that has not begun out of the plan: 'dropped'. See Dropper.drop."""
        return self._dropper.drop(goal, node, dependants=dependants, reason=reason, order=order)

    def edit(
        self, goal: str, node: str, *, inputs: Mapping[str, Any] | None = None, set: Mapping[str, Any] | None = None,
        order: Order | None = None,
    ) -> Came:  # fmt: skip
        """Give a node other inputs: 'edited'. See Editor.edit."""
        return self._editor.edit(goal, node, inputs=inputs, set=set, order=order)

    def set_priority(self, goal: str, priority: int, node: str | None = None, *, order: Order | None = None) -> Came:
        """A goal's invitations, or a node among the ready ones, go earlier or later: 'set' or 'unchanged'.

        No other node is touched. The detail is the priority before.
        """
        outcome, before = self._store.changes.priority(goal, node or "", priority, order=order)
        if heeded(goal, outcome) not in ("set", "unchanged"):
            raise self._refusal(goal, node, outcome, "its priority means nothing any more")
        return Came(outcome, (node,) if node else (), before)

    # -- holds -------------------------------------------------------------------------------------------------------

    def hold(
        self, goal: str, node: str | None = None, agent: str | None = None, *, reason: str = "",
        order: Order | None = None,
    ) -> Came:  # fmt: skip
        """No further claim of a node, or of an agent's nodes, in this goal: 'held' or 'unchanged'."""
        return self._hold(goal, "hold", node, agent, reason, order)

    def release(
        self, goal: str, node: str | None = None, agent: str | None = None, *, reason: str = "",
        order: Order | None = None,
    ) -> Came:  # fmt: skip
        """The end of such a hold: 'released' or 'unchanged'."""
        return self._hold(goal, "release", node, agent, reason, order)

    def _hold(
        self, goal: str, verb: str, node: str | None, agent: str | None, reason: str, order: Order | None
    ) -> Came:
        if (node is None) == (agent is None):
            raise ValueError("name a node or an agent")
        what, name = ("agent", agent or "") if node is None else ("node", node)
        by, why = (order.by, reason or order.reason) if order is not None else ("", reason)
        known = node is not None or self._has_agent(goal, name)
        outcome, invitations, more = self._store.changes.hold(
            goal, verb, what, name, by=by, reason=why, known=known, slots=self._slots.json(), order=order
        )
        self._sender.invite(invitations)
        if heeded(goal, outcome) not in ("held", "released", "unchanged"):
            if outcome == "missing" and agent is not None:
                raise IllegalTransition(f"no node of goal {goal!r} is done by an agent {agent!r}")
            raise self._refusal(goal, node, outcome, "nobody claims it any more")
        if verb == "release":
            self._store.goals.expect(goal)  # messages that came during the hold are used up: their nodes are sent again
        if more:
            self.bring_back([goal])
        return Came(outcome, (node,) if node else ())

    def _has_agent(self, goal: str, name: str) -> bool:
        self._store.goals.record(goal)
        if name in self._store.agents.cards(goal):
            return True
        texts = self._store.goals.part(goal, "nodes").values()
        return any(json.loads(text).get("agent") == name for text in texts if name in text)

    def bring_back(self, goals: Iterable[str]) -> None:
        """After a hold of the whole fleet has ended: what it kept from being claimed can be claimed again, goal by goal.

        Beat does so, too, within its sweep.
        """
        slots = slots_now(self._store)  # as they are now: a kept copy may still tell of the hold
        for goal in goals:
            outcome, more = "", True
            while more:
                outcome, invitations, more = self._store.changes.hold(goal, "look", slots=slots)
                self._sender.invite(invitations)
            if outcome == "looked":
                self._store.goals.expect(goal, AFTER_RELEASE_MS)

    # -- the rest ----------------------------------------------------------------------------------------------------

    def budget(
        self, goal: str, tokens: int | None = None, micro_usd: int | None = None, *, order: Order | None = None
    ) -> Came:
        """What the goal may spend on model calls from now on, in all, where it is given: 'set' or 'unchanged'."""
        given = {unit: value for unit, value in (("tokens", tokens), ("micro_usd", micro_usd)) if value is not None}
        for _ in range(TRIES):
            before = self._store.goals.record(goal).get("budget", "")
            known = json.loads(before) if before else {}
            after = before if known | given == known else to_json(known | given)
            outcome = self._store.changes.budget(goal, before, after, to_json(given), order=order)
            if heeded(goal, outcome) in ("set", "unchanged"):
                return Came(outcome)
            if outcome != "changed":
                raise IllegalTransition(f"goal {goal!r} is {outcome}; it makes no calls any more")
        raise IllegalTransition(f"the budget of goal {goal!r} is being changed by others; try again")

    def refuse(self, goal: str, verb: str, why: str, *, order: Order, node: str = "") -> str:
        """Note in the history of an open goal that a command was refused: it will not act there any more.

        'refused', 'known' (it was carried out or refused before), or where there is nothing to note 'ended', 'expired' or
        'gone'. Raises nothing of what the others raise.
        """
        outcome = self._store.changes.refuse(goal, node, verb, why[:WHY_CHARACTERS], order=order)
        return "known" if outcome.startswith("repeated ") else outcome

    def recall(self, goal: str, order: Order, node: str = "") -> None:
        """Raise Repeated where the order was carried out there before, IllegalTransition where it was refused."""
        recall(self._store, goal, order, node)

    def _refusal(self, goal: str, node: str | None, outcome: str, meaning: str) -> Exception:
        if outcome == "missing":
            return NodeNotFound(f"goal {goal!r} has no node {node!r}")
        if outcome == "gone":
            return GoalNotFound(f"there is no goal {goal!r}")
        around = outcome in (
            "CANCELLING",
            self._store.goals.field(goal, "state"),
        )  # the word is the goal's, not the node's
        whose = f"goal {goal!r}" if around or not node else f"node {node!r} of goal {goal!r}"
        return IllegalTransition(f"{whose} is {outcome}; {meaning}")
