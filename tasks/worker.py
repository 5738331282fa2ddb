"""What a worker process does beside its tasks: heartbeat, user code, events for nodes that run on, a clean end."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from celery import Celery, bootsteps, signals
from celery._state import get_current_worker_task

from orchestrator.backend import adopt, guard_all, hook_of
from orchestrator.engine.commits import Observer
from orchestrator.engine.context import log_fields
from orchestrator.engine.jobs import Job
from orchestrator.engine.registry import REGISTRY
from orchestrator.logs import tell_running
from orchestrator.store.connection import ConnectionFailed, Refused
from orchestrator.store.fleet import Worker
from orchestrator.store.records import Outcome, Result

from .draining import is_draining
from .parts import chordal

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 1.0
EVENT_OF: Final = {Outcome.DONE: "task-succeeded", Outcome.FAILED: "task-failed", Outcome.RETRY: "task-retried"}

_events_on = multiprocessing.get_context("fork").Value("b", 0, lock=False)
"""Whether someone listens to task events. Shared with the forked children, which cannot know it otherwise."""


class Heartbeat(bootsteps.StartStopStep):
    """Tells the fleet every second that this worker lives, and how many nodes it can run at once."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None
        self._queues: tuple[str, ...] = ()

    def start(self, consumer: Any) -> None:
        """Begin to beat."""
        worker = Worker(
            name=consumer.hostname,
            pid=os.getpid(),
            slots=consumer.pool.num_processes or 1,
            queues=tuple(sorted(consumer.app.amqp.queues.consume_from)),
            pool=type(consumer.pool).__module__.rpartition(".")[2],
            started=time.time(),
            faults=_faults(consumer),
        )
        self._beat(consumer, worker)
        self._timer = consumer.timer.call_repeatedly(HEARTBEAT_SECONDS, self._beat, (consumer, worker))

    def _beat(self, consumer: Any, worker: Worker) -> None:
        dispatcher = consumer.event_dispatcher
        # Without -E the dispatcher is on all the same, for worker heartbeats only; Flower adds the group `task`.
        _events_on.value = int(bool(dispatcher and dispatcher.enabled and dispatcher.groups != {"worker"}))
        try:
            chordal().store.fleet.beat(self._as_now(consumer, worker))
        except (*ConnectionFailed, Refused) as error:
            log.warning("no heartbeat: Redis is away, or takes no writes (%s)", error)

    def _as_now(self, consumer: Any, worker: Worker) -> Worker:
        """The worker, with the queues that it serves by now; one that is drained serves none, and is shown with those before."""
        if is_draining():
            return replace(worker, slots=0, draining=True, queues=self._queues or worker.queues)
        self._queues = tuple(sorted(consumer.app.amqp.queues.consume_from))
        return replace(worker, queues=self._queues)

    def stop(self, _consumer: Any) -> None:
        """Leave in good order."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def shutdown(self, consumer: Any) -> None:
        """The worker ends: take it out of the fleet at once."""
        try:
            chordal().store.fleet.leave(consumer.hostname)
        except ConnectionFailed:
            log.warning("Redis is away; beat will find out that this worker left")


def _faults(consumer: Any) -> tuple[str, ...]:
    """What the worker's settings, its app's and its command line's, take away from the promises."""
    from orchestrator.operate.celery_settings import settings_faults

    return tuple(settings_faults(consumer.app, chordal().settings, consumer.prefetch_multiplier))


class RunOnEvents:
    """Sends the usual task events for nodes that ran on in another node's message, when someone listens."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._waiting: list[tuple[str, dict[str, Any]]] = []

    def started(self, job: Job) -> None:
        """A node starts."""
        if not _events_on.value or self._name(job) == self._current():
            return
        shown = {
            "name": "tasks.node.run",
            "args": f"({job.claimed.lease.goal}, {job.claimed.lease.node})",
            "kwargs": "{}",
        }
        self._send(job, "task-received", **shown, retries=job.claimed.failures)
        self._send(job, "task-started")

    def ended(self, job: Job, result: Result) -> None:
        """A node ended."""
        if not _events_on.value or self._name(job) == self._current():
            return
        kind = EVENT_OF.get(result.outcome, "task-succeeded")
        details = {"result": result.outcome.value, "runtime": job.seconds} if kind == "task-succeeded" else {
            "exception": result.body[:500], "traceback": ""
        }  # fmt: skip
        self._send(job, kind, **details)

    def _name(self, job: Job) -> str:
        lease = job.claimed.lease
        return f"{lease.goal}:{lease.node}:{lease.attempt}"

    def _current(self) -> str:
        task = self._app.current_worker_task
        return str(task.request.id) if task is not None else ""

    def _send(self, job: Job, kind: str, **details: Any) -> None:
        self._waiting.append((kind, {"uuid": self._name(job), "timestamp": time.time(), **details}))

    def flush(self) -> None:
        """Send what has gathered as one message: an event a message would cost more than a short node."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        with (
            self._app.producer_pool.acquire(block=True) as producer,
            self._app.events.Dispatcher(
                producer.connection,
                self._hostname,
                channel=producer.channel,
                buffer_group=["task"],
                buffer_limit=len(batch) + 1,
            ) as dispatcher,
        ):
            for kind, fields in batch:
                dispatcher.send(kind, **fields)
            dispatcher.flush()


def _log_fields() -> Mapping[str, str | int]:
    """Whose log line it is: the node's that runs, else the Celery task's."""
    if fields := log_fields(chordal().committer.worker):
        return fields
    task = get_current_worker_task()
    return {"task": task.name, "task_id": task.request.id} if task else {}


def install(app: Celery) -> None:
    """Put the worker's parts in place. Called once, when a process loads the tasks."""
    app.steps["consumer"].add(Heartbeat)


@signals.celeryd_after_setup.connect(weak=False)
def _take_user_code(sender: str, instance: Any, **_: Any) -> None:
    """The modules of CHORDAL_IMPORTS are loaded: know their functions and take in the tasks of their Celery apps."""
    app = instance.app
    if app.main != "orchestrator":
        return
    REGISTRY.imported[:] = list(chordal().settings.imports)
    for module in REGISTRY.imported:
        adopt(app, module)
    guard_all(app, chordal())
    hook_of(app).draining = is_draining
    committer = chordal().committer
    committer.name = sender
    tell_running(_log_fields)
    chordal().runner.draining = is_draining
    events = RunOnEvents(app, sender)
    committer.observer = Observer(events.started, events.ended, events.flush)
    committer.keeper.watchers.append(lambda _now: events.flush())  # a long node shows before it ends
    chordal().models.preload()
    app.set_current()
    app.set_default()
