"""What is held in the whole fleet reaches every claim: without beat, by two at once; and a release lets go on soon."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain.command import Answer, Door, read_command
from orchestrator.engine.dispatch import SLOTS_SECONDS, Slots
from orchestrator.store.control import ControlStore
from support.crew import Crew

SOON_MS = SLOTS_SECONDS * 1000 + 1000
AGENT = {"id": "w", "kind": "agent", "agent": "writer"}


def give(crew: Crew, name: str, /, **given: Any) -> Answer:
    return crew.wired.commands.carry_out(read_command({"command": name, **given}, Door.CLI, "ann"))


def published(crew: Crew) -> set[str]:
    """The queues that are held, as the fleet is told."""
    return set(json.loads(crew.store.fleet.slots() or "{}").get("*held", {}).get("queues", ()))


def claim(crew: Crew, queue: str, slots: str) -> list[str]:
    step = crew.store.nodes.claim("g", queue, worker="w", nonce="n", lease_ms=100, most=9, slots=slots)
    return [one.lease.node for one in step.claims]


def next_look_ms(crew: Crew) -> float:
    return float(crew.store.client.zscore(crew.store.keys.due, "g")) - crew.store.goals.clock_ms()


def test_a_stop_holds_without_beat(crew: Crew) -> None:
    crew.submit(["a"])
    assert give(crew, "STOP", all=True).outcome == "stopped"
    crew.store.client.delete(crew.store.keys.slots)  # nobody has published them for a minute
    assert json.loads(Slots(crew.store).json()) == {"*": 4, "*held": {"queues": {"*": 1}, "agents": {}}}
    assert claim(crew, "default", Slots(crew.store).json()) == []
    give(crew, "RELEASE", all=True)
    crew.store.client.delete(crew.store.keys.slots)
    assert claim(crew, "default", Slots(crew.store).json()) == ["a"]


@pytest.mark.parametrize("second", ["hold", "scan"])
def test_two_who_publish_at_once_lose_no_hold(crew: Crew, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Callable[[], object]] = [lambda: give(crew, "HOLD", queue="cpu")]
    real = ControlStore.holds

    def holds(self: ControlStore) -> Any:
        found = real(self)
        if read:
            read.pop()()  # between the first one's look and its word
        return found

    monkeypatch.setattr(ControlStore, "holds", holds)
    if second == "hold":
        give(crew, "HOLD", queue="gpu")
        assert published(crew) == {"cpu", "gpu"}
    else:
        crew.duties.scan()
        assert published(crew) == {"cpu"}


def test_what_a_stale_worker_set_aside_after_a_release_comes_back_soon(crew: Crew) -> None:
    crew.submit([AGENT, {"id": "b", "queue": "gpu"}], agents=[{"name": "writer"}])
    give(crew, "HOLD", agent="writer")
    give(crew, "HOLD", queue="gpu")
    stale = crew.store.fleet.slots() or ""
    for queue in ("default", "gpu"):
        assert claim(crew, queue, stale) == []
    crew.store.goals.postpone({"g": crew.store.goals.clock_ms() + 60_000})
    give(crew, "RELEASE", all=True)
    for queue in ("default", "gpu"):
        assert claim(crew, queue, stale) == [], "it knows the old slots for two seconds"
    assert crew.store.changes.aside("g") == ["w"]
    assert next_look_ms(crew) < SOON_MS


@pytest.mark.parametrize("target", [{"goal": "g", "node": "t"}, {"queue": "default"}])
def test_a_task_whose_message_came_during_a_hold_is_sent_again_soon(crew: Crew, target: dict[str, str]) -> None:
    crew.submit([{"id": "t", "kind": "task", "call": "theirs"}])
    crew.work()
    give(crew, "HOLD", **target)
    slots = crew.store.fleet.slots() or "{}"
    assert crew.store.nodes.begin("g", "t", 1, worker="w", nonce="n", lease_ms=3000, slots=slots)[0] == "HELD"
    crew.store.goals.postpone({"g": crew.store.goals.clock_ms() + 60_000})
    give(crew, "RELEASE", **target)
    assert next_look_ms(crew) < SOON_MS


def test_a_hold_outlives_a_retry_and_whose_state_forbids_its_end_is_said(crew: Crew) -> None:
    crew.function(lambda: 1 / 0, "broken")
    crew.submit([{"id": "a", "call": "broken"}, "b"], [("a", "b")])
    give(crew, "HOLD", goal="g", node="b")
    crew.work()
    assert (crew.state(), crew.states()["b"]) == ("FAILED", "SKIPPED")
    for name in ("RELEASE", "SET-PRIORITY"):
        given = {"priority": 5} if name == "SET-PRIORITY" else {}
        assert give(crew, name, goal="g", node="b", **given).message.startswith("goal 'g' is FAILED")
    crew.function(lambda: 1, "broken")
    give(crew, "RETRY", goal="g")
    crew.work()
    assert crew.store.changes.aside("g") == ["b"]
    assert give(crew, "RELEASE", goal="g", node="b").outcome == "released"
    crew.work()
    assert crew.state() == "DONE"
