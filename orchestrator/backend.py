"""User's own Celery tasks as nodes, unchanged: claimed before the body runs, committed where Celery counts a chord.

A message that stands for a node carries the goal as its group, a tiny chord as mark, and `goal:node:attempt` as its id.
`before_start` claims the node; the result backend's chord hook commits it.
"""

from __future__ import annotations

import importlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

from celery import Celery, signals
from celery.backends.redis import RedisBackend
from celery.exceptions import Ignore, Retry, WorkerLostError

from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import Done, End, Failed, Parked, failed_by
from orchestrator.engine.kinds import TASK_RESEND_SECONDS
from orchestrator.engine.leases import Held
from orchestrator.settings import Settings
from orchestrator.wiring import MARK, Chordal, connect

log = logging.getLogger(__name__)

NOT_TO_RUN: Final = "it is {outcome} for the node {node!r} of goal {goal!r}; the task is not run"


@dataclass(slots=True)
class Hook:
    """Claims and commits nodes for the tasks of one app."""

    chordal: Chordal
    held: dict[str, Held] = field(default_factory=dict)

    def begin(self, request: Any) -> None:
        """Claim the node of a task that is about to run. Raises Ignore when it must not run (a duplicate, a cancel)."""
        goal, node, attempt = _parts(request)
        runner = self.chordal.runner
        lease_ms = int(self.chordal.settings.lease_seconds * 1000)
        outcome, lease, length = self.chordal.store.nodes.begin(
            goal, node, attempt, worker=runner.worker, nonce=secrets.token_hex(6), lease_ms=lease_ms
        )
        if lease is None:
            log.warning(NOT_TO_RUN.format(outcome=outcome, node=node, goal=goal))
            raise Ignore(NOT_TO_RUN.format(outcome=outcome, node=node, goal=goal))
        self.held[request.id] = self.chordal.keeper.hold(lease, length)

    def finish(self, request: Any, state: str, result: Any) -> None:
        """Commit what the task ended with."""
        if isinstance(result, WorkerLostError):
            return  # its lease runs out, and beat hands the node to another worker
        if state == "SUCCESS":
            self._commit(request, Done(result))
        elif isinstance(result, BaseException):
            self._commit(request, failed_by(result))
        else:
            self._commit(request, Failed("error", f"{state}: {result}"))

    def refuse_unknown(self, task_id: str, name: str, known: list[str]) -> None:
        """The task of a node is not known here: the node fails and says where was looked."""
        request = SimpleNamespace(id=task_id)
        try:
            self.begin(request)
        except Ignore:
            return
        near = get_close_matches(name, known, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        mine = ", ".join(sorted(task for task in known if not task.startswith(("celery.", "tasks."))))
        error = f"worker {self.chordal.runner.name} knows no Celery task {name!r} (it knows: {mine or 'none of yours'}){hint}"
        self._commit(request, Failed("unknown task", f"no Celery task {name!r}: {error}", final=True))

    def wait_for_retry(self, request: Any, retry: Any) -> None:
        """The task retries by itself: its node waits for that message, and is sent again only if it never comes."""
        when = retry.when if isinstance(retry, Retry) else None
        seconds = (when - datetime.now(UTC)).total_seconds() if isinstance(when, datetime) else float(when or 0)
        self._commit(
            request, Parked("task", "ready", max(seconds, 0) + TASK_RESEND_SECONDS, resume="task:1"), retrying=True
        )

    def _commit(self, request: Any, end: End, retrying: bool = False) -> None:
        goal, node, attempt = _parts(request)
        held = self.held.pop(request.id, None)
        lease = held.lease if held is not None else self._lease_of(goal, node, attempt)
        if lease is None:
            log.warning("%s of goal %s is not leased; its result is not committed", node, goal)
            return
        self.chordal.runner.finish(lease, end, held, retrying)

    def _lease_of(self, goal: str, node: str, attempt: int) -> Lease | None:
        """The lease as stored: time limits are reported by the worker's main process, which did not claim."""
        holder = self.chordal.store.nodes.holder(goal, node)
        return None if holder is None else Lease(goal, node, holder[0], holder[1], attempt)


class Backend(RedisBackend):
    """Celery's Redis result backend; it commits nodes where Celery would count a chord."""

    def on_chord_part_return(self, request: Any, state: str, result: Any, propagate: Any = None, **kwargs: Any) -> Any:
        """A task ended. Chords of other messages are counted as ever."""
        if is_node(request):
            return hook_of(self.app).finish(request, state, result)
        return super().on_chord_part_return(request, state, result, propagate, **kwargs)

    def mark_as_retry(self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **kwargs: Any) -> Any:
        """A task retries by itself."""
        if is_node(request):
            hook_of(self.app).wait_for_retry(request, exc)
        return super().mark_as_retry(task_id, exc, traceback, request, **kwargs)


_hooks: dict[int, Hook] = {}


def hook_of(app: Celery) -> Hook:
    """The hook of an app; made on first use."""
    if id(app) not in _hooks:
        _hooks[id(app)] = Hook(_connected())
    return _hooks[id(app)]


@cache
def _connected() -> Chordal:
    return connect()


def is_node(request: Any) -> bool:
    """Whether a task request stands for a node of a goal."""
    chord = getattr(request, "chord", None)
    return isinstance(chord, dict) and chord.get("task") == MARK["task"]


def _parts(request: Any) -> tuple[str, str, int]:
    goal, node, attempt = str(request.id).split(":")
    return goal, node, int(attempt)


def guard(task: Any, hook: Callable[[], Hook]) -> None:
    """Let a task claim its node before its body runs. Tasks that are called in other ways are not touched."""
    cls = type(task)
    if getattr(cls, "_chordal_guarded", False):
        return
    before = cls.before_start

    def before_start(self: Any, task_id: str, args: Any, kwargs: Any) -> None:
        if is_node(self.request):
            hook().begin(self.request)
        before(self, task_id, args, kwargs)

    cls.before_start = before_start
    cls._chordal_guarded = True


def guard_all(app: Celery, chordal: Chordal) -> None:
    """Guard every task of an app."""
    _hooks[id(app)] = Hook(chordal)
    for name, task in app.tasks.items():
        if not name.startswith(("celery.", "tasks.node.", "tasks.goal.", "tasks.control.")):
            guard(task, lambda: hook_of(app))


@signals.task_unknown.connect(weak=False)
def _unknown(sender: Any, message: Any, name: str, id: str, **_: Any) -> None:
    """A message for a task that this worker does not have: if it stands for a node, the node must not wait for ever."""
    app = sender.app
    group = message.headers.get("group")
    if group and id.startswith(f"{group}:") and id.count(":") == 2:
        hook_of(app).refuse_unknown(id, name, list(app.tasks))


def attach(app: Celery, settings: Settings | None = None) -> None:
    """Let the tasks of your own Celery app be nodes: call it once, where the app is made.

    It sets the app's result backend to Chordal's (Celery's Redis backend with one more hook) and leaves the rest alone.
    """
    from orchestrator.app import broker_url, result_backend_url

    chordal = connect(settings)
    app.conf.result_backend = result_backend_url(broker_url(chordal.settings))

    def take(sender: str, instance: Any, **_: Any) -> None:
        if instance.app is app:
            chordal.runner.name = sender
            guard_all(app, chordal)

    signals.celeryd_after_setup.connect(take, weak=False)


def adopt(app: Celery, module: str) -> list[str]:
    """Take the tasks of Celery apps that a module defines into `app`; returns their names.

    This is what CHORDAL_IMPORTS means for a module like Celery's tutorial `tasks.py`, which makes an app of its own.
    """
    loaded = importlib.import_module(module)
    taken = []
    for other in vars(loaded).values():
        if not isinstance(other, Celery) or other is app:
            continue
        other.finalize()
        for name, task in list(other.tasks.items()):
            if name.startswith("celery.") or name in app.tasks:
                continue
            cls: Any = type(type(task).__name__, (type(task),), {"name": name, "__module__": type(task).__module__})
            cls.bind(app)
            app.tasks.register(cls())
            taken.append(name)
    return taken
