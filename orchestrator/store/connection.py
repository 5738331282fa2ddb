"""Connect to Redis by URL: a single server, TLS, a unix socket, Sentinel or Cluster."""

from __future__ import annotations

import socket
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from orchestrator.domain.errors import ChordalError, RedisForbids, RedisFull, RedisNotReachable, RedisRefuses

SOCKET_TIMEOUT_SECONDS: Final = 5.0
RETRIES: Final = 4
MOST_CONNECTIONS: Final = 64
"""Of one process to a single server; each has buffers of 64 kB and more."""

ConnectionFailed: Final = (redis.ConnectionError, redis.TimeoutError)
"""What a call raises when Redis is away. Scripts may be sent again: each is idempotent or recognises a repetition."""
MemoryFull: Final = redis.exceptions.OutOfMemoryError
"""What a write raises when Redis has no memory left. A script raises it before its first write."""
NotAllowed: Final = redis.exceptions.NoPermissionError
"""What a command raises that the connection's user may not give."""
Refused: Final = redis.exceptions.ResponseError
"""What Redis answers in place of a result. `takes_no_writes` tells those that go by themselves, or by an operator's hand."""
LockLost: Final = redis.exceptions.LockError
"""What redbeat's lock raises when another beat has it, or when it ran out while this one stood still."""


class BadRedisUrl(ChordalError):
    """The Redis URL is of no form that Chordal knows. Use redis://, rediss://, unix://, sentinel:// or cluster://."""


_KEEPALIVE: Final = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
"""A server that is gone without a word is noticed after about ten seconds."""


def _options(url: str, patient: bool) -> dict[str, Any]:
    if not patient:
        return _usual()
    # A blocking pop that is sent again behind a lost reply would hide what it popped: no retries.
    waiting: dict[str, Any] = {"socket_timeout": None, "health_check_interval": 0, "retry": Retry(NoBackoff(), 0)}
    if not url.startswith(("unix", "redis+socket")):
        waiting |= {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    return _usual() | waiting


def _usual() -> dict[str, Any]:
    return {
        "decode_responses": True,
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        "retry": Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.02), RETRIES),
        "health_check_interval": 30,
        "client_name": "chordal",
    }


def open_client(url: str, patient: bool = False) -> Any:
    """A redis-py client for the URL; it connects on first use. A `patient` one may block in a command without a time limit.

    Sentinel: ``sentinel://host:26379;host2:26379/0?service=mymaster&password=...``. Cluster: ``cluster://host:7000``.
    Raises BadRedisUrl.
    """
    parts = urlsplit(url)
    options = _options(url, patient)
    try:
        if parts.scheme == "redis+socket":
            url = "unix" + url.removeprefix("redis+socket")
        if url.startswith(("redis:", "rediss:", "unix:")):
            # Threads beyond this many wait for each other; redis-py's usual pool fails for the hundred and first.
            pool = redis.BlockingConnectionPool.from_url(
                url, max_connections=MOST_CONNECTIONS, timeout=SOCKET_TIMEOUT_SECONDS, **options
            )
            return redis.Redis.from_pool(pool)
        if parts.scheme == "cluster":
            options |= {"password": unquote(parts.password) if parts.password else None}
            options.pop("retry")
            return RedisCluster(host=parts.hostname or "127.0.0.1", port=parts.port or 6379, **options)
        if parts.scheme == "sentinel":
            return _sentinel(url, options)
    except ConnectionFailed as error:
        raise unreachable(url, error) from None
    except (ValueError, TypeError) as error:
        raise BadRedisUrl(f"{hide_password(url)}: {error}") from None
    raise BadRedisUrl(f"{hide_password(url)}: use redis://, rediss://, unix://, sentinel:// or cluster://")


def _sentinel(url: str, usual: dict[str, Any]) -> Any:
    rest = url.removeprefix("sentinel://")
    hosts, _, tail = rest.partition("/")
    path, _, query = tail.partition("?")
    options = {key: values[0] for key, values in parse_qs(query).items()}
    service = options.pop("service", "mymaster")
    pairs = []
    for part in hosts.split(";"):
        host, _, port = part.rpartition("@")[2].partition(":")
        pairs.append((host, int(port or 26379)))
    secret = {"password": options["password"]} if "password" in options else {}
    client = usual | {"db": int(path or 0), "max_connections": 10_000} | secret  # its pool knows no waiting
    sentinel: Any = Sentinel
    return sentinel(pairs, socket_timeout=0.5).master_for(service, **client)


def hide_password(url: str) -> str:
    """The URL as it may be printed: without its password."""
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, sep, login = head.partition("://")
    user, colon, _ = login.partition(":")
    return f"{scheme}{sep}{user}{':***' if colon else ''}@{tail}"


def unreachable(url: str, error: Exception | str) -> RedisNotReachable:
    """The error that says what was tried and how to start a Redis."""
    return RedisNotReachable(
        f"no Redis answers at {hide_password(url)} ({error}). Start one with `chordal up`, or "
        "`redis-server --appendonly yes`, and name it in CHORDAL_REDIS_URL"
    )


def full(url: str) -> RedisFull:
    """The error that says that Redis has no memory left, and what to do."""
    return RedisFull(
        f"Redis at {hide_password(url)} has no memory left; nothing was done. Raise its maxmemory, or shorten the TTLs "
        "(`chordal doctor` shows how much it uses)"
    )


def forbidden(url: str, error: Exception) -> RedisForbids:
    """The error that says what the user of the URL may not do."""
    return RedisForbids(
        f"the user of {hide_password(url)} may not do this: {error}. `chordal doctor` lists what is missing"
    )


_NO_WRITES: Final = ("MISCONF", "NOREPLICAS", "READONLY")


def takes_no_writes(error: Exception) -> bool:
    """Whether Redis refuses every write for now: it cannot save to its disk, is a replica, or has too few of them."""
    refused = isinstance(error, redis.exceptions.ReadOnlyError | RedisRefuses)
    return refused or (isinstance(error, Refused) and str(error).startswith(_NO_WRITES))


def is_away(error: Exception) -> bool:
    """Whether Redis does not answer or takes no writes: then what was begun is gone on with later."""
    return isinstance(error, (RedisNotReachable, *ConnectionFailed)) or takes_no_writes(error)


def refusing(url: str, error: Exception) -> RedisRefuses:
    """The error that says that Redis takes no writes."""
    why = str(error).rstrip(".")
    return RedisRefuses(
        f"Redis at {hide_password(url)} takes no writes; nothing was done: {why}. `chordal doctor` says what to do"
    )
