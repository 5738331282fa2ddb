"""A worker's consumer that survives messages it cannot read.

Celery's own lets some errors of a broken message end the worker. The message goes back to the queue then, and ends the
next worker too: one entry stops a fleet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from celery.worker import consumer

from orchestrator.store.connection import ConnectionFailed

from .parts import chordal

log = logging.getLogger(__name__)

SHOWN_CHARACTERS: Final = 4096


class Consumer(consumer.Consumer):
    """Celery's consumer; what it cannot read is set aside with the reason, and acknowledged."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """What is called for every message."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            try:
                return handle(message)
            except (*self.connection_errors, *self.channel_errors, *ConnectionFailed):
                raise
            except (TypeError, ValueError, LookupError, AttributeError, UnicodeError) as error:
                log.error("a message that cannot be read is set aside: %s: %s", type(error).__name__, error)
                self._set_aside(message, error)
                message.reject_log_error(log, self.connection_errors)

        return on_task_received

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
        shown = {
            "body": message.body,
            "headers": dict(headers),
            "queue": (message.delivery_info or {}).get("routing_key"),
        }
        try:
            chordal().store.fleet.set_aside(
                reason[:SHOWN_CHARACTERS],
                {name: _text(value) for name, value in shown.items()},
            )
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); the message is only in this log: %s", error, shown)


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text[:SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
