"""The Celery app, `celery -A orchestrator`. Every Celery setting that a promise depends on stands here with its reason."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from celery import Celery
from celery.app.log import Logging

from orchestrator.embedded.records import running
from orchestrator.logs import dress, hide, secrets_in
from orchestrator.settings import Settings

DEFAULT_QUEUE: Final = "default"
BACKEND: Final = "orchestrator.backend:Backend"
SENTINEL_BACKEND: Final = "orchestrator.backend:BehindSentinel"
LOCAL_REDIS: Final = "redis://127.0.0.1:6379/0"


def redis_url(settings: Settings) -> str:
    """The state's Redis: the one that is configured, else the data directory's running stack, else the usual port."""
    if settings.redis_url:
        return settings.redis_url
    stack = running(settings.data_dir)
    return stack.redis_url if stack is not None else LOCAL_REDIS


def broker_url(settings: Settings) -> str:
    """Celery's broker: the one that is configured, else the state's Redis."""
    return settings.broker_url or state_url(settings)


def state_url(settings: Settings) -> str:
    """The state's Redis in the words of Celery's transports."""
    url = redis_url(settings)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return "redis+socket" + url.removeprefix("unix")
    if parts.scheme == "sentinel":
        hosts = url.removeprefix("sentinel://").partition("/")[0].split(";")
        return ";".join(f"sentinel://{host}" for host in hosts)
    if parts.scheme == "cluster":
        raise ValueError("a Redis Cluster cannot be a Celery broker: name another Redis in CHORDAL_BROKER_URL")
    return url


def result_backend_url(settings: Settings) -> str | None:
    """Our result backend: on the broker's server if that is Redis, else on the state's. None for a Cluster alone.

    Celery's Redis backend says `socket` where its transport says `redis+socket`.
    """
    broker = broker_url(settings)
    if not broker.startswith(("redis", "sentinel")):
        if redis_url(settings).startswith("cluster://"):
            return None
        broker = state_url(settings)
    if broker.startswith("sentinel"):
        return f"{SENTINEL_BACKEND}+{broker}"
    return f"{BACKEND}+{broker.replace('redis+socket://', 'socket://', 1)}"


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's settings for these settings of ours."""
    broker = broker_url(settings)
    transport: dict[str, Any] = {
        # Invitations are hints and recovery is by lease, so redelivery by visibility is only a last resort (and harmless).
        "visibility_timeout": 3600,
        # Four lists a queue, for the bands of goals' priorities (`sender.band`); inside a goal our scripts decide.
        "priority_steps": [0, 3, 6, 9],
        "queue_order_strategy": "priority",
        # redis-py's usual hundred would fail the acknowledgements of a worker with more greenlets than that.
        "max_connections": 10_000,
        "socket_keepalive": True,
    }
    if "sentinel://" in broker:
        query = urlsplit(settings.redis_url or "").query
        transport["master_name"] = dict(part.partition("=")[::2] for part in query.split("&") if part).get(
            "service", "mymaster"
        )
    return {
        "broker_url": broker,
        "broker_transport_options": transport,
        "broker_connection_retry_on_startup": True,
        "result_backend": result_backend_url(settings),
        "result_backend_transport_options": {"master_name": transport["master_name"]}
        if "master_name" in transport
        else {},
        "result_expires": 3600,
        "redis_max_connections": 10_000,
        # JSON everywhere: a message or a result can never be code.
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_default_queue": DEFAULT_QUEUE,
        # A worker holds what it runs and nothing more: a prefetched invitation would wait behind a long node.
        "worker_prefetch_multiplier": 1,
        "task_acks_late": True,
        # An invitation whose process died is not needed again: the lease brings its node back.
        "task_reject_on_worker_lost": False,
        # True (the default from Celery 6) lost the running task in every trial when Redis went away for a moment.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 3.0,
        # Sets aside what it cannot read; Celery's own ends the worker for some of it, and the next one on the same entry.
        "worker_consumer": "orchestrator.tasks.consumer:Consumer",
        "worker_hijack_root_logger": True,
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        "task_track_started": False,
        "control_queue_expires": 60.0,
        "event_queue_expires": 60.0,
        "imports": ("orchestrator.tasks", *settings.imports),
        "beat_scheduler": "orchestrator.beat.scheduler:Scheduler",
        # How often beat looks for entries of the user and prolongs its lock, at least; our duties have their own times.
        "beat_max_loop_interval": 2,
        "redbeat_redis_url": redis_url(settings),
        "redbeat_redis_options": {},  # the client is ours (beat.scheduler)
        "redbeat_lock_timeout": 6,
        "redbeat_key_prefix": f"{settings.key_prefix}redbeat:",
    }


class OurLogging(Logging):  # type: ignore[misc]  # celery ships no types
    """Celery's set-up of logging, with our format; for this app only, not for apps that it is attached to."""

    def setup_handlers(self, logger: logging.Logger, *args: Any, **kwargs: Any) -> Any:
        """Add a handler, unless the logger has some."""
        before = list(logger.handlers)
        made = super().setup_handlers(logger, *args, **kwargs)
        settings: Settings = self.app.chordal_settings
        style = "json" if settings.log_json else settings.log_style
        dress([one for one in logger.handlers if one not in before], style, "NO_COLOR" not in os.environ)
        return made


def _secrets(settings: Settings) -> list[str]:
    """What no log line may hold."""
    urls = (settings.redis_url, settings.broker_url)
    found = [unquote(password) for url in urls if url and (password := _password(url))]
    if settings.webhook_secret is not None:
        found.append(settings.webhook_secret.get_secret_value())
    return [*found, *secrets_in(os.environ)]


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def make_app(settings: Settings | None = None) -> Celery:
    """A Celery app for these settings, by default those of the environment."""
    settings = settings or Settings()
    # Modules named in CHORDAL_IMPORTS may lie in the current folder, as with Celery's own -A.
    here = str(Path.cwd())
    if settings.imports and here not in sys.path:
        sys.path.insert(0, here)
    logging.getLogger("redbeat").setLevel(logging.WARNING)
    made = Celery("orchestrator", set_as_current=False)
    made.config_from_object(configuration(settings))
    made.chordal_settings = settings
    made.log_cls = OurLogging
    hide(_secrets(settings))
    return made


app = make_app()
