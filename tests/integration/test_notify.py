"""Receivers are told of outcomes at least once, in order, whatever happens to them and to those who tell."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from orchestrator.notify import health
from orchestrator.notify.notice import Notice
from orchestrator.notify.signing import SIGNATURE, verify
from support.crew import Crew
from support.receiver import Receiver, receiver
from support.servers import until
from support.town import Town, kinds


@pytest.fixture
def town(crew: Crew) -> Town:
    return Town(crew)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


def test_outcomes_are_told_in_order_and_once(town: Town) -> None:
    heard, every = town.on(), town.on("*", name="every")
    town.run(owner="ann", title="with sk-abcdefghijklmnop")
    assert town.tell() == ["told"]
    assert kinds(heard) == [("node.failed", "b"), ("goal.done", "")]
    assert [notice.id.partition("/")[2] for notice in every] == [
        name for name, _ in town.store.goals.events("g", "0", 99)
    ]
    first = heard[0]
    assert (first.owner, first.title, first.trace) == ("ann", "with ***", heard[1].trace)
    assert first.data["error"] == "ValueError: no luck, and password=***", "what is told holds no passwords"
    assert town.notify.deliverer.deliver("g") == "told"
    assert len(heard) == 2
    assert town.store.tell.waiting() == (0, None)


def test_a_webhook_is_signed_and_names_the_event(crew: Crew, hook: Receiver) -> None:
    town = Town(crew, webhook_url=hook.url, webhook_secret="a good secret")
    town.notify.register()
    town.run()
    assert town.tell() == ["told"]
    assert hook.told() == [("g", "node.failed", "b"), ("g", "goal.done", "")]
    for one in hook.got:
        assert verify("a good secret", one.headers, one.body, time.time())
        assert one.headers["Chordal-Event-Id"] == one.json["id"]
        assert one.headers["Chordal-Event"] == one.json["type"]
        assert not verify("another", one.headers, one.body, time.time())
    assert SIGNATURE in hook.got[0].headers


def test_one_that_fails_is_told_again_and_holds_nobody_else_up(town: Town) -> None:
    heard, calls = town.on(name="fine"), []

    def deaf(notice: Notice) -> None:
        calls.append(notice)
        if len(calls) == 1:
            raise RuntimeError("not now")

    town.add("deaf", deaf)
    town.run()
    assert town.tell() == ["waits"]
    assert (len(heard), kinds(calls)) == (2, [("node.failed", "b")])
    until(lambda: town.tick() and town.tell() == ["told"], what="it is told again, by beat's word")
    assert kinds(calls) == [("node.failed", "b"), ("node.failed", "b"), ("goal.done", "")]
    assert calls[0].id == calls[1].id, "which is how the receiver knows"
    assert len(heard) == 2


def test_after_so_many_tries_an_event_is_given_up_and_the_next_is_tried_once(town: Town) -> None:
    calls: list[Notice] = []

    def broken(notice: Notice) -> None:
        calls.append(notice)
        raise RuntimeError("password=hunter2")

    town.add("broken", broken)
    town.run()
    until(lambda: town.tell() == ["told"] or not town.tick(), what="it is given up")
    assert kinds(calls) == [("node.failed", "b")] * 3 + [("goal.done", "")]
    untold = town.store.tell.untold()
    assert [(entry["type"], entry["target"]) for entry in untold] == [
        ("goal.done", "broken"),
        ("node.failed", "broken"),
    ]
    assert "hunter2" not in str(untold)
    checks = {check.name: check for check in health.checks(town.store, town.settings, town.notify)}
    assert checks["notifications given up"].ok is False
    assert "to broken" in checks["notifications given up"].detail


def test_a_worker_that_dies_behind_a_call_leaves_it_to_be_repeated(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = town.on()
    town.run()

    class Killed(BaseException):
        """What a kill is like to the code."""

    def die(*_: object, **__: object) -> str:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(town.store.tell), "note", die)
        patch.setattr(type(town.store.tell), "leave", lambda *_, **__: None)
        with pytest.raises(Killed):
            town.tell()
    assert town.notify.deliverer.deliver("g") == "busy", "its lease still holds"
    town.store.client.hdel(town.store.keys.part("g", "told"), "*lease")  # it ran out
    assert town.notify.deliverer.deliver("g") == "told"
    assert kinds(heard) == [("node.failed", "b"), ("node.failed", "b"), ("goal.done", "")]
    assert heard[0].id == heard[1].id


def test_only_one_tells_at_a_time(town: Town) -> None:
    seen = []
    town.add("nested", lambda _: seen.append(town.notify.deliverer.deliver("g")))
    town.run()
    assert town.tell() == ["told"]
    assert seen == ["busy", "busy"]


def test_one_that_took_too_long_moves_no_cursor_when_another_has_taken_over(town: Town) -> None:
    seen: list[str] = []

    def slow(_: Notice) -> None:
        if not seen:
            seen.append("slow")
            town.store.client.hset(town.store.keys.part("g", "told"), "*lease", "99999999999999 another")

    town.add("slow", slow)
    town.run()
    assert town.tell() == ["waits"]
    assert town.store.tell.cursors("g") == {}


def test_only_goals_of_its_owner_and_events_it_wants(town: Town) -> None:
    heard = town.on("goal.*", owner="ann")
    town.run("mine", owner="ann")
    town.run("theirs", owner="bob")
    assert town.tell() == ["told", "told"]
    assert {notice.goal for notice in heard} == {"mine"}
    assert [notice.type for notice in heard] == ["goal.submitted", "goal.started", "goal.done"]


def test_nothing_is_told_that_was_there_before_the_receiver(town: Town) -> None:
    town.run("old")
    assert not town.crew.mail.telling
    now = town.store.goals.clock_ms()
    until(lambda: town.store.goals.clock_ms() > now)
    heard = town.on("*")
    assert town.notify.deliverer.deliver("old") == "told"
    town.run("new")
    town.tell()
    assert {notice.goal for notice in heard} == {"new"}


def test_a_receiver_that_is_away_is_not_asked_for_each_goal_in_turn(crew: Crew, hook: Receiver) -> None:
    town = Town(crew, webhook_url=hook.url, notify_attempts=50)
    town.notify.register()
    hook.status = 503
    for index in range(20):
        town.run(f"g{index}")
    assert set(town.tell()) == {"waits"}
    assert len(hook.got) == 1
    hook.status = 200
    until(lambda: not (town.tick() and town.tell()) and town.store.tell.waiting()[0] == 0, what="all are told")
    by_goal = {
        name: [kind for goal, kind, _ in hook.told()[1:] if goal == name] for name in (f"g{i}" for i in range(20))
    }
    assert all(told == ["node.failed", "goal.done"] for told in by_goal.values()), by_goal


def test_a_receiver_that_only_others_know_waits_for_them(town: Town) -> None:
    heard = town.on()
    del town.callbacks.functions["ear"]
    town.run()
    assert town.tell() == ["waits"]
    town.on(name="ear").clear()
    heard = town.on(name="ear")
    town.store.tell.ask(["g"])
    town.store.client.hdel(town.store.keys.part("g", "told"), "ear")
    town.notify.deliverer.deliver("g")
    assert kinds(heard) == [("node.failed", "b"), ("goal.done", "")]


def test_a_callback_that_hangs_is_interrupted(crew: Crew) -> None:
    town = Town(crew, callback_timeout_seconds=0.2)

    def hang(_: Notice) -> None:
        time.sleep(30)

    town.add("hang", hang)
    town.run()
    begun = time.monotonic()
    assert town.tell() == ["waits"]
    assert time.monotonic() - begun < 5


def test_a_retry_is_told_of_too(town: Town) -> None:
    heard = town.on("goal.*")
    town.crew.submit([{"id": "b", "call": "fail"}])
    town.crew.work()
    town.tell()
    town.crew.reopener.retry("g")
    town.crew.work()
    town.tell()
    assert [notice.type for notice in heard] == [
        "goal.submitted", "goal.started", "goal.failed", "goal.retried", "goal.failed",
    ]  # fmt: skip


def test_more_than_a_slice_of_events_goes_on_in_another_message(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.notify.delivery.SLICE_SECONDS", 0.0)
    heard = town.on()
    town.run()
    went = town.tell()
    while "told" not in went and len(went) < 100:
        town.tick()
        went += town.tell()
    assert went.count("more") >= 2
    assert kinds(heard) == [("node.failed", "b"), ("goal.done", "")]
