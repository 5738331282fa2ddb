"""`chordal doctor`: every check, in the order in which one would look. What cannot be looked at says so, and stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from orchestrator.domain.views import Check
from orchestrator.operate.check_beat import beat_checks
from orchestrator.operate.check_broker import broker_checks, celery_checks
from orchestrator.operate.check_goals import LOOKED_AT, goal_checks
from orchestrator.operate.check_models import model_checks
from orchestrator.operate.check_redis import redis_checks
from orchestrator.operate.check_workers import command_checks, dead_letter_checks, hold_checks, worker_checks
from orchestrator.operate.fleet import GOALS, read_fleet
from orchestrator.store.connection import ConnectionFailed

if TYPE_CHECKING:
    from orchestrator.operate.operator import Operator

_NOT_MADE: Final = "the check could not be made"


class Doctor:
    """Makes the checks."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def checks(self) -> list[Check]:
        """Every check. Raises what the connection raises where Redis is away."""
        one = self._operator
        found = self._made("Redis", lambda: redis_checks(one.store))
        found += self._made("Celery settings", lambda: celery_checks(one.app, one.settings))
        found += self._made("beat", lambda: beat_checks(one.store, one.intervals()))
        goals = one.store.look.open_goals(one.store.fleet.clock_ms(), GOALS)
        fleet = read_fleet(one.store, one.settings, goals)
        found += self._made("workers", lambda: worker_checks(fleet))
        wanted = one.store.look.queues(list(goals)[:LOOKED_AT])
        found += self._made("broker", lambda: broker_checks(one.app, fleet, wanted))
        found += self._made("holds", lambda: hold_checks(fleet))
        found += self._made("models", lambda: model_checks(one.store, fleet))
        found += self._made("goals", lambda: goal_checks(one, goals, fleet))
        found += self._made("commands", lambda: command_checks(one.store))
        found += self._made("notifications", one.others)
        found += self._made("dead letters", lambda: dead_letter_checks(one.store))
        return found

    def _made(self, name: str, make: Callable[[], Iterable[Check]]) -> list[Check]:
        """The checks of one kind; an unforeseen fault of one kind does not hide the others."""
        found: list[Check] = []
        try:
            for check in make():
                found.append(check)
        except ConnectionFailed:
            raise
        except Exception as error:
            found.append(Check(name, None, f"{_NOT_MADE}: {type(error).__name__}: {error}"))
        return found
