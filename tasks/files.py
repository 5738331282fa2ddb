"""The watcher of heartbeat files, in the main process of a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import bootsteps

from .parts import chordal

if TYPE_CHECKING:
    from orchestrator.control.files.watch import Watch


class FileWatch(bootsteps.StartStopStep):
    """Carries out the directives of heartbeat files that lie on this machine, unless another worker here does."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._watch: Watch | None = None

    def start(self, parent: Any) -> None:
        """Begin to watch; over lost connections too, after which Celery starts this step anew."""
        self._watch = chordal().files.watch(parent.hostname)
        self._watch.start()

    def stop(self, _parent: Any) -> None:
        """Leave the files to the next worker."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
