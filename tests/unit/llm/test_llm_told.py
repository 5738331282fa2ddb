"""What a process keeps back to tell it with its next operation."""

from __future__ import annotations

from orchestrator.llm.told import LATE_SECONDS, Started, Waiter, Waiters
from orchestrator.store.llm_records import Ask


class Clock:
    """Time in the test's hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def waiter(name: str, owner: str = "o", goal: str = "g", priority: int = 0) -> Waiter:
    return Waiter(name, Ask(1, 1, 0, owner, goal, "n", "p", 1000, 5000, priority))


def test_only_who_stands_behind_another_of_its_flow_is_kept_back() -> None:
    line = Waiters(Clock())
    assert line.add(waiter("a"))
    assert not line.due
    assert not line.add(waiter("b"))
    others = [waiter("c", owner="p"), waiter("d", goal="h"), waiter("e", priority=1)]
    assert all(line.add(one) for one in others)
    dues = [line.due]
    assert [one.id for one in line.take()] == ["b"]
    assert (line.take(), len(line)) == ([], 5)
    assert [*dues, line.due] == [100.0 + LATE_SECONDS, None]


def test_who_is_next_of_its_flow_is_told_at_once() -> None:
    clock = Clock()
    line = Waiters(clock)
    line.add(waiter("a"))
    line.add(waiter("b"))
    clock.now += 0.01
    line.drop("a")
    assert line.due == clock.now


def test_who_has_left_is_not_told() -> None:
    line = Waiters(Clock())
    line.add(waiter("a"))
    line.add(waiter("b"))
    assert line.drop("b") is not None
    assert line.drop("b") is None
    assert line.take() == []


def test_a_failed_operation_tells_later_what_it_did_not() -> None:
    line = Waiters(Clock())
    for name in "abc":
        line.add(waiter(name))
    taken = line.take()
    line.add(waiter("d"))
    line.drop("b")
    line.put_back(taken)
    assert line.due == 100.0
    assert [one.id for one in line.take()] == ["c", "d"]
    line.drop("a")
    line.drop("c")
    line.drop("d")
    assert line.add(waiter("e")), "nobody is before it"


def test_a_waiter_that_was_told_is_somebody_to_stand_behind() -> None:
    line = Waiters(Clock())
    line.add(waiter("a"))
    line.add(waiter("b"))
    line.take()
    line.drop("a")
    assert not line.add(waiter("c"))
    line.drop("b")
    assert line.due == 100.0


def test_starts_are_told_with_their_age_and_never_as_older_than_they_are() -> None:
    clock = Clock()
    started = Started(clock)
    assert not started.older(0)
    started.add("a", 1)
    clock.now += 0.0129
    started.add("b", 2)
    assert (started.older(0.012), started.older(0.02), len(started)) == (True, False, 2)
    taken = started.take()
    assert started.ages(taken) == [("a", 1, 12), ("b", 2, 0)]
    assert len(started) == 0
    started.put_back(taken)
    clock.now += 0.1
    assert started.ages(started.take())[0][2] == 112
