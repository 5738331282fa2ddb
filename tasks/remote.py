"""Celery remote control: `celery inspect chordal_leases`, `chordal_status`; `celery control chordal_drain`, `chordal_undrain`.

They run in a worker's main process, whatever its pool, and answer within the second that `celery inspect` waits.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from celery.worker.control import control_command, inspect_command

from orchestrator.domain.command import Door
from orchestrator.domain.verbs import Verb
from orchestrator.store.connection import ConnectionFailed, hide_password

from . import draining
from .parts import chordal

log = logging.getLogger(__name__)

MOST_GOALS: Final = 1000
MOST_NODES: Final = 200
"""Of a goal."""

_left: list[str] = []
"""The queues that a drained worker took messages from."""


@inspect_command()
def chordal_leases(state: Any) -> Any:
    """The nodes that this worker holds, from Redis."""
    store, mine = chordal().store, f"{state.hostname}/"
    try:
        now = store.goals.clock_ms()
        goals = store.look.open_goals(now, MOST_GOALS)
        held = [one for one in store.look.holdings(goals, MOST_NODES) if one.worker.startswith(mine)]
    except ConnectionFailed as error:
        return {"error": f"Redis is away: {error}"}
    return [
        {"goal": one.goal, "node": one.node, "token": one.token, "worker": one.worker,
         "expires_in": round((one.until_ms - now) / 1000, 3)}
        for one in held
    ]  # fmt: skip


@inspect_command()
def chordal_status(state: Any) -> Any:
    """What this worker is, whether it reaches Redis, and whether it is being drained."""
    one, pool = chordal(), state.consumer.pool
    try:
        one.store.fleet.ping()
        redis = "reachable"
    except ConnectionFailed as error:
        redis = f"away: {error}"
    return {
        "pool": type(pool).__module__.rpartition(".")[2],
        "slots": pool.num_processes or 1,
        "queues": sorted(state.app.amqp.queues.consume_from),
        "draining": draining.is_draining(),
        "redis": redis,
        "redis_url": hide_password(one.store.url),
        "imports": list(one.settings.imports),
        "receivers": sorted(one.notify.mine()),
    }


@control_command(args=[("reason", str)], signature="[reason]")
def chordal_drain(state: Any, reason: str = "", sender: str = "", **_: Any) -> Any:
    """Take no new node; what runs finishes. Lasts until chordal_undrain or the worker's end."""
    refused = _refusal(Verb.STOP, "chordal_drain", sender)
    if refused:
        return {"error": refused}
    changed = draining.drain(True)
    if changed:
        _left[:] = [queue.name for queue in state.consumer.task_consumer.queues]
        for name in _left:
            state.consumer.call_soon(state.consumer.cancel_task_queue, name)
    _note("DRAIN", state.hostname, reason, sender, "drained" if changed else "unchanged")
    return {"ok": "it takes no new node; what runs finishes" if changed else "it was being drained already"}


@control_command(args=[("reason", str)], signature="[reason]")
def chordal_undrain(state: Any, reason: str = "", sender: str = "", **_: Any) -> Any:
    """Take new nodes again, after chordal_drain."""
    refused = _refusal(Verb.RELEASE, "chordal_undrain", sender)
    if refused:
        return {"error": refused}
    changed = draining.drain(False)
    if changed:
        for name in _left:
            state.consumer.call_soon(state.consumer.add_task_queue, name)
        _left.clear()
    _note("UNDRAIN", state.hostname, reason, sender, "undrained" if changed else "unchanged")
    return {"ok": "it takes new nodes again" if changed else "it was not being drained"}


def _refusal(verb: Verb, what: str, sender: str) -> str:
    """Why the policy does not let this sender drain a worker, or ''. Draining one is a small STOP."""
    policy = chordal().commands.policy
    if verb in policy.allowed(Door.CELERY, sender):
        return ""
    by = f"{Door.CELERY}:{sender}" if sender else Door.CELERY.value
    return f"{by} may not {what}: it needs {verb} by the policy ({policy.said})"


def _note(what: str, worker: str, reason: str, sender: str, outcome: str) -> None:
    """Write it into the audit trail. Without Redis it is in the worker's log alone."""
    log.warning("%s of %s by remote control: %s%s", what, worker, outcome, f" ({reason})" if reason else "")
    entry = {"command_id": "", "command": what, "target": f"worker {worker}", "door": Door.CELERY.value, "sender": sender,
             "reason": reason[:1000], "outcome": outcome, "code": "200", "message": "", "receivers": "1"}  # fmt: skip
    try:
        chordal().store.control.close("", "", chordal().settings.audit_limit, entry)
    except ConnectionFailed as error:
        log.warning("Redis is away (%s); the audit trail does not say so", error)
