"""Connect to Redis by URL: a single server, TLS, a unix socket, Sentinel or Cluster."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from orchestrator.domain.errors import ChordalError, RedisNotReachable

SOCKET_TIMEOUT_SECONDS: Final = 5.0
RETRIES: Final = 4

ConnectionFailed: Final = (redis.ConnectionError, redis.TimeoutError)
"""What a call raises when Redis is away. Scripts may be sent again: each is idempotent or recognises a repetition."""
LockLost: Final = redis.exceptions.LockError
"""What redbeat's lock raises when another beat has it, or when it ran out while this one stood still."""


class BadRedisUrl(ChordalError):
    """The Redis URL is of no form that Chordal knows. Use redis://, rediss://, unix://, sentinel:// or cluster://."""


def _options() -> dict[str, Any]:
    return {
        "decode_responses": True,
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        "retry": Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.02), RETRIES),
        "health_check_interval": 30,
        "client_name": "chordal",
    }


def open_client(url: str) -> Any:
    """A redis-py client for the URL; it connects on first use.

    Sentinel: ``sentinel://host:26379;host2:26379/0?service=mymaster&password=...``. Cluster: ``cluster://host:7000``.
    Raises BadRedisUrl.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme in ("redis", "rediss", "unix"):
            return redis.Redis.from_url(url, **_options())
        if parts.scheme == "redis+socket":
            return redis.Redis.from_url("unix" + url.removeprefix("redis+socket"), **_options())
        if parts.scheme == "cluster":
            options = _options() | {"password": unquote(parts.password) if parts.password else None}
            options.pop("retry")
            return RedisCluster(host=parts.hostname or "127.0.0.1", port=parts.port or 6379, **options)
        if parts.scheme == "sentinel":
            return _sentinel(url)
    except ConnectionFailed as error:
        raise unreachable(url, error) from None
    except (ValueError, TypeError) as error:
        raise BadRedisUrl(f"{hide_password(url)}: {error}") from None
    raise BadRedisUrl(f"{hide_password(url)}: use redis://, rediss://, unix://, sentinel:// or cluster://")


def _sentinel(url: str) -> Any:
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
    client = _options() | {"db": int(path or 0)} | secret
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
