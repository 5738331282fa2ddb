"""I7 of a goal: the checker reads the accounts that its calls used, with everybody's permits there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.events.check import Report, check_account, examine_goal
from orchestrator.store.store import Store
from support.desk import ACCOUNT, Desk
from support.sim import Sim

RUN = "123"


@pytest.fixture
def line(sim: Sim, desk: Callable[..., Desk]) -> Desk:
    """A goal that is done, after two calls on an account on which another goal calls too."""
    sim.submit(["a", "b"])
    sim.done("a", "b")
    made = desk(concurrency=2, requests_per_minute=100)
    for name in (f"g:a:1:1:{RUN}", "other:x:1:1:7", f"g:b:1:1:{RUN}"):
        made.ask(name, 10)
        made.end(name, 5)
        made.later(1000)
    sim.store.goals.use_account("g", ACCOUNT)
    return made


def judged(store: Store) -> tuple[Report, str]:
    report = examine_goal(store, "g")
    return report, report.verdict("I7")


def plant(line: Desk, after: int, permit: str, count: int) -> None:
    """Permits beyond the limit of calls at once, written so many ms behind the first event."""
    key = line.store.keys.llm_part(ACCOUNT, "events")
    events: Any = line.store.client.xrange(key)
    line.store.client.delete(key)
    first = int(events[0][0].partition("-")[0])
    limits = {"concurrent": 2, "seconds": 60}
    for index in range(count):
        data = {"permit": f"{permit}{index}", "account": ACCOUNT, "tokens": 1, "limits": limits}
        events.append((f"{first + after}-{900 + index}", {"type": "llm.permit", "data": json.dumps(data)}))
    for name, fields in sorted(events, key=lambda one: [int(part) for part in one[0].split("-")]):
        line.store.client.xadd(key, fields, id=name)


def test_calls_within_the_limits_are_in_order(line: Desk) -> None:
    report, verdict = judged(line.store)
    assert (verdict, report.violations, report.notes.get("I7", ())) == ("ok", (), ())
    assert check_account(line.store, ACCOUNT) == []


def test_more_calls_of_another_goal_than_the_account_allows_break_it_too(line: Desk) -> None:
    plant(line, 1500, "planted", 3)
    report, verdict = judged(line.store)
    assert verdict == "violated"
    assert f"account {ACCOUNT} has 3 concurrent, its limit is 2" in {one.text for one in report.violations}
    line.store.client.delete(line.store.keys.llm_part(ACCOUNT, "events"))  # after each test all must be sound


def test_what_happened_on_the_account_before_or_after_the_goal_is_not_held_against_it(line: Desk) -> None:
    plant(line, 60_000, "planted", 3)
    assert judged(line.store)[1] == "ok"
    assert len(check_account(line.store, ACCOUNT)) == 1


def test_an_account_that_has_dropped_the_permits_says_so(line: Desk) -> None:
    line.store.client.delete(line.store.keys.llm_part(ACCOUNT, "events"))
    report, verdict = judged(line.store)
    assert verdict == "ok"
    assert [note.text for note in report.notes["I7"]] == [f"account {ACCOUNT} keeps no permit of this goal any more"]
