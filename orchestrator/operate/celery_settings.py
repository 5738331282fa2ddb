"""Settings of Celery that a promise depends on, and what breaks where somebody set them otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.app import configuration
from orchestrator.settings import Settings

PROMISES: Final[Mapping[str, str]] = {
    "task_acks_late": "a message that is taken before its work is done is lost with its worker",
    "task_reject_on_worker_lost": "the message of a worker that died would run a second time, beside the lease's own recovery",
    "worker_cancel_long_running_tasks_on_connection_loss": "running tasks are lost when Redis is away for a moment",
    "worker_prefetch_multiplier": "messages wait behind a long node in one worker while another is idle",
    "accept_content": "a message could be code (pickle)",
    "result_accept_content": "a result could be code (pickle)",
    "task_serializer": "messages must be JSON",
    "result_serializer": "results must be JSON",
    "result_backend": "tasks of goals would not be committed when they end",
    "worker_consumer": "one message that cannot be read ends the worker",
    "beat_scheduler": "beat would not do its duties",
    "task_always_eager": "tasks run where they are sent, not on workers",
    "task_ignore_result": "tasks of goals would not be committed when they end",
}
"""Settings that must stay as `orchestrator.app` sets them, and what breaks else."""
_BY_CELERY: Final[Mapping[str, Any]] = {"task_always_eager": False, "task_ignore_result": False}
LEAST_VISIBILITY: Final = 600


def settings_faults(app: Any, settings: Settings, prefetch: int = 1) -> list[str]:
    """What is set otherwise than the promises need, each with what breaks; `prefetch` as a worker's command line says."""
    wanted = configuration(settings) | dict(_BY_CELERY)
    found = []
    for name, harm in PROMISES.items():
        value = app.conf.get(name)
        if _plain(value) != _plain(wanted[name]):
            shown = "another one" if name == "result_backend" else repr(value)
            found.append(f"{name} is {shown}: {harm}")
    if prefetch != 1:
        found.append(f"--prefetch-multiplier is {prefetch}: {PROMISES['worker_prefetch_multiplier']}")
    visible = (app.conf.get("broker_transport_options") or {}).get("visibility_timeout", 3600)
    if visible < LEAST_VISIBILITY:
        found.append(f"visibility_timeout is {visible}: longer tasks of yours would run twice at once")
    return found


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | tuple | set | frozenset) else value
