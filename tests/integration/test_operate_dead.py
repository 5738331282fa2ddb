"""Dead letters: nodes and messages, listed, acknowledged, dropped, requeued."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.app import make_app
from orchestrator.domain.errors import GoalNotFound, NodeFailed
from orchestrator.operate import dead
from orchestrator.operate.operator import Operator
from orchestrator.settings import Settings
from orchestrator.store.store import Store
from support.crew import Crew


def boom() -> None:
    raise NodeFailed("boom")


@pytest.fixture
def failed(crew: Crew) -> Crew:
    """A goal with two failed nodes."""
    crew.function(boom)
    crew.submit([{"id": "a", "call": "boom"}, {"id": "b", "call": "boom"}, "c"], owner="ann")
    crew.work()
    assert crew.state() == "FAILED"
    return crew


@pytest.fixture
def operator(store: Store) -> Callable[[Crew], Operator]:
    """The operator's view with a real broker behind it."""

    def make(crew: Crew) -> Operator:
        settings, wired = Settings(redis_url=store.url), crew.wired
        return Operator(store, wired.reader, settings, make_app(settings), wired.duties.intervals, wired.reachable)

    return make


def set_aside(store: Store, **more: str) -> str:
    """A message whose arguments are of no use; returns its id."""
    headers = {"task": "tasks.node.run", "id": "t1", "lang": "py"}
    body = json.dumps([["g", "default", "a", 1], {}, {}])
    plain = {"body": body, "headers": json.dumps(headers), "queue": "default", "content_type": "application/json",
             "content_encoding": "utf-8", "cut": ""}  # fmt: skip
    store.fleet.set_aside("TypeError: no", plain | more)
    return dead.message_id(store.fleet.poison_raw()[0])


def test_failed_nodes_are_listed_until_somebody_has_seen_them(failed: Crew) -> None:
    found = list(dead.letters(failed.store))
    assert [(one.id, one.kind, one.reason, one.error, one.owner) for one in found] == [
        ("g/a", "node", "error", "boom", "ann"), ("g/b", "node", "error", "boom", "ann"),
    ]  # fmt: skip
    assert dead.count_dead(failed.store)[:2] == (2, 1)
    assert failed.store.goals.acknowledge("g", ["a", "a", "c"], "cli:ann", "known") == [
        "acknowledged",
        "known",
        "missing",
    ]
    assert [one.id for one in dead.letters(failed.store)] == ["g/b"]
    assert [(one.id, one.seen) for one in dead.letters(failed.store, "g", seen=True)] == [
        ("g/a", "cli:ann"),
        ("g/b", ""),
    ]
    assert dead.count_dead(failed.store)[0] == 1
    assert dead.find(failed.store, "g/a").seen == "cli:ann"


def test_a_retry_forgets_what_was_seen(failed: Crew) -> None:
    failed.store.goals.acknowledge("g", ["a"], "cli:ann", "")
    failed.reopener.retry("g")
    assert list(dead.letters(failed.store)) == []
    failed.work()
    assert [one.id for one in dead.letters(failed.store)] == ["g/a", "g/b"]


def test_what_is_not_there_is_an_error(failed: Crew) -> None:
    for name in ("g/c", "g/ghost", "m-000000000000"):
        with pytest.raises(dead.LetterNotFound):
            dead.find(failed.store, name)
    with pytest.raises(GoalNotFound):
        dead.find(failed.store, "ghost/a")
    with pytest.raises(GoalNotFound):
        list(dead.letters(failed.store, "ghost"))


def test_an_acknowledgement_is_in_the_audit_trail(failed: Crew, operator: Callable[[Crew], Operator]) -> None:
    view = operator(failed)
    assert view.acknowledge("g", "a", "cli:ann@desk", "known") == "acknowledged"
    assert view.acknowledge("g", "a", "cli:bob@desk") == "known"
    first, second = view.audit()
    assert (first.fields["command"], first.fields["target"], first.fields["door"], first.fields["sender"]) == (
        "ACKNOWLEDGE", "node a of goal g", "cli", "ann@desk",
    )  # fmt: skip
    assert (first.fields["reason"], second.fields["outcome"]) == ("known", "known")
    with pytest.raises(dead.LetterNotFound):
        view.acknowledge("g", "c", "cli:ann")


def test_a_message_goes_back_to_its_queue_as_it_came(crew: Crew, operator: Callable[[Crew], Operator]) -> None:
    view, store = operator(crew), crew.store
    name = set_aside(store)
    (letter,) = view.letters()
    assert (letter.id, letter.kind, letter.queue, letter.reason) == (name, "message", "default", "TypeError: no")
    assert view.requeue_message(name, "cli:ann") == "default"
    assert store.fleet.poison_raw() == []
    sent = json.loads(store.client.rpop("default"))
    assert json.loads(base64.b64decode(sent["body"])) == [["g", "default", "a", 1], {}, {}]
    assert (sent["headers"]["task"], sent["properties"]["correlation_id"]) == ("tasks.node.run", "t1")
    store.client.delete("_kombu.binding.default")
    with pytest.raises(dead.LetterNotFound):
        view.requeue_message(name, "cli:ann")


@pytest.mark.parametrize("fault", [{"cut": "yes"}, {"queue": ""}, {"headers": "{'task': 1}"}])
def test_a_message_that_was_not_kept_whole_is_not_sent(
    crew: Crew, operator: Callable[[Crew], Operator], fault: dict[str, Any]
) -> None:
    name = set_aside(crew.store, **fault)
    with pytest.raises(dead.CannotRequeue):
        operator(crew).requeue_message(name, "cli:ann")
    assert len(crew.store.fleet.poison_raw()) == 1
    assert operator(crew).drop_message(name, "cli:ann") == "dropped"
    assert crew.store.fleet.poison_raw() == []
