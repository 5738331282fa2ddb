"""A worker's consumer that survives messages it cannot read.

Celery's own lets some errors of a broken message end the worker. The message goes back to the queue then, and ends the
next worker too: one entry stops a fleet.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from celery.worker import consumer, loops

from orchestrator.store.connection import ConnectionFailed

from .parts import chordal

log = logging.getLogger(__name__)

SHOWN_CHARACTERS: Final = 4096
KEPT_CHARACTERS: Final = 65_536
"""Of the body of a message that is set aside, so that it can be sent again."""
FULL_SECONDS: Final = 0.004
"""How often a worker of greenlets whose slots are all taken looks for a free one."""


class Consumer(consumer.Consumer):
    """Celery's consumer; what it cannot read is set aside with the reason, and acknowledged."""

    loop: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if getattr(self.pool, "is_green", False) and self.loop is loops.synloop:
            self.loop = _loop_of_greenlets

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """What is called for every message."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            message.ack_log_error = partial(_unless_cut, message.ack_log_error)
            message.reject_log_error = partial(_unless_cut, message.reject_log_error)
            try:
                return handle(message)
            except (*self.connection_errors, *self.channel_errors, *ConnectionFailed):
                raise
            except (TypeError, ValueError, LookupError, AttributeError, UnicodeError) as error:
                log.error("a message that cannot be read is set aside: %s: %s", type(error).__name__, error)
                self._set_aside(message, error)
                message.reject_log_error(log, self.connection_errors)

        return on_task_received

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """The broker is gone for a moment. Closing what is left of the connection must not end the worker.

        With unacknowledged messages at hand kombu tries to restore them on the way out, through a connection that it has
        just taken apart. Beat sends what was lost again.
        """
        connection = self.connection
        if connection is not None:
            connection.close = partial(_close_quietly, connection.close)
        super().on_connection_error_after_connected(exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """It is no task message."""
        self._set_aside(message, "it is no task message")
        super().on_unknown_message(body, message)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Its arguments are of no use, or its content type is not accepted."""
        self._set_aside(message, exc)
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Its body cannot be decoded."""
        self._set_aside(message, exc)
        super().on_decode_error(message, exc)

    def _set_aside(self, message: Any, why: Exception | str) -> None:
        reason = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
        headers = message.headers if isinstance(message.headers, Mapping) else {}
        body, whole = _text(message.body, KEPT_CHARACTERS)
        head, readable = _text(json.dumps(dict(headers), default=str), KEPT_CHARACTERS)
        shown = {
            "body": body,
            "headers": head,
            "queue": str((message.delivery_info or {}).get("routing_key") or ""),
            "content_type": str(message.content_type or ""),
            "content_encoding": str(message.content_encoding or ""),
            "cut": "" if whole and readable else "yes",
        }
        try:
            chordal().store.fleet.set_aside(_text(reason, SHOWN_CHARACTERS)[0], shown)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); the message is only in this log: %s", error, shown)


class _Prompt:
    """A connection that does not sleep while its consumer may take no message.

    Celery waits two seconds for the next message. With every slot taken none is asked for, and nothing wakes the wait when
    a slot becomes free: a full worker of greenlets would stand idle until the two seconds are over.
    """

    def __init__(self, connection: Any, consumer: Any) -> None:
        self._connection = connection
        self._consumer = consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def drain_events(self, timeout: float | None = None, **kwargs: Any) -> Any:
        """Wait for a message. Raises TimeoutError."""
        if not self._consumer.channel.qos.can_consume():
            timeout = FULL_SECONDS
        return self._connection.drain_events(timeout=timeout, **kwargs)


def _loop_of_greenlets(consumer: Any, connection: Any, task_consumer: Any, *args: Any, **kwargs: Any) -> Any:
    return loops.synloop(consumer, _Prompt(connection, task_consumer), task_consumer, *args, **kwargs)


def _unless_cut(acknowledge: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Acknowledge a message, unless its connection is gone: it is on no connection that this could be said to any more."""
    try:
        acknowledge(*args, **kwargs)
    except AttributeError as error:  # what kombu's channel raises once its connection is taken apart
        log.warning("a message of a broken connection could not be acknowledged: %s", error)


def _close_quietly(close: Callable[[], None]) -> None:
    try:
        close()
    except Exception as error:
        log.warning("the broken connection to the broker could not be closed in good order: %s", error)


def _text(value: Any, most: int) -> tuple[str, bool]:
    """The value as text of at most so many characters, and whether nothing was lost."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    kept = text[:most].encode("utf-8", "replace").decode()
    return kept, kept.encode() == (value if isinstance(value, bytes) else text.encode("utf-8", "replace"))
