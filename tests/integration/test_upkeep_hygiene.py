"""The duty `hygiene`: what goals leave behind goes, everything else stays."""

from __future__ import annotations

import pytest

from orchestrator.engine.upkeep import hygiene
from orchestrator.engine.upkeep.hygiene import GRACE_MS, Hygiene
from orchestrator.store.store import Store
from support.crew import Crew


@pytest.fixture
def later(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Milliseconds by which the clock is put forward."""
    forward = [0]
    real = store.goals.clock_ms
    monkeypatch.setattr(store.goals, "clock_ms", lambda: real() + forward[0])
    return forward


def rounds(tidy: Hygiene, later: list[int]) -> str:
    """Two rounds with the grace between them; the last note."""
    tidy.tick()
    later[0] += GRACE_MS
    return tidy.tick()


def test_keys_of_a_goal_that_is_neither_indexed_nor_recorded_are_removed_after_the_second_look(
    crew: Crew, later: list[int]
) -> None:
    store, tidy = crew.store, crew.upkeep.hygiene
    crew.submit([{"id": "a", "kind": "approval"}], goal_id="there")
    crew.work()
    before = sorted(store.client.scan_iter())
    store.client.hset(store.keys.part("gone", "children"), "n", "child")
    store.client.hset(store.keys.task("gone", "n"), "state", "READY")
    store.client.zadd(store.keys.part("gone", "ready:gpu"), {"n": 1})
    tidy.tick()
    assert len(list(store.client.scan_iter("*{gone}*"))) == 3, "one look is not enough"
    later[0] += GRACE_MS
    assert "3 removed" in tidy.tick()
    assert [key for key in sorted(store.client.scan_iter()) if not key.startswith("beat:")] == before
    crew.upkeep.meter.tick()
    assert store.upkeep.totals()["keys_purged"] == 3


def test_a_goal_that_is_stored_between_the_looks_keeps_its_keys(crew: Crew, later: list[int]) -> None:
    store = crew.store
    store.client.hset(store.keys.part("g", "signals"), "s", "1")
    crew.upkeep.hygiene.tick()
    crew.submit([{"id": "a", "kind": "approval"}])
    later[0] += GRACE_MS
    assert "; 0 removed" in crew.upkeep.hygiene.tick()
    assert store.client.exists(store.keys.part("g", "signals"))


def test_the_script_removes_nothing_of_a_goal_that_is_there_and_no_key_of_another(crew: Crew) -> None:
    crew.submit(["a"], goal_id="there")
    keys = list(crew.store.client.scan_iter("*{there}*"))
    assert crew.store.upkeep.purge("there", keys) == 0
    assert crew.store.upkeep.purge("gone", keys) == 0
    assert sorted(crew.store.client.scan_iter("*{there}*")) == sorted(keys)


def test_a_goal_that_the_index_lost_is_entered_again_and_ends(crew: Crew, later: list[int]) -> None:
    store = crew.store
    crew.submit(["a"])
    crew.mail.invitations.clear()  # and the message was lost, too
    store.client.delete(store.keys.index, store.keys.due)
    assert "1 goals entered again" in rounds(crew.upkeep.hygiene, later)
    assert store.goals.newest(0, 10) == ["g"]
    store.client.hset(store.keys.part("g", "dispatch"), "due:default", 0)
    crew.duties.reap()
    crew.work()
    assert crew.state() == "DONE"


def test_unknown_keys_are_counted_and_left_alone(crew: Crew, later: list[int]) -> None:
    crew.store.client.set("fleet:strange", 1)
    crew.store.client.set("theirs", 1)
    rounds(crew.upkeep.hygiene, later)
    crew.upkeep.meter.tick()
    assert crew.store.upkeep.levels()["unknown_keys"] == 1
    assert crew.store.client.delete("fleet:strange", "theirs") == 2


def test_a_tick_looks_at_a_slice(crew: Crew, later: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hygiene, "SLICE", 100)
    with crew.store.client.pipeline() as pipe:
        for at in range(3000):
            pipe.set(f"theirs:{at}", 1)
        pipe.hset(crew.store.keys.part("gone", "children"), "n", "child")
        pipe.execute()
    notes = [crew.upkeep.hygiene.tick() for _ in range(60)]
    assert max(int(note.split(": ")[1].split()[0]) for note in notes[:20]) <= 2000
    assert any(note.startswith("round 2") for note in notes), notes[-1]
    later[0] += GRACE_MS
    for _ in range(60):
        crew.upkeep.hygiene.tick()
    assert not crew.store.client.exists(crew.store.keys.part("gone", "children"))
    crew.store.client.delete(*(f"theirs:{at}" for at in range(3000)))
