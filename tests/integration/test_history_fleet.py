"""I10 and I11 over everything on the server: what is left behind, half removed, or run twice is noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.events.check import check_fleet, unknown_keys
from orchestrator.store.store import Store
from support.sim import Sim
from support.tale import goal


@pytest.mark.parametrize("key", ["dag:{g}:nodez", "dag:g", "task:{g}", "stray", "goals:idx", "task:{g}:a:lock:b"])
def test_a_key_that_is_not_in_the_catalogue_is_noticed(store: Store, key: str) -> None:
    goal(store)
    assert unknown_keys(store) == []
    store.client.set(key, 1)
    assert unknown_keys(store) == [key]
    assert any(repr(key) in one.text for one in check_fleet(store, alone=True))
    assert bool(check_fleet(store)) == (key != "stray"), "a broker's keys may be there"


FLEET: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a key of a goal that is gone": ("I10 ", lambda c: c.hset("task:{gone}:a", "state", "READY")),
    "a goal that the index lost": ("I10 ", lambda c: c.zrem("goals:index", "g")),
    "a goal that was removed in part": ("I10 ", lambda c: c.delete("dag:{g}")),
    "a node whose record is gone": ("I10 ready", lambda c: c.delete("task:{g}:ready")),
    "a record whose node is gone": ("I10 ready", lambda c: c.hdel("dag:{g}:nodes", "ready")),
    "two goals with one key": (
        "I11 ",
        lambda c: (c.hset("dag:{g}", "key", "me:k"), c.hset("dag:{h}", "key", "me:k")),
    ),
    "a key that stands for another goal": (
        "I11 ",
        lambda c: (c.hset("dag:{g}", "key", "me:k:k"), c.set("goals:idem:me:k:k", "h stored")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLEET)
def test_a_fault_of_the_fleet_is_noticed(store: Store, name: str) -> None:
    goal(store)
    other = Sim(store, "h")
    other.submit(["a"])
    other.done("a")
    assert check_fleet(store, alone=True) == []
    expected, plant = FLEET[name]
    plant(store.client)
    assert {f"{one.invariant} {one.node}" for one in check_fleet(store, alone=True)} == {expected}


def test_a_goal_that_is_being_stored_or_removed_is_whole(store: Store) -> None:
    goal(store)
    store.client.hset("dag:{g}", "building", "removing")
    store.client.delete("task:{g}:ready")
    assert check_fleet(store, alone=True) == []


def test_a_submission_that_was_only_begun_is_whole(store: Store) -> None:
    store.client.hset("dag:{new}", mapping={"state": "PLANNING", "building": "digest"})
    assert {one.invariant for one in check_fleet(store)} == {"I10"}, "it would stay for ever"
    store.client.pexpire("dag:{new}", 60_000)
    assert check_fleet(store) == []
    store.client.hset("dag:{new}:nodes", "a", "{}")
    assert {one.invariant for one in check_fleet(store)} == {"I10"}, "what is behind it would stay"
