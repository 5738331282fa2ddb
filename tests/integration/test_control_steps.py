"""Commands of several steps: whoever dies between two of them leaves no half, and what began in time is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.control import service
from orchestrator.control.acts import act_on
from orchestrator.domain.command import Answer, Code, Door, read_command
from orchestrator.domain.errors import IllegalTransition
from orchestrator.engine import reopen
from orchestrator.store.connection import ConnectionFailed, MemoryFull
from orchestrator.store.goals import GoalStore
from orchestrator.store.scripts import Scripts
from support.crew import Crew
from support.servers import until


class Died(BaseException):
    """The process is gone: nothing catches it."""


class Twice:
    """A budget for two goals a tick."""

    def __init__(self) -> None:
        self.left = 3  # it is asked once before the first

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left > 0


def give(crew: Crew, name: str, /, **given: Any) -> Answer:
    return crew.wired.commands.carry_out(read_command({"command": name, **given}, Door.CLI, "ann"))


@contextmanager
def dies_behind(script: str) -> Iterator[None]:
    """The block's process dies right after this script."""
    real = Scripts.run

    def run(self: Scripts, name: str, *args: Any, **more: Any) -> Any:
        found = real(self, name, *args, **more)
        if name == script:
            raise Died
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scripts, "run", run)
        with pytest.raises(Died):
            yield


