"""The line of waiters: fair order, priority, leaving it, and who is told to come back."""

from __future__ import annotations

from typing import Any

from orchestrator.store.llm_records import Outcome
from support.desk import ACCOUNT, Desk


def served(line: Desk, names: int, after: str = "first") -> list[str]:
    """Who is served in which order, one call at once."""
    order: list[str] = [after]
    for _ in range(names):
        line.end(order[-1])
        [(name, outcome)] = line.inbox().items()
        assert outcome == "granted"
        order.append(name)
    return order[1:]


def test_owners_take_turns_and_so_do_the_goals_of_an_owner(desk: Any) -> None:
    line = desk(concurrency=1, requests_per_minute=1000)
    line.ask("first", owner="z")
    for owner, goal, name in [
        ("a", "g", "1"),
        ("a", "g", "2"),
        ("a", "h", "3"),
        ("a", "g", "4"),
        ("b", "", "5"),
        ("b", "", "6"),
    ]:
        line.ask(name, owner=owner, goal=goal)
    order = served(line, 6)
    assert [name in "56" for name in order[:4]].count(True) == 2, order
    assert [name for name in order if name in "1234"] == ["1", "3", "2", "4"]


def test_weights_give_shares(desk: Any) -> None:
    line = desk(concurrency=1, requests_per_minute=1000)
    line.ask("first", owner="z")
    for index in range(12):
        line.ask(f"h{index}", owner="heavy", owner_weight=3.0)
        line.ask(f"l{index}", owner="light")
    order = served(line, 12)
    assert sum(name.startswith("h") for name in order) == 9, order


def test_who_comes_late_has_no_claim_on_what_others_got_before(desk: Any) -> None:
    line = desk(concurrency=1, requests_per_minute=1000)
    line.ask("first", owner="early")
    for index in range(12):
        line.ask(f"e{index}", owner="early")
    last = served(line, 6)[-1]
    for index in range(6):
        line.ask(f"l{index}", owner="late")
    order = served(line, 6, last)
    assert sum(name.startswith("l") for name in order) == 3, order


def test_a_flow_is_in_order_of_priority_then_of_arrival(desk: Any) -> None:
    line = desk(concurrency=1)
    line.ask("first")
    for name, priority in [("a", 0), ("b", 5), ("c", 0), ("d", -3), ("e", 5)]:
        line.ask(name, priority=priority)
    assert served(line, 5) == ["b", "e", "a", "c", "d"]


def test_a_large_call_is_not_passed_by_small_ones(desk: Any) -> None:
    line = desk(tokens_per_minute=100, window_seconds=2.0)
    line.ask("a", 50)
    line.tick("a")
    assert line.ask("large", 100) == "queued 1"
    assert line.ask("small", 1) == "queued 2"
    line.later(2100).beat()
    assert line.inbox() == {"large": "granted"}


def test_who_leaves_the_line_is_told_the_place(desk: Any) -> None:
    line = desk(concurrency=1)
    for name in "abc":
        line.ask(name)
    word = line.cancel("c")
    assert (word.outcome, word.detail) == (Outcome.CANCELLED, "1")
    assert line.cancel("a").outcome is Outcome.GRANTED
    assert line.cancel("c").outcome is Outcome.UNKNOWN
    line.end("a")
    assert line.inbox() == {"b": "granted"}


def test_a_goal_can_be_taken_out_of_the_line(desk: Any) -> None:
    line = desk(concurrency=1)
    line.ask("a")
    for index in range(3):
        line.ask(f"g{index}", goal="g")
        line.ask(f"h{index}", goal="gg")
    assert line.store.llm.withdraw(ACCOUNT, line.caller(), "o", "g") == 3
    assert line.inbox() == {f"g{index}": "cancelled -" for index in range(3)}
    assert line.seen_now().waiting == 3


def test_somebody_is_told_when_to_come_back(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=10.0)
    line.ask("a")
    line.tick("a")
    answer = line.store.llm.acquire(ACCOUNT, line.caller(), "b", line.asks["a"])
    assert answer.alarm_ms == line.now + 5001, "a's lease ends before the window lets b go"
    assert line.tick().alarm_ms == answer.alarm_ms, "it is still the one"
    other = line.store.llm.tick(ACCOUNT, line.caller(process="other"))
    assert other.alarm_ms == 0
    line.ask("waits for no process", process="gate", gated=True)
    line.later(1600)
    assert line.store.llm.tick(ACCOUNT, line.caller(process="third")).alarm_ms > line.now, "the first one is dead"
    assert line.store.llm.tick(ACCOUNT, line.caller(process="other")).alarm_ms == 0


def test_a_tick_may_come_as_late_as_other_scripts_come_by(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=12.0)
    line.ask("a", ttl_ms=60_000)
    line.tick("a")
    room = line.now // 4 * 4 + 4 + 12_000
    ask = line.ask_of()
    answer = line.store.llm.acquire(ACCOUNT, line.caller(), "b", ask)
    assert answer.alarm_ms == room + 20, "a 600th of the window at least"
    for _ in range(50):
        answer = line.later(35).tick()
    assert room + 50 <= answer.alarm_ms <= room + 80
    line.later(answer.alarm_ms - line.now).tick()
    assert line.inbox() == {"b": "granted"}


def owners(line: Desk, count: int) -> list[str]:
    """Owners, by the first letter of their calls, in the order in which these go out one at a time."""
    out = []
    for _ in range(count):
        [name] = line.inbox()
        out.append(name[0])
        line.end(name)
    return out


def test_newcomer_beside_a_stuck_gated_owner(desk: Any) -> None:
    """Nobody serves the gate: owner g's gated call stays in line. a is served 20 times alone, then b joins: both must take turns."""
    line = desk(concurrency=1, requests_per_minute=1000)
    line.adjust("slots", 0)
    line.ask("x", owner="a")
    line.ask("g1", owner="g", gated=True, process=line.process)
    for n in range(40):
        line.ask(f"a{n}", owner="a")
    line.end("x")
    owners(line, 20)
    for n in range(20):
        line.ask(f"b{n}", owner="b")
    order = owners(line, 10)
    assert 4 <= order.count("b") <= 6, order


def test_gated_owner_that_was_stuck_has_no_claim_on_the_past(desk: Any) -> None:
    line = desk(concurrency=1, requests_per_minute=1000)
    line.adjust("slots", 0)
    line.ask("x", owner="a")
    for n in range(40):
        line.ask(f"g{n}", owner="g", gated=True, process=line.process)
    for n in range(60):
        line.ask(f"a{n}", owner="a")
    line.end("x")
    owners(line, 20)
    line.adjust("slots", 10)
    order = owners(line, 10)
    assert 4 <= order.count("g") <= 6, order


def test_goals_of_one_call_go_out_in_the_order_in_which_they_came(desk: Any) -> None:
    """With a standing backlog, whatever their names: who came later does not overtake."""
    line = desk(concurrency=1, requests_per_minute=1000)
    line.ask("first", goal="z")
    came = [f"{99 - at:02}" for at in range(40)]
    for name in came[:10]:
        line.ask(name, goal=f"goal-{name}")
    order, last = [], "first"
    for at in range(40):
        line.end(last)
        [last] = line.inbox()
        order.append(last)
        if 10 + at < 40:
            line.ask(came[10 + at], goal=f"goal-{came[10 + at]}")
    late = [order.index(name) - came.index(name) for name in came]
    assert max(late) <= 10, late
    assert sorted(order) == sorted(came)
