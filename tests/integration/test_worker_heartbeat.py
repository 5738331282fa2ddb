"""What a worker's heartbeat says of the queues that it serves, while it is drained and after."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.store.store import Store

draining, worker = (import_module(f"orchestrator.tasks.{name}") for name in ("draining", "worker"))


class _Entry:
    """Of a timer."""

    def cancel(self) -> None:
        """Nothing is under way."""


@pytest.fixture
def consumer(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """As Celery's consumer looks to a part of the worker; `consume_from` are the queues that it serves."""
    calls: list[Any] = []

    def call_repeatedly(*call: Any) -> _Entry:
        calls.append(call)
        return _Entry()

    timer = SimpleNamespace(calls=calls, call_repeatedly=call_repeatedly)
    monkeypatch.setattr(worker, "chordal", lambda: SimpleNamespace(store=store))
    monkeypatch.setattr(worker, "_faults", lambda _: ())
    yield SimpleNamespace(
        hostname="w@host", pool=SimpleNamespace(num_processes=2), timer=timer, event_dispatcher=None,
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={"b": 1, "a": 1}))),
    )  # fmt: skip
    draining.drain(False)


def test_a_worker_that_was_drained_while_its_broker_was_away_serves_its_queues_again(
    store: Store, consumer: Any
) -> None:
    def said() -> tuple[int, tuple[str, ...], bool]:
        (one,) = store.fleet.workers()
        return one.worker.slots, one.worker.queues, one.worker.draining

    beat = worker.Heartbeat(consumer)
    queues = consumer.app.amqp.queues
    beat.start(consumer)
    assert said() == (2, ("a", "b"), False)
    draining.drain(True)
    queues.consume_from = {}
    beat.stop(consumer)
    beat.start(consumer)  # as Celery does once the broker is back
    assert said() == (0, ("a", "b"), True), "people see which queues wait for it"
    draining.drain(False)
    queues.consume_from = {"a": 1, "b": 1, "c": 1}
    _, call, arguments = consumer.timer.calls[-1]
    call(*arguments)
    assert said() == (2, ("a", "b", "c"), False)
