"""Events of every goal: what came before is not told again, goals that come later are told from their beginning."""

from __future__ import annotations

from collections import Counter

from orchestrator.operate.following import Following
from support.crew import Crew


def read(one: Following) -> list[tuple[str, str]]:
    found = []
    one._looked = float("-inf")  # as a second later
    while page := one.next(0.05):
        found += [(event.goal, event.type) for event in page]
    return found


def test_only_what_happens_from_now_on(crew: Crew) -> None:
    crew.submit([{"id": "ask", "kind": "approval"}], goal_id="old")
    crew.submit(["a"], goal_id="ended")
    crew.work()
    one = Following(crew.store)
    assert read(one) == []
    crew.control.approve("old", "ask")
    assert read(one) == [("old", "node.woken"), ("old", "node.done"), ("old", "goal.done")]


def test_a_goal_that_comes_and_goes_between_two_looks_is_told_whole(crew: Crew) -> None:
    one = Following(crew.store)
    crew.submit(["a"], goal_id="quick")
    crew.work()
    assert [kind for _, kind in read(one)] == [
        "goal.submitted",
        "goal.started",
        "node.claimed",
        "node.done",
        "goal.done",
    ]
    assert read(one) == []


def test_many_goals_in_the_order_of_time(crew: Crew) -> None:
    one = Following(crew.store)
    for number in range(60):
        crew.submit(["a", "b"], goal_id=f"g{number}")
    crew.work()
    one._looked = float("-inf")
    events = [event for _ in range(20) for event in one.next(0.02)]
    assert Counter(event.type for event in events)["goal.done"] == 60
    assert len({(event.goal, event.id) for event in events}) == len(events)


def test_a_goal_that_runs_again_is_told_again(crew: Crew) -> None:
    fails = [True, False]

    def once() -> int:
        if fails.pop(0):
            raise ValueError("no")
        return 1

    crew.function(once)
    crew.submit([{"id": "a", "call": "once"}])
    one = Following(crew.store)
    crew.work()
    assert ("g", "goal.failed") in read(one)
    crew.reopener.retry("g")
    assert ("g", "goal.retried") in read(one)
    crew.work()
    assert read(one)[-1] == ("g", "goal.done")
