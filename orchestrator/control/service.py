"""The one service behind every door: takes a command in, carries it out once, answers, and writes the trail."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from orchestrator.control import errors
from orchestrator.control.acts import Parts, act_on
from orchestrator.control.broadcast import Broadcast, Unfinished
from orchestrator.control.fleet import Fleet
from orchestrator.control.policy import Policy, read_policy
from orchestrator.control.receivers import goals_of
from orchestrator.control.trail import entry_of
from orchestrator.domain.command import (
    Answer,
    Code,
    Command,
    Denied,
    Effect,
    Expired,
    IdTaken,
    InvalidCommand,
    Order,
    Repeated,
    read_command,
)
from orchestrator.domain.errors import ChordalError, Fault
from orchestrator.domain.verbs import Scope, Verb
from orchestrator.engine.changes import Came
from orchestrator.engine.duty import Budget
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed, MemoryFull, takes_no_writes
from orchestrator.store.control import digest_of
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

AGAIN_MS: Final = 10_000
"""An unanswered command is carried out again after so long: whoever had it has died, or takes his time, which is harmless."""


def _to_the_end() -> bool:
    return True


class Commands:
    """Carries commands out. Whatever the door, the same command (by its id) acts once on each receiver."""

    def __init__(self, store: Store, settings: Settings, parts: Parts, fleet: Fleet) -> None:
        self._store = store
        self._settings = settings
        self._parts = parts
        self._fleet = fleet
        self._begun: dict[str, Broadcast] = {}
        """Those for many goals that beat has begun, and goes on with in its next tick."""

    @cached_property
    def policy(self) -> Policy:
        """Who may do what through the doors of this process. Raises InvalidPolicy."""
        return read_policy(self._settings.policy, self._settings.policy_file)

    def carry_out(self, command: Command) -> Answer:
        """Carry the command out and say what came of it; a refusal is an answer too, with its code.

        Raises what the connection raises where Redis is away, and InvalidPolicy. A command that was taken in before that is
        carried out by beat, unless it expires.
        """
        return self._carry_out(command)[0]

    def act(self, command: Command) -> Answer:
        """As `carry_out`, but a refusal raises what refused it: GoalNotFound, IllegalTransition, Denied, ..."""
        answer, error = self._carry_out(command)
        if error is not None and not answer.ok:
            raise error
        return errors.demand(answer)

    def _carry_out(self, command: Command) -> tuple[Answer, ChordalError | None]:
        if not command.id:
            command = command.model_copy(update={"id": f"c-{secrets.token_hex(8)}"})
        try:
            self.policy.check(command)
        except Denied as denied:
            return self._note(command, errors.refusal(command, denied)), denied
        try:
            asked = command.as_json()
            text = json.dumps(asked, allow_nan=False)
        except (TypeError, ValueError) as error:
            invalid = InvalidCommand([Fault("arguments", f"they hold what JSON cannot say: {error}")])
            return errors.refusal(command, invalid), invalid
        expires = None if command.expires_seconds is None else int(command.expires_seconds * 1000)
        keep = max(int(self._settings.command_ttl_seconds * 1000), 2 * (expires or 0))
        taken, detail = self._store.control.open(command.id, text, digest_of(asked), expires, keep)
        if taken == "taken":
            other = IdTaken(
                f"the id {command.id!r} stands for another command; give this one an id of its own, or none"
            )
            return self._note(command, errors.refusal(command, other)), other
        if taken == "done":
            return self._note(command, replace(Answer.from_json(json.loads(detail)), repeated=True)), None
        return self._finish(command, command.order(int(detail) if detail else None))

    def _finish(
        self, command: Command, order: Order, go_on: Callable[[], bool] = _to_the_end
    ) -> tuple[Answer, ChordalError | None]:
        error: ChordalError | None = None
        try:
            self._refuse_if_late(command, order)
            answer = (
                self._fleet_answer(command, order)
                if self._fleet.takes(command)
                else self._goals_answer(command, order, go_on)
            )
        except (*ConnectionFailed, MemoryFull, Unfinished):
            raise  # it stays open: beat carries it out when Redis is back, or has room
        except ChordalError as refused:
            answer, error = errors.refusal(command, refused), refused
            self._say_refused(command, order, refused)
        except Exception as broken:
            if takes_no_writes(broken):
                raise
            log.exception("the command %s (%s) failed", command.id, command.verb)
            answer = errors.refusal(command, broken)
        stands = self._store.control.close(
            command.id, json.dumps(answer.as_json()), self._settings.audit_limit, entry_of(command, answer)
        )
        return Answer.from_json(json.loads(stands)), error

    def _note(self, command: Command, answer: Answer) -> Answer:
        """Write a command that was not carried out into the trail."""
        self._store.control.close("", "", self._settings.audit_limit, entry_of(command, answer))
        return answer

    def _say_refused(self, command: Command, order: Order, refused: ChordalError) -> None:
        if command.goal is not None:
            # The receiver is the one that the script has: a refused command must not act when it is carried out again.
            self._parts.changes.refuse(
                command.goal, command.verb.value, str(refused), order=order, node=command.node or ""
            )

    def _refuse_if_late(self, command: Command, order: Order) -> None:
        """Raise Expired where it is too late to begin. What was begun in time by somebody who died is told as it came."""
        if order.until_ms is None or self._store.goals.clock_ms() <= order.until_ms:
            return
        if self._fleet.takes(command):
            begun = self._store.control.acted(command.id) is not None
        elif command.goal is not None:
            begun = bool(self._store.changes.receivers(command.goal, command.id))
        else:
            begun = True  # of a broadcast the scripts know, goal by goal
        if not begun:
            raise Expired(f"the command {command.id} came after its expiry")

    # -- receivers ---------------------------------------------------------------------------------------------------

    def _fleet_answer(self, command: Command, order: Order) -> Answer:
        came = _first(lambda: self._fleet.act(command, order))
        return _answer(command, came.outcome, (Effect(outcome=came.outcome),), 1, came)

    def _goals_answer(self, command: Command, order: Order, go_on: Callable[[], bool]) -> Answer:
        if command.scope not in (Scope.OWNER, Scope.ALL):
            goal = command.goal or ""
            came = _first(lambda: act_on(self._parts, command, goal, order))
            effect = Effect(goal, command.node or "", came.outcome)
            return _answer(command, came.outcome, (effect,), 1, came)
        found = self._begun.pop(command.id, None) or Broadcast(self._each(command, order))
        try:
            found.go_on(go_on)
        except Unfinished:
            self._begun[command.id] = found
            raise
        if found.codes == {Code.EXPIRED}:
            raise Expired(f"the command {command.id} came after its expiry")
        done = Code.OK in found.codes or not found.count
        return _answer(command, "done" if done else "refused", tuple(found.effects), found.count)

    def _each(self, command: Command, order: Order) -> Iterator[Effect]:
        for goal in goals_of(self._store, command):
            try:
                came = _first(lambda goal=goal: act_on(self._parts, command, goal, order))  # type: ignore[misc]
                yield Effect(goal, "", came.outcome)
            except ChordalError as error:
                yield Effect(goal, "", errors.word_of(error), errors.code_of(error), str(error))

    # -- commands that were taken in and not answered ------------------------------------------------------------------

    def unfinished(self) -> bool:
        """Whether the last `resume_open` left goals of a command for the next."""
        return bool(self._begun)

    def resume_open(self, most: int = 50) -> str:
        """Carry out what others took in and did not answer; a duty of beat."""
        now = self._store.goals.clock_ms()
        found = self._store.control.open_since(now - AGAIN_MS, most)
        self._begun = {id: begun for id, begun in self._begun.items() if id in found}
        budget = Budget()
        for id in found:
            if not budget:
                break
            self._store.control.put_off(id, now)
            raw = self._store.control.command(id)
            if raw is None:
                self._store.control.forget_open(id)
                continue
            try:
                asked: dict[str, Any] = json.loads(raw)
                door = asked.get("door", "python")
                command = read_command(asked, door)
                taken, detail = self._store.control.open(id, raw, digest_of(asked), None, 1)
                if taken != "open":  # it was answered in this moment
                    self._store.control.forget_open(id)
                    continue
                self._finish(command, command.order(int(detail) if detail else None), budget.__bool__)
                log.warning("the command %s (%s) was left unanswered; it is carried out now", id, command.verb)
            except (*ConnectionFailed, MemoryFull):
                raise
            except Unfinished:
                self._store.control.put_off(id, now - AGAIN_MS)  # for the next tick
            except Exception as broken:
                if takes_no_writes(broken):
                    raise
                log.exception("the command %s cannot be carried out; it is forgotten", id)
                self._store.control.forget_open(id)
        return f"{len(found)} unanswered commands" if found else "none unanswered"


def _first(act: Callable[[], Came]) -> Came:
    """What came of it, also where the receiver had acted before: on behalf of somebody who died, or just now did it too."""
    try:
        return act()
    except Repeated as error:
        return Came(error.outcome)


def _answer(
    command: Command, outcome: str, effects: tuple[Effect, ...], count: int, came: Came | None = None
) -> Answer:
    code = Code.OK if outcome != "refused" or not count else Code.REFUSED
    extra: dict[str, Any] = {}
    if came is not None and came.nodes:
        stopped = command.verb is Verb.PAUSE and command.scope not in (Scope.NODE, Scope.AGENT)
        extra["stopped" if stopped else "nodes"] = list(came.nodes)
    if came is not None and came.detail:
        extra[_DETAIL.get(command.verb, "detail")] = came.detail
    return Answer(command.id, command.verb.value, command.target, int(code), outcome, "", effects, count, False, extra)


_DETAIL: Final = {
    Verb.REPLAN: "node",
    Verb.REPARSE: "changed",
    Verb.FLUSH_MEMORY: "entries",
    Verb.DROP_TASK: "version",
    Verb.EDIT: "version",
    Verb.SET_BUDGET: "accounts",
}
"""What the detail of a command's outcome is called in its answer."""
