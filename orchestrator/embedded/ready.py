"""Lets a worker say that it is ready, whatever its log says: loaded into it by `--include`, it makes a file.

Only the supervisor sets the variable, and only for processes that it started.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from orchestrator.embedded.roles import MARK_VARIABLE


def _mark(**_: Any) -> None:
    path = os.environ.get(MARK_VARIABLE)
    if path:
        Path(path).touch()


worker_ready.connect(_mark)
