"""Updates of an owner's goals: all of them, once, in the order in which they happened, and again from any place."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.face.updates import PAGE, Subscription, Wanted
from orchestrator.settings import Settings
from orchestrator.store.store import Store
from orchestrator.wiring import Chordal, connect
from support.servers import until

ALL = Wanted.of(None, None)
GOALS, SIGNALS = 12, 60


@pytest.fixture
def chordal(store: Store, tmp_path: Path) -> Chordal:
    """No worker: what happens is what the test does."""
    return connect(Settings(redis_url=store.url, data_dir=tmp_path))


def begin(chordal: Chordal, goal: str, owner: str = "ann") -> None:
    chordal.submit({"goal_id": goal, "owner": owner, "nodes": [{"id": "task"}]})


def read(subscription: Subscription, count: int) -> list[dict[str, Any]]:
    """So many updates of signals, in rounds."""
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        found.extend(one for one in subscription.round(0.05) if one["event"] == "goal.signalled")
        return len(found) >= count

    until(enough, 30, f"{count} updates")
    return found + [one for one in subscription.round(0.0) if one["event"] == "goal.signalled"]


def place(update: dict[str, Any]) -> tuple[int, ...]:
    return tuple(map(int, update["id"].partition("/")[0].split("-")))


def test_none_is_lost_or_out_of_order_while_goals_begin(chordal: Chordal) -> None:
    subscription = Subscription(chordal, "ann", None, ALL)
    assert subscription.round(0.0) == []

    def produce() -> None:
        for at in range(GOALS):
            begin(chordal, f"g{at}")
            begin(chordal, f"other{at}", "bob")
            for number in range(SIGNALS):
                chordal.signal(f"g{at // 2 if number % 3 else at}", f"s{at}.{number}")
            chordal.signal(f"other{at}", "not for ann")

    producer = threading.Thread(target=produce)
    producer.start()
    found = read(subscription, GOALS * SIGNALS)
    producer.join()
    said = [one["data"]["signal"] for one in found]
    sent = [f"s{at}.{number}" for at in range(GOALS) for number in range(SIGNALS)]
    assert sorted(said) == sorted(sent)
    for goal in {one["task_id"] for one in found}:
        own = [one["data"]["signal"] for one in found if one["task_id"] == goal]
        assert own == [signal for signal in sent if signal in set(own)]
    assert {one["owner_id"] for one in found} == {"ann"}
    assert [place(one) for one in found] == sorted(place(one) for one in found)
    middle = found[len(found) // 2]
    again = read(Subscription(chordal, "ann", None, ALL, middle["id"]), len(found) // 2 - 1)
    rest = [one["id"] for one in found[len(found) // 2 + 1 :]]
    repeated = [one for one in again if one["id"] not in rest]
    assert sorted(one["id"] for one in again if one["id"] in rest) == sorted(rest)
    assert all(place(one)[0] == place(middle)[0] and one["task_id"] != middle["task_id"] for one in repeated)


def test_a_goal_with_more_than_a_page_of_events_does_not_overtake(chordal: Chordal) -> None:
    begin(chordal, "a")
    begin(chordal, "b")
    subscription = Subscription(chordal, "ann", None, ALL)
    subscription.round(0.0)
    for number in range(2 * PAGE + 50):
        chordal.signal("a", f"a{number}")
        if number % 50 == 0:
            chordal.signal("b", f"b{number}")
    found = read(subscription, 2 * PAGE + 50 + 9)
    assert len(found) == 2 * PAGE + 50 + 9
    order = [place(one) for one in found]
    assert order == sorted(order)


def test_ended_goals_are_left_alone_and_their_end_was_told(chordal: Chordal) -> None:
    begin(chordal, "before")
    chordal.cancel("before")
    begin(chordal, "a")
    subscription = Subscription(chordal, "ann", None, Wanted.of(["run_cancelled"], None))
    assert subscription.round(0.0) == []
    chordal.cancel("a")
    (end,) = subscription.round()
    assert (end["task_id"], end["event_type"]) == ("a", "run_cancelled")
    assert subscription.ended == {"a"}
    assert subscription.round(0.0) == []
    # From the beginning of time everything that is stored is told again.
    again = Subscription(chordal, "ann", None, Wanted.of(["run_cancelled"], None), "0").round()
    assert [one["task_id"] for one in again] == ["before", "a"]


def test_tasks_by_name_are_waited_for(chordal: Chordal) -> None:
    subscription = Subscription(chordal, None, frozenset({"late"}), ALL, "0")
    assert subscription.round(0.01) == []
    begin(chordal, "late", "bob")
    until(lambda: any(one["event_type"] == "run_started" for one in subscription.round(0.1)), what="its start")
