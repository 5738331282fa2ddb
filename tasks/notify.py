"""The task that tells webhooks and callbacks what happened to a goal, and how the fleet knows which there are."""

from __future__ import annotations

import logging
from typing import Any, Final

from celery import bootsteps

from orchestrator.app import app
from orchestrator.store.connection import ConnectionFailed

from .parts import chordal

log = logging.getLogger(__name__)

REGISTER_SECONDS: Final = 60.0


@app.task(name="tasks.notify.deliver", ignore_result=True)
def deliver(goal: str) -> str:
    """Tell what is to be told of a goal now; returns how it went. Repeating it is harmless: beat does until it is told."""
    return chordal().notify.deliverer.deliver(goal)


class Receivers(bootsteps.StartStopStep):
    """Tells the fleet every minute which receivers this worker can tell; where it knows none, it costs nothing."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin to tell."""
        if fault := chordal().notify.fault():
            log.error("no webhook is sent: %s", fault)
        self._register()
        self._timer = consumer.timer.call_repeatedly(REGISTER_SECONDS, self._register)

    def _register(self) -> None:
        try:
            chordal().notify.register()
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); receivers of notifications are made known later", error)

    def stop(self, _consumer: Any) -> None:
        """End; the receivers stay known for an hour."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
