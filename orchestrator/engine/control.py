"""Pause, resume, cancel, retry and answer: what people and programs do to a goal from outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.domain.errors import ChordalError, GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.ends import Failed
from orchestrator.engine.payload import Payloads, to_json
from orchestrator.store.store import Store

ENDED: Final = ("DONE", "FAILED", "CANCELLED")


class BadSignal(ChordalError):
    """The name of the signal cannot be one; the message says why."""


class Control:
    """Each method acts once, writes its event in the same step, and returns what happened as a word.

    Raises GoalNotFound, NodeNotFound, and IllegalTransition when the goal's state does not allow it.
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

    def pause(self, goal: str, reason: str = "") -> str:
        """No further claim; running nodes finish. 'paused' or 'unchanged'."""
        self._store.goals.record(goal)
        return _allowed(goal, "pause", self._store.goals.pause(goal, reason, slots=self._slots.json()), "paused")

    def resume(self, goal: str, reason: str = "") -> str:
        """Claims again. 'resumed' or 'unchanged'."""
        self._store.goals.record(goal)
        self._store.goals.expect(goal)
        outcome, invitations = self._store.goals.resume(goal, reason, slots=self._slots.json())
        self._sender.invite(invitations)
        return _allowed(goal, "resume", outcome, "resumed")

    def cancel(self, goal: str, reason: str = "") -> str:
        """No claim and no commit from now on; sub-goals are cancelled too. 'cancelled' or 'ended' (it had ended)."""
        self._store.goals.record(goal)
        return self.carry_cancel(goal, reason, begin=True)

    def carry_cancel(self, goal: str, reason: str, begin: bool) -> str:
        """Begin, or go on with, a cancellation to its end; beat calls it where a caller stopped."""
        goals = self._store.goals
        goals.expect(goal, 1000)
        outcome = goals.cancel(goal, reason, begin=begin)
        while outcome == "more":
            outcome = goals.cancel(goal, reason, begin=False)
        # The script marks a cancelled goal that has sub-goals, so that this is done even when its answer was lost.
        if goals.field(goal, "orphans"):
            self.cancel_children(goal)
        if outcome == "cancelled":
            if goals.field(goal, "llm"):
                self._withdraw(goal)
            self.after_end(goal)
        return outcome

    def cancel_children(self, goal: str) -> None:
        """Cancel the sub-goals of a goal that was cancelled. Repeating it is harmless."""
        for child in self._store.goals.part(goal, "children").values():
            if self._store.goals.field(child, "parent") == goal:
                self.carry_cancel(child, f"its parent {goal} was cancelled", begin=True)
        self._store.goals.forget_field(goal, "orphans")

    def approve(self, goal: str, node: str, comment: str = "", **more: Any) -> str:
        """Answer an approval with yes: the node is DONE, and `more` stands in its output."""
        body = to_json({**more, "approved": True, "comment": comment})
        return self._answer(goal, node, "done", body)

    def reject(self, goal: str, node: str, comment: str = "") -> str:
        """Answer an approval with no: the node FAILED, so `on: failed` edges fire."""
        failure = Failed("rejected", f"rejected: {comment}" if comment else "rejected", final=True)
        return self._answer(goal, node, "failed", failure.as_json())

    def _answer(self, goal: str, node: str, outcome: str, body: str) -> str:
        self._store.goals.record(goal)
        record = self._store.nodes.states(goal, [node])[0]
        if not record:
            raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
        self._store.goals.expect(goal)
        if outcome == "done" and json.loads(self._store.goals.spec(goal, node)).get("kind") == "tool":
            outcome, body = "ready", f"approved:{body}"  # the call was approved; now it is carried out
        verdict, invitations = self._store.nodes.wake(goal, node, "approval", outcome, body, slots=self._slots.json())
        self._sender.invite(invitations)
        if verdict != "woken":
            raise IllegalTransition(f"node {node!r} of goal {goal!r} is {record['state']} and waits for no approval")
        self.after_step(goal)
        return "rejected" if outcome == "failed" else "approved"

    def signal(self, goal: str, name: str, payload: Any = None) -> str:
        """Send a named signal: nodes that wait for it are DONE with the payload; later ones will be at once.

        'woken', or 'kept' when nobody waits for it yet.
        """
        if not name or len(name) > 200:
            raise BadSignal("a signal has a name of 1 to 200 characters")
        self._store.goals.record(goal)
        self._store.goals.expect(goal)
        verdict, invitations = self._store.nodes.wake(
            goal, "", f"signal:{name}", "done", to_json(payload), slots=self._slots.json(), keep=True
        )
        self._sender.invite(invitations)
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


def _allowed(goal: str, what: str, outcome: str, wanted: str) -> str:
    if outcome in (wanted, "unchanged"):
        return outcome
    if outcome == "gone":
        raise GoalNotFound(f"there is no goal {goal!r}")
    raise IllegalTransition(
        f"goal {goal!r} is {outcome}; it cannot be {wanted} ({what} needs a goal that has not ended)"
    )
