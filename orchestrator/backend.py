"""User's own Celery tasks as nodes, unchanged: claimed before the body runs, committed where Celery counts a chord.

A message that stands for a node carries the goal as its group, a tiny chord as mark, and `goal:node:attempt` as its id.
`before_start` claims the node; the result backend's chord hook commits it.
"""

from __future__ import annotations

import importlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, Final

from celery import Celery, signals, states
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.exceptions import Ignore, Reject, Retry, WorkerLostError

from orchestrator.domain.lease import Lease
from orchestrator.engine.context import enter, log_fields
from orchestrator.engine.ends import Done, End, Failed, Parked, failed_by
from orchestrator.engine.kinds import TASK_RESEND_SECONDS
from orchestrator.engine.leases import Held
from orchestrator.logs import tell_running
from orchestrator.sender import MARK
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

log = logging.getLogger(__name__)

NOT_TO_RUN: Final = "it is {outcome} for the node {node!r} of goal {goal!r}; the task is not run"


@dataclass(slots=True)
class Hook:
    """Claims and commits nodes for the tasks of one app."""

    chordal: Chordal
    app: Celery
    held: dict[str, Held] = field(default_factory=dict)
    draining: Callable[[], bool] = bool
    """Whether this worker is to take no new node."""

    def begin(self, request: Any) -> None:
        """Claim the node of a task that is about to run. Raises Ignore when it must not run (a duplicate, a cancel)."""
        goal, node, attempt = _parts(request)
        if self.draining():
            raise Reject("this worker is being drained", requeue=True)
        if not isinstance(self.app.backend, _Hooked):
            raise Reject("result_backend is not Chordal's: nothing would commit this node", requeue=False)
        committer = self.chordal.committer
        lease_ms = int(self.chordal.settings.lease_seconds * 1000)
        outcome, lease, length = self.chordal.store.nodes.begin(
            goal, node, attempt, worker=committer.worker, nonce=secrets.token_hex(6), lease_ms=lease_ms,
            slots=committer.slots.json(),
        )  # fmt: skip
        if lease is None:
            log.warning(NOT_TO_RUN.format(outcome=outcome, node=node, goal=goal))
            raise Ignore(NOT_TO_RUN.format(outcome=outcome, node=node, goal=goal))
        self.chordal.store.goals.expect(goal, length)
        enter(lease)
        held = self.held[request.id] = self.chordal.keeper.hold(lease, length)
        # Celery has its limits as (hard, soft).
        limit = (request.timelimit or (None, None))[0]
        if limit is not None:
            # Only the prefork pool ends a task at Celery's limit; elsewhere its lease ends here and it is fenced.
            held.deadline = time.monotonic() + limit
            held.on_overdue = partial(self._overdue, request.id, goal, node, limit)

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
        request = SimpleNamespace(id=task_id, timelimit=None)
        try:
            self.begin(request)
        except Ignore:
            return
        near = get_close_matches(name, known, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        mine = ", ".join(sorted(task for task in known if not task.startswith(("celery.", "tasks."))))
        error = f"worker {self.chordal.committer.name} knows no Celery task {name!r} (it knows: {mine or 'none of yours'}){hint}"
        self._commit(request, Failed("unknown task", f"no Celery task {name!r}: {error}", final=True))

    def _overdue(self, task_id: str, goal: str, node: str, limit: float) -> None:
        held = self.held.pop(task_id, None)
        if held is not None:
            log.error("%s in %s did not stop at its time limit", node, goal)
            failure = Failed("timeout", f"it ran longer than its time limit of {limit:g} s and did not stop")
            self.chordal.committer.finish(held.lease, failure, held)

    def ended(self, request: Any, state: str, retval: Any) -> None:
        """After every task: what Celery tells no backend of, such as a retry of a task without results, or `Ignore`."""
        if request.id not in self.held:
            return  # committed by the chord hook
        if isinstance(retval, Retry):
            self.wait_for_retry(request, retval)
        elif state == states.SUCCESS:  # Celery could not reach its result backend, which is no fault of the task
            self._commit(request, Done(retval))
        elif isinstance(retval, BaseException) and state == states.FAILURE:
            self._commit(request, failed_by(retval))
        elif state:
            self._commit(request, Failed("error", f"the task ended with {state} and no result", final=True))
        else:
            log.warning("the task %s ended without a state; its lease runs out", request.id)
            self.chordal.keeper.drop(self.held.pop(request.id))

    def wait_for_retry(self, request: Any, retry: Retry) -> None:
        """The task retries by itself: its node waits for that message, and is sent again only if it never comes."""
        when = retry.when
        if isinstance(when, datetime):
            now = datetime.now(when.tzinfo or UTC)
            seconds = ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()
        else:
            seconds = float(when or 0)
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
        self.chordal.committer.finish(lease, end, held, retrying)

    def _lease_of(self, goal: str, node: str, attempt: int) -> Lease | None:
        """The lease as stored, if this worker took it for this attempt.

        Time limits are reported by the worker's main process, which did not claim. A lease that another worker holds by
        now, or this one for another attempt, is not for this task to end.
        """
        record = self.chordal.store.nodes.states(goal, [node])[0]
        holder = self.chordal.store.nodes.holder(goal, node)
        if holder is None or record.get("attempt") != str(attempt):
            return None
        token, nonce, worker = holder
        mine = worker.startswith(f"{self.chordal.committer.name}/")
        return Lease(goal, node, token, nonce, attempt) if mine else None


class _Hooked:
    """Commits nodes where Celery would count a chord."""

    app: Any

    def on_chord_part_return(self, request: Any, state: str, result: Any, propagate: Any = None, **kwargs: Any) -> Any:
        """A task ended. Chords of other messages are counted as ever."""
        if is_node(request):
            return hook_of(self.app).finish(request, state, result)
        return super().on_chord_part_return(request, state, result, propagate, **kwargs)  # type: ignore[misc]


class Backend(_Hooked, RedisBackend):
    """Celery's Redis result backend with our hook."""


class BehindSentinel(_Hooked, SentinelBackend):
    """Celery's Sentinel result backend with our hook."""


@signals.task_postrun.connect(weak=False)
def _task_ended(task: Any, retval: Any, state: str, **_: Any) -> None:
    if is_node(task.request):
        hook_of(task.app).ended(task.request, state, retval)
        enter(None)


_hooks: dict[int, Hook] = {}


def hook_of(app: Celery) -> Hook:
    """The hook of an app; made on first use."""
    if id(app) not in _hooks:
        _hooks[id(app)] = Hook(_connected(), app)
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
    _hooks[id(app)] = Hook(chordal, app)
    if not isinstance(app.backend, _Hooked):
        log.warning("task nodes cannot run here: result_backend is not Chordal's, so nothing would commit them")
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
    from orchestrator.app import result_backend_url

    chordal = connect(settings)
    app.conf.result_backend = result_backend_url(chordal.settings)

    def take(sender: str, instance: Any, **_: Any) -> None:
        if instance.app is app:
            chordal.committer.name = sender
            guard_all(app, chordal)
            tell_running(lambda: log_fields(chordal.committer.worker))

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
