"""Log lines as JSON, one object a line, for workers and beat (`CHORDAL_LOG_JSON`); else Celery's own console format."""

from __future__ import annotations

import logging
from typing import Any

import structlog


def json_formatter() -> logging.Formatter:
    """A formatter for the standard library's records: `timestamp` (ISO 8601, UTC), `level`, `logger`, `event`, `exception`."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )


def write_json(logger: logging.Logger, **_: Any) -> None:
    """Let every handler of a logger write JSON; a receiver of Celery's `after_setup_logger`."""
    for handler in logger.handlers:
        handler.setFormatter(json_formatter())
