"""Loaded into the workers of the agents' kill test only: a process kills itself at an exact point of a turn.

As `chaos.kill_at`, but a point is a step on certain nodes: the order names them by a pattern, so that "before the commit"
can be that of an agent's first step, of its turn or of one of its tools. Without the environment's folder nothing is wrapped.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

from orchestrator.agents.tools.toolbox import tool
from orchestrator.gate.place import Place
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.providers import Providers
from orchestrator.store.nodes import NodeStore

FOLDER = os.environ.get("KILL_TURN_ORDERS", "")
MEMBER = os.environ.get("KILL_TURN_MEMBER", "")


def place_order(folder: Path, member: str, moment: str, nodes: str, victim: str = "child") -> Path:
    """Arm: the first process of that worker that comes to the moment on a node like these kills itself, or its main."""
    path = folder / member
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"moment": moment, "nodes": nodes, "victim": victim}))
    draft.rename(path)
    return path


def struck(path: Path) -> bool:
    """Was the order carried out?"""
    return path.with_suffix(".done").exists()


def strike(moment: str, nodes: Iterable[str]) -> None:
    """Carry out the order if this is the moment."""
    path = Path(FOLDER) / MEMBER
    if not FOLDER or not path.exists():
        return
    try:
        order = json.loads(path.read_text())
        if order["moment"] != moment or not any(re.fullmatch(order["nodes"], node) for node in nodes):
            return
        path.rename(path.with_suffix(f".{os.getpid()}"))
    except (FileNotFoundError, json.JSONDecodeError):
        return  # another process of this worker was faster
    path.with_suffix(".done").write_text(str(time.time()))
    if order["victim"] == "main":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _around(owner: Any, name: str, step: str, nodes: Callable[..., list[str]], found: Any = None) -> None:
    """Strike before and after a method; `nodes` names those of its arguments, `found` those of its answer."""
    method = getattr(owner, name)

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        named = nodes(*args, **kwargs)
        strike(f"before {step}", named)
        answer = method(*args, **kwargs)
        strike(f"after {step}", named)
        if found is not None:
            strike("after claim", found(answer))
        return answer

    setattr(owner, name, call)


def _claimed(step: Any) -> list[str]:
    return [claimed.lease.node for claimed in step.claims]


def install() -> None:
    """Wrap the steps of this process and of those it will fork."""
    _around(NodeStore, "claim", "claiming", lambda *_, hint="", **__: [hint], _claimed)
    _around(NodeStore, "commit", "commit", lambda _, __, done, **___: [one.lease.node for one in done], _claimed)
    _around(NodeStore, "begin_parked", "begin", lambda _, __, node, *___, **____: [node])
    _around(Limiter, "take_up", "permit", lambda _, __, name, *___, **____: [Place.of(name).node])
    _around(Providers, "send", "send", lambda *_: ["call"])


def look(word: str, seconds: float = 0.0) -> str:
    """Look a word up."""
    strike("in the tool", [word])
    with (Path(os.environ["KILL_TURN_FOLDER"]) / "ran").open("a") as file:
        file.write(f"{word}\n")
    time.sleep(seconds)
    return f"{word} is bright"


if FOLDER:
    tool(look)
    install()