@pytest.fixture
def recover(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Beat carries out at once what was left unanswered."""
    monkeypatch.setattr(service, "AGAIN_MS", -1000)
    return crew.wired.commands.resume_open


def failing(crew: Crew, *names: str, **head: Any) -> None:
    """The goal "g" of nodes that fail."""

    def broken(**_: Any) -> None:
        raise ValueError("broken")

    crew.function(broken, "broken")
    crew.submit([{"id": name, "call": "broken"} for name in names], **head)
    crew.work()


def pass_ms(crew: Crew, ms: int) -> None:
    now = crew.store.goals.clock_ms()
    until(lambda: crew.store.goals.clock_ms() > now + ms)


def test_accounts_hear_of_a_budget_whoever_set_it(
    crew: Crew, recover: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    crew.submit(["a"])
    commands, told = crew.wired.commands, list[str]()
    monkeypatch.setattr(commands, "_parts", replace(commands._parts, renew_budget=told.append))
    with dies_behind("budget"):
        give(crew, "SET-BUDGET", goal="g", tokens=5)
    assert told == []
    recover()
    assert told == ["g"]


def test_workers_hear_of_a_stop_that_ends_them_whoever_gave_it(
    crew: Crew, recover: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands, told = crew.wired.commands, list[int]()
    monkeypatch.setattr(commands, "_fleet", replace(commands._fleet, shut_down=lambda: told.append(1)))
    with dies_behind("control/hold"):
        give(crew, "STOP", all=True, exit=True, id="s1")
    recover()
    assert told == [1]
    assert give(crew, "STOP", all=True, exit=True, id="s1").outcome == "stopped"
    assert give(crew, "STOP", all=True, exit=True).outcome == "stopped", "it was held before; its workers are ended now"
    assert told == [1, 1]


def test_a_hold_is_in_force_once_it_was_given_again(crew: Crew) -> None:
    with dies_behind("control/hold"):
        give(crew, "STOP", all=True, id="s1")
    assert "*held" not in (crew.store.fleet.slots() or "")
    assert give(crew, "STOP", all=True, id="s1").outcome == "stopped"
    assert "*held" in (crew.store.fleet.slots() or "")
    with dies_behind("control/hold"):
        give(crew, "RELEASE", all=True, id="r1")
    assert give(crew, "RELEASE", all=True, id="r1").outcome == "released"
    assert "*held" not in (crew.store.fleet.slots() or "")


def test_the_sub_goal_of_a_dropped_node_is_cancelled_whoever_dropped_it(
    crew: Crew, recover: Callable[[], object]
) -> None:
    waits = {"kind": "wait", "inputs": {"signal": "s"}}
    crew.submit([{"id": "sub", "kind": "goal", "goal": {"nodes": [{"id": "x", **waits}]}}, {"id": "w", **waits}])
    crew.work()
    (child,) = crew.store.goals.part("g", "children").values()
    with dies_behind("patch"):
        give(crew, "DROP-TASK", goal="g", node="sub")
    assert crew.state(child) == "RUNNING"
    recover()
    assert crew.state(child) == "CANCELLED"


def test_what_acted_in_time_is_not_said_to_be_late(crew: Crew, recover: Callable[[], object]) -> None:
    crew.submit(["a"], owner="me")
    with dies_behind("pause"):
        give(crew, "PAUSE", goal="g", id="p1", expires_seconds=0.1)
    with dies_behind("control/hold"):
        give(crew, "HOLD", queue="gpu", id="h1", expires_seconds=0.1)
    with dies_behind("pause"):
        give(crew, "RESUME", owner="me", id="r1", expires_seconds=0.1)
    pass_ms(crew, 150)
    recover()
    for name, given, outcome in (
        ("PAUSE", {"goal": "g", "id": "p1"}, "paused"),
        ("HOLD", {"queue": "gpu", "id": "h1"}, "held"),
        ("RESUME", {"owner": "me", "id": "r1"}, "done"),
    ):
        assert give(crew, name, expires_seconds=0.1, **given).outcome == outcome


def test_a_broadcast_that_nobody_took_in_time_is_late(crew: Crew, recover: Callable[[], object]) -> None:
    crew.submit(["a"], owner="me")
    with dies_behind("control/open"):
        give(crew, "PAUSE", owner="me", id="p1", expires_seconds=0.1)
    pass_ms(crew, 150)
    recover()
    assert give(crew, "PAUSE", owner="me", id="p1", expires_seconds=0.1).code == Code.EXPIRED
    assert crew.state() == "RUNNING"


def test_an_edit_that_is_to_run_at_once_does_so_even_late(crew: Crew, recover: Callable[[], object]) -> None:
    failing(crew, "a")
    with dies_behind("edit"):
        give(crew, "EDIT", goal="g", node="a", set={"x": 2}, retry=True, expires_seconds=0.1)
    pass_ms(crew, 150)
    recover()
    assert crew.state() == "RUNNING"


def test_a_large_retry_that_began_in_time_is_finished(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(crew, *"abcde")
    real = GoalStore.retry

    def slow(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        pass_ms(crew, 110)
        return found

    monkeypatch.setattr(reopen, "PIECE", 2)
    monkeypatch.setattr(GoalStore, "retry", slow)
    assert give(crew, "RETRY", goal="g", expires_seconds=0.2).outcome == "retried"
    assert crew.state() == "RUNNING"


def test_a_full_redis_puts_a_command_off(
    crew: Crew, recover: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    crew.submit(["a"])
    full = MemoryFull("command not allowed when used memory > 'maxmemory'.")
    with monkeypatch.context() as patch:
        patch.setattr(service, "act_on", lambda *_: (_ for _ in ()).throw(full))
        with pytest.raises(MemoryFull):
            give(crew, "PAUSE", goal="g", id="p1")
        with pytest.raises(MemoryFull):
            recover()
    recover()
    assert crew.state() == "PAUSED"
    assert give(crew, "PAUSE", goal="g", id="p1").repeated


def test_the_answer_that_stands_is_not_raised_as_a_refusal(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    crew.submit(["a"])
    real = act_on

    def overtaken(*_: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(service, "act_on", real)
            give(crew, "PAUSE", goal="g", id="p1")
        raise IllegalTransition("it looked before it acted")

    monkeypatch.setattr(service, "act_on", overtaken)
    assert crew.wired.command("PAUSE", goal="g", id="p1").outcome == "paused"


def test_beat_carries_a_command_for_many_goals_out_in_slices(
    crew: Crew, recover: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"g{index}" for index in range(5)]
    for name in names:
        crew.submit(["a"], goal_id=name)
    with dies_behind("control/open"):
        give(crew, "PAUSE", all=True, id="p1")
    monkeypatch.setattr(service, "Budget", Twice)
    (duty,) = [one for one in crew.duties.all() if one.name == "orders"]
    paused = []
    for _ in range(3):
        recover()
        paused.append(([crew.state(name) for name in names].count("PAUSED"), duty.left()))
    assert paused == [(2, True), (4, True), (5, False)]
    answer = give(crew, "PAUSE", all=True, id="p1")
    assert (answer.repeated, answer.receivers, len(answer.effects)) == (True, 5, 5)


def test_beat_begins_anew_where_redis_was_away_between_two_slices(
    crew: Crew, recover: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"g{index}" for index in range(5)]
    for name in names:
        crew.submit(["a"], goal_id=name)
    with dies_behind("control/open"):
        give(crew, "PAUSE", all=True, id="p1")
    monkeypatch.setattr(service, "Budget", Twice)
    recover()
    with monkeypatch.context() as patch:
        patch.setattr(service, "act_on", lambda *_: (_ for _ in ()).throw(ConnectionFailed[0]("cut")))
        with pytest.raises(ConnectionFailed):
            recover()
    for _ in range(4):
        recover()
    assert {crew.state(name) for name in names} == {"PAUSED"}
    assert give(crew, "PAUSE", all=True, id="p1").receivers == 5
