"""Commands that touch no single goal: holds of queues and agents, STOP, an agent's memory, an owner's budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.control.receivers import goals_of
from orchestrator.domain.command import Command, InvalidCommand, Order, Repeated
from orchestrator.domain.errors import Fault, IllegalTransition
from orchestrator.domain.verbs import Budget, Scope, Stop, Verb
from orchestrator.engine.changes import Came, Changes
from orchestrator.engine.holds import publish_holds
from orchestrator.store.control import FLEET
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.agents.desk import AgentDesk
    from orchestrator.llm.limiter import Limiter

_HOLDS: Final = frozenset({Verb.HOLD, Verb.PAUSE})


@dataclass(frozen=True, slots=True)
class Fleet:
    """Carries them out."""

    store: Store
    changes: Changes
    desk: Callable[[], AgentDesk]
    limiter: Callable[[], Limiter]
    accounts: Callable[[], list[str]]
    shut_down: Callable[[], object]
    """Asks every worker to end once its nodes have finished."""

    def takes(self, command: Command) -> bool:
        """Whether the command is one for the fleet."""
        if command.verb in (Verb.STOP, Verb.FLUSH_MEMORY):
            return True
        if command.verb is Verb.SET_BUDGET:
            return command.scope is Scope.OWNER
        if command.verb in (Verb.HOLD, Verb.RELEASE):
            return command.goal is None
        return command.verb in (Verb.PAUSE, Verb.RESUME) and command.scope is Scope.AGENT and command.goal is None

    def act(self, command: Command, order: Order) -> Came:
        """Carry it out. Raises GoalNotFound, IllegalTransition, InvalidCommand, Repeated, InvalidProfiles."""
        if command.verb is Verb.STOP:
            return self._stop(command, order)
        if command.verb is Verb.FLUSH_MEMORY:
            return self._flush(command)
        if command.verb is Verb.SET_BUDGET:
            return self._budget(command)
        names = ["*"] if command.scope is Scope.ALL else [_held_name(command)]
        return self._hold(command, order, names) if command.verb in _HOLDS else self._release(command, names)

    def _hold(self, command: Command, order: Order, names: list[str]) -> Came:
        if command.queue == "llm":
            raise IllegalTransition(
                "the queue 'llm' is served call by call; hold an account: `chordal llm drain ACCOUNT`"
            )
        note = {"by": order.by, "reason": order.reason, "at": self.store.goals.clock_ms() / 1000, "command": order.id}
        outcome = self.store.control.hold(order.id, names, json.dumps(note))
        publish_holds(self.store)  # of a repeated one, too: whoever was first may have died before this
        return Came(_once(outcome))

    def _release(self, command: Command, names: list[str]) -> Came:
        outcome = self.store.control.release(command.id, names)
        publish_holds(self.store)
        self.changes.bring_back(goals_of(self.store, command))
        return Came(_once(outcome))

    def _stop(self, command: Command, order: Order) -> Came:
        given: Stop = command.arguments
        try:
            outcome = self._hold(command, order, [FLEET]).outcome
        except Repeated as before:  # by somebody who may have died before the workers were told
            outcome = before.outcome
        if given.exit:
            self.shut_down()
        return Came("stopped" if outcome == "held" or given.exit else outcome)

    def _flush(self, command: Command) -> Came:
        owner = command.owner
        if owner is None and command.goal is not None:
            owner = self.store.goals.record(command.goal).get("owner", "default")
        self._refuse_if_acted(command)
        count = self.desk().flush_memory(owner or "default", command.agent or "")
        return self._acted(command, Came("flushed" if count else "unchanged", (), str(count)))

    def _budget(self, command: Command) -> Came:
        given: Budget = command.arguments
        self._refuse_if_acted(command)
        known = self.accounts()
        accounts = [given.account] if given.account else known
        if not set(accounts) & set(known):  # of a name that nobody uses a budget would limit nothing
            raise InvalidCommand(
                [Fault("account", "there is no such account", f"known here: {', '.join(known) or 'none'}")]
            )
        for account in accounts:
            self.limiter().change_budget(account, command.owner or "", given.tokens, given.micro_usd)
        return self._acted(command, Came("set", (), ", ".join(accounts)))

    def _refuse_if_acted(self, command: Command) -> None:
        if (before := self.store.control.acted(command.id)) is not None:
            raise Repeated(before)

    def _acted(self, command: Command, came: Came) -> Came:
        """Noted after the deed: whoever dies between the two leaves it to be done once more, which changes little."""
        self.store.control.note_acted(command.id, came.outcome)
        return came


def _held_name(command: Command) -> str:
    if command.queue is not None:
        return f"queue:{command.queue}"
    return f"agent:{command.owner or '*'}/{command.agent}"


def _once(outcome: str) -> str:
    if outcome.startswith("repeated "):
        raise Repeated(outcome.removeprefix("repeated "))
    return outcome
