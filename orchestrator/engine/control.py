"""Pause, resume, cancel, retry and answer: what people and programs do to a goal from outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from orchestrator.domain.command import Order, Repeated
from orchestrator.domain.errors import ChordalError, GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.engine.came import heeded
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.ends import Failed
from orchestrator.engine.pausing import Pausing, passed_on
from orchestrator.engine.payload import Payloads, to_json
from orchestrator.store.store import Store

ENDED: Final = ("DONE", "FAILED", "CANCELLED")


def _to_the_end() -> bool:
    return True


class BadSignal(ChordalError):
    """The name of the signal cannot be one; the message says why."""


class Control:
    """Each method acts once, writes its event in the same step, and returns what happened as a word.

    Raises GoalNotFound, NodeNotFound, and IllegalTransition when the goal's state does not allow it; with an `order` also
    Repeated and Expired.
    """

    def __init__(
        self, store: Store, sender: Sender, slots: Slots, payloads: Payloads, withdraw: Callable[[str], object]
    ) -> None:
        """`withdraw` takes the calls of models that a goal waits for out of their lines."""
        self._store = store
        self._payloads = payloads
        self._withdraw = withdraw
        self._sender = sender
        self._slots = slots
        self.pausing = Pausing(store, sender, slots)
        self.told: Callable[[str], object] = lambda _goal: None
        """Called when a goal has ended, for those who want to know; it does not raise."""

    def pause(self, goal: str, reason: str = "", order: Order | None = None) -> str:
        """No further claim; running nodes finish. 'paused' or 'unchanged'."""
        return self.pausing.pause(goal, reason, order=order).outcome

    def resume(self, goal: str, reason: str = "", order: Order | None = None) -> str:
        """Claims again. 'resumed' or 'unchanged'."""
        return self.pausing.resume(goal, reason, order=order).outcome

    def cancel(self, goal: str, reason: str = "", order: Order | None = None) -> str:
        """No claim and no commit from now on; sub-goals are cancelled too. 'cancelled' or 'ended' (it had ended)."""
        self._store.goals.record(goal)
        return self.carry_cancel(goal, reason, begin=True, order=order)

    def carry_cancel(
        self, goal: str, reason: str, begin: bool, order: Order | None = None, go_on: Callable[[], object] = _to_the_end
    ) -> str:  # fmt: skip
        """Begin, or go on with, a cancellation to its end; beat calls it where a caller stopped.

        'more' where `go_on`, asked after each slice, said no: beat takes it up again.
        """
        goals, repeated = self._store.goals, None
        goals.expect(goal, 1000)
        outcome = goals.cancel(goal, reason, begin=begin, order=order)
        try:
            outcome = outcome if outcome == "gone" else heeded(goal, outcome)
        except Repeated as error:
            repeated, outcome = error, goals.cancel(goal, reason, begin=False)
        while outcome == "more" and go_on():
            outcome = goals.cancel(goal, reason, begin=False)
        if outcome == "more":
            return outcome
        # The script marks a cancelled goal that has sub-goals, so that this is done even when its answer was lost.
        if goals.field(goal, "orphans"):
            self.cancel_children(goal, passed_on(order), go_on)
        if outcome == "cancelled":
            if goals.field(goal, "llm"):
                self._withdraw(goal)
            self.after_end(goal)
        if repeated is not None:
            raise repeated
        by_deadline = outcome == "cancelled" and begin and goals.field(goal, "state") == "FAILED"
        return "ended" if by_deadline else outcome

    def cancel_children(self, goal: str, order: Order | None = None, go_on: Callable[[], object] = _to_the_end) -> None:
        """Cancel the sub-goals of a goal that was cancelled, while `go_on` says yes. Repeating it is harmless."""
        for child in self._store.goals.part(goal, "children").values():
            if not go_on():
                return
            if self._store.goals.field(child, "parent") == goal:
                with suppress(Repeated):
                    self.carry_cancel(child, f"its parent {goal} was cancelled", begin=True, order=order, go_on=go_on)
        self._store.goals.forget_field(goal, "orphans")

    def approve(self, goal: str, node: str, comment: str = "", order: Order | None = None, **more: Any) -> str:
        """Answer an approval with yes: the node is DONE, and `more` stands in its output."""
        body = to_json({**more, "approved": True, "comment": comment})
        return self._answer(goal, node, "done", body, order)

    def reject(self, goal: str, node: str, comment: str = "", order: Order | None = None) -> str:
        """Answer an approval with no: the node FAILED, so `on: failed` edges fire."""
        failure = Failed("rejected", f"rejected: {comment}" if comment else "rejected", final=True)
        return self._answer(goal, node, "failed", failure.as_json(), order)

    def _answer(self, goal: str, node: str, outcome: str, body: str, order: Order | None) -> str:
        self._store.goals.record(goal)
        record = self._store.nodes.states(goal, [node])[0]
        if not record:
            raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
        self._store.goals.expect(goal)
        if outcome == "done" and json.loads(self._store.goals.spec(goal, node)).get("kind") == "tool":
            outcome, body = "ready", f"approved:{body}"  # the call was approved; now it is carried out
        verdict, invitations = self._store.nodes.wake(
            goal, node, "approval", outcome, body, slots=self._slots.json(), order=order
        )
        self._sender.invite(invitations)
        said = "rejected" if outcome == "failed" else "approved"
        try:
            heeded(goal, verdict)
        except Repeated:
            raise Repeated(said) from None
        if verdict != "woken":
            raise IllegalTransition(f"node {node!r} of goal {goal!r} is {record['state']} and waits for no approval")
        self.after_step(goal)
        return said

    def signal(self, goal: str, name: str, payload: Any = None, order: Order | None = None) -> str:
        """Send a named signal: nodes that wait for it are DONE with the payload; later ones will be at once.

        'woken', or 'kept' when nobody waits for it yet.
        """
        if not name or len(name) > 200:
            raise BadSignal("a signal has a name of 1 to 200 characters")
        self._store.goals.record(goal)
        self._store.goals.expect(goal)
        verdict, invitations = self._store.nodes.wake(
            goal, "", f"signal:{name}", "done", to_json(payload), slots=self._slots.json(), keep=True, order=order
        )
        self._sender.invite(invitations)
        heeded(goal, verdict)
        if verdict == "ended":
            raise IllegalTransition(f"goal {goal!r} has ended; nobody will receive the signal {name!r}")
        self.after_step(goal)
        return verdict

    # -- when a goal ends --------------------------------------------------------------------------------------------

    def after_step(self, goal: str) -> None:
        """After an outside step that may have ended the goal."""
        if self._store.goals.field(goal, "state") in ENDED:
            self.after_end(goal)

    def after_end(self, goal: str) -> None:
        """Tell who waits for the goal, now that it has ended. Repeating it is harmless; beat does until it worked."""
        self.told(goal)
        goals = self._store.goals
        try:
            record = goals.record(goal)
        except GoalNotFound:
            return
        if "notify" not in record:
            return
        if "result_task" in record:
            self._conclude(goal, record)
            return
        parent, node = record["parent"], record["parent_node"]
        goals.expect(parent, 1000)
        _, invitations = self._store.nodes.wake(
            parent, node, f"child:{goal}", "ready", "child", slots=self._slots.json()
        )
        self._sender.invite(invitations)
        goals.forget_field(goal, "notify")

    def _conclude(self, goal: str, record: Mapping[str, str]) -> None:
        """The goal stands for a Celery task with one node: its end is the task's result."""
        nodes = self._store.goals.part(goal, "nodes")
        if record["state"] == "DONE":
            output = self._payloads.unpack(self._store.nodes.outputs(goal, list(nodes))[0])
            self._sender.conclude(record["result_task"], output, None)
        else:
            dead = next(iter(self._store.goals.part(goal, "dead").values()), "{}")
            error = json.loads(dead).get("error") or record.get("reason") or f"the call is {record['state']}"
            self._sender.conclude(record["result_task"], None, error)
        self._store.goals.forget_field(goal, "notify")
