"""Celery: settings that a promise depends on, and how full the broker's queues are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.app import DEFAULT_QUEUE
from orchestrator.domain.views import Check
from orchestrator.operate.celery_settings import settings_faults
from orchestrator.operate.facts import FleetFacts
from orchestrator.operate.reason import spell
from orchestrator.operate.why_model import LLM_QUEUE
from orchestrator.settings import Settings

DEEP: Final = 1000
OLD_SECONDS: Final = 60.0
_STEPS: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""How the lists of a queue end, one for each band of priorities."""


def celery_checks(app: Any, settings: Settings) -> Iterator[Check]:
    """The settings here; each worker tells its own with its heartbeat."""
    faults = settings_faults(app, settings)
    remedy = "take these settings back: orchestrator/app.py says why each is as it is" if faults else ""
    yield Check("Celery settings", not faults, "; ".join(faults) or "as the promises need them", remedy)


@dataclass(frozen=True, slots=True)
class Depth:
    """How full one queue of the broker is."""

    queue: str
    messages: int
    oldest: float | None
    """Seconds that the oldest message has waited, where that is known: of our own invitations, on Redis."""


def depths(app: Any, queues: Iterable[str], now_ms: int) -> list[Depth]:
    """The broker's queues. Raises what the broker's connection raises."""
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1)
        return [_depth(connection, queue, now_ms) for queue in queues]


def _depth(connection: Any, queue: str, now_ms: int) -> Depth:
    with connection.channel() as channel:  # of its own: on AMQP a question after a queue that is not there ends it
        try:
            messages = int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors:
            messages = 0
        return Depth(queue, messages, _oldest(channel, queue, now_ms) if messages else None)


def _oldest(channel: Any, queue: str, now_ms: int) -> float | None:
    """Of the messages that are next in each list, when the oldest invitation was sent."""
    client = getattr(channel, "client", None)
    if client is None or not hasattr(client, "lindex"):
        return None
    sent = [at for step in _STEPS if (at := _sent_ms(client.lindex(f"{queue}{step}", -1))) is not None]
    return max(0.0, (now_ms - min(sent)) / 1000) if sent else None


def _sent_ms(raw: Any) -> int | None:
    """When an invitation was sent; None for any other message."""
    with suppress(Exception):
        message = json.loads(raw)
        if message["headers"]["task"] == "tasks.node.run":
            return int(json.loads(base64.b64decode(message["body"]))[0][3])
    return None


def queues_of(fleet: FleetFacts, wanted: Iterable[str] = ()) -> list[str]:
    """The queues that there should be, and those that goals want."""
    return sorted({DEFAULT_QUEUE, LLM_QUEUE, *wanted, *(queue for worker in fleet.workers for queue in worker.queues)})


def broker_checks(app: Any, fleet: FleetFacts, wanted: Iterable[str] = ()) -> Iterator[Check]:
    """A line for each queue that has messages or that somebody serves; `wanted` are those of goals."""
    try:
        found = depths(app, queues_of(fleet, wanted), fleet.now_ms)
    except Exception as error:  # each transport has errors of its own
        yield Check(
            "broker", False, f"it does not answer: {type(error).__name__}: {error}", "look at CHORDAL_BROKER_URL"
        )
        return
    for one in found:
        served = len(fleet.serving(one.queue))
        if one.messages or served:
            yield queue_check(one, served)


def queue_check(one: Depth, served: int) -> Check:
    """One queue, which so many live workers serve."""
    age = f", the oldest for {spell(one.oldest)}" if one.oldest is not None else ""
    detail = f"{one.messages:,} messages wait{age}; {served} live workers serve it"
    name = f"queue {one.queue}"
    if one.messages and not served:
        return Check(name, False, detail, f"start `celery -A orchestrator worker -Q {one.queue}`")
    if one.messages >= DEEP or (one.oldest or 0) >= OLD_SECONDS:
        return Check(name, None, detail, "its workers are busy or stand still: add workers, or look at their logs")
    return Check(name, True, detail)
