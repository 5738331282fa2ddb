"""The duty `hygiene` beside the keys of other programs on the same server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.engine.upkeep import hygiene
from support.crew import Crew


@pytest.fixture
def strangers(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Keys of somebody else with names like ours, by type."""
    client = crew.store.client
    client.set("task:{42}:title", "theirs")  # a node's record is a hash
    client.set("task:{44}:a:b:c", "theirs")
    client.sadd("dag:{air}:runs", "theirs")
    client.set("dag:{air}", "theirs")
    client.hset("dag:{flow}", "owner", "them")
    client.hset("dag:{run}", mapping={"state": "success", "created": 1})
    client.set(b"task:{x}:\xff\xfe", "theirs")
    client.set(b"\xff\xfe\x00", "theirs")
    monkeypatch.setattr(hygiene, "GRACE_MS", 0)
    found = {repr(key): client.type(key) for key in client.scan_iter(NEVER_DECODE=True)}
    assert len(found) == 8
    yield found
    client.flushdb()


def test_keys_of_others_stay_and_do_not_stop_it(crew: Crew, strangers: dict[str, str]) -> None:
    client = crew.store.client
    client.hset(crew.store.keys.task("gone", "n"), "state", "READY")
    notes = [crew.upkeep.hygiene.tick() for _ in range(3)]
    assert notes[0].endswith("; 1 removed, 0 goals entered again")
    assert crew.store.goals.newest(0, 10) == [], "no key of theirs is taken for a goal"
    assert {repr(key): client.type(key) for key in client.scan_iter(NEVER_DECODE=True)} == strangers
