"""Loaded into the workers under chaos only: a process kills itself, or its worker, at an exact step of its work.

The driver arms it by a file, ``$CHAOS_ORDERS/<member>``, with an `Order`; the first process of that worker which comes to
the step takes the file away, notes its pid and the time in it, and strikes. Without the variable nothing is wrapped. The
product itself has no such hook.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from celery.worker.request import Request

from orchestrator.store.nodes import NodeStore

STEPS = ("claim", "commit", "begin", "renew")
"""Store operations of a worker; `ack` comes on top, in the worker's main process."""


def order_path(folder: Path, member: str) -> Path:
    """Where the order for a worker lies."""
    return folder / member


def place(folder: Path, member: str, moment: str, victim: str) -> Path:
    """Arm: at `moment` ("before commit", "after claim", ...) kill the `victim`, "child" or "main"."""
    path = order_path(folder, member)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"moment": moment, "victim": victim}))
    draft.rename(path)
    return path


def carried_out(path: Path) -> dict[str, Any] | None:
    """Who carried the order out: pid, main's pid, time (seconds since the epoch); None as long as nobody has."""
    try:
        return dict(json.loads(path.with_suffix(".done").read_text()))
    except FileNotFoundError:
        return None


def _strike(moment: str, path: Path) -> None:
    if not path.exists():
        return
    try:
        order = json.loads(path.read_text())
        if order["moment"] != moment:
            return
        path.rename(path.with_suffix(f".{os.getpid()}"))
    except (FileNotFoundError, json.JSONDecodeError):
        return  # another process of this worker was faster
    main = os.getpid() if moment.endswith("ack") else os.getppid()
    draft = path.with_suffix(".note")
    draft.write_text(json.dumps({"pid": os.getpid(), "main": main, "at": time.time()}))
    draft.rename(path.with_suffix(".done"))
    if order["victim"] == "main":
        os.kill(main, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(method: Callable[..., Any], step: str, path: Path) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        _strike(f"before {step}", path)
        answer = method(self, *args, **kwargs)
        _strike(f"after {step}", path)
        return answer

    return call


def install(folder: Path, member: str) -> None:
    """Wrap the steps of this process and of those it will fork."""
    path = order_path(folder, member)
    for step in STEPS:
        setattr(NodeStore, step, _wrapped(getattr(NodeStore, step), step, path))
    Request.acknowledge = _wrapped(Request.acknowledge, "ack", path)


if "CHAOS_ORDERS" in os.environ:
    install(Path(os.environ["CHAOS_ORDERS"]), os.environ["CHAOS_MEMBER"])
