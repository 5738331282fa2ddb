"""Load the Lua operations and run them by hash, with one way back when the server has forgotten them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError, OutOfMemoryError

OPERATIONS: Final = (
    "submit_open", "submit_piece", "submit_seal", "claim", "commit", "renew", "begin", "expand", "settle", "wake",
    "reap", "pause", "cancel", "retry", "patch", "remove", "forget", "use", "steer", "cards", "complete", "reassign",
    "purge", "meter", "put", "told", "hold", "priority", "budget", "refuse", "edit", "reopen", "acknowledge",
)  # fmt: skip
LLM_OPERATIONS: Final = (
    "llm/acquire", "llm/begin", "llm/release", "llm/renew", "llm/cancel", "llm/withdraw", "llm/tick", "llm/adjust", "llm/status",
)  # fmt: skip
"""Operations on one account of LLM calls; their parts are in a folder of their own."""
CONTROL_OPERATIONS: Final = (
    "control/open", "control/close", "control/hold", "control/tell", "control/receivers", "control/give_up", "control/file_take", "control/file_put", "control/file_register",
)  # fmt: skip
"""Operations on commands and on the holds of the fleet."""
RELIEVING: Final = frozenset(
    {"commit", "renew", "reap", "cancel", "settle", "remove", "forget", "pause", "purge", "meter", "put", "told"}
)
"""Operations that free memory or end work; they must run even when Redis is full."""
_ALSO_RELIEVING: Final = (frozenset(LLM_OPERATIONS) - {"llm/acquire"}) | frozenset(CONTROL_OPERATIONS)
_INCLUDE: Final = re.compile(r"^--@include (\w+)$", re.MULTILINE)


@cache
def source(name: str, shebang: bool) -> str:
    """The whole Lua text of an operation, its parts put in place.

    With `shebang` (Redis 7 and later) Redis refuses a growing script before its first write when memory is full.
    """
    *inner, stem = name.split("/")
    folder = files("orchestrator.store").joinpath("lua", *inner)
    text = (folder / f"{stem}.lua").read_text("utf-8")
    body = _INCLUDE.sub(lambda found: (folder / "lib" / f"{found[1]}.lua").read_text("utf-8"), text)
    flags = " flags=allow-oom" if name in RELIEVING | _ALSO_RELIEVING else ""
    return f"#!lua{flags}\n{body}" if shebang else body


class Scripts:
    """The operations on one client. Safe to share between threads."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._loaded: dict[str, tuple[str, str]] = {}
        self._shebang: bool | None = None

    def _text(self, name: str) -> tuple[str, str]:
        loaded = self._loaded.get(name)
        if loaded is None:
            if self._shebang is None:
                self._shebang = self._major() >= 7
            text = source(name, self._shebang)
            loaded = self._loaded[name] = (hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), text)
        return loaded

    def _major(self) -> int:
        info = self.client.info("server")
        if "redis_version" not in info:  # a cluster answers for each of its servers
            info = next(iter(info.values()))
        return int(str(info["redis_version"]).split(".")[0])

    def run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The reply of one operation."""
        sha, text = self._text(name)
        try:
            return self.client.evalsha(sha, len(keys), *keys, *args)
        except NoScriptError:
            return self.client.eval(text, len(keys), *keys, *args)

    def put(self, command: str, key: str, *args: str | int) -> Any:
        """One bounded write - HSET, SET, ZADD or LPUSH - that goes through even when Redis is full."""
        try:
            return self.client.execute_command(command, key, *args)
        except OutOfMemoryError:
            return self.run("put", (key,), (0, command, *args))

    def batch(self, calls: Sequence[tuple[str, Sequence[str], Sequence[Any]]]) -> list[Any]:
        """The replies of several operations sent at once, in order; they are not one transaction."""
        if len(calls) == 1 or isinstance(self.client, RedisCluster):  # whose pipelines take no scripts
            return [self.run(*call) for call in calls]
        with self.client.pipeline(transaction=False) as pipe:
            for name, keys, args in calls:
                pipe.evalsha(self._text(name)[0], len(keys), *keys, *args)
            replies = pipe.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                replies[index] = self.run(*calls[index])
            elif isinstance(reply, Exception):
                raise reply
        return list(replies)
