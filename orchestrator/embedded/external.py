"""A Redis of the user's own, in place of the embedded server: all the stack has to know is whether it answers."""

from __future__ import annotations


def check_reachable(url: str) -> None:
    """Ask once, before workers are started that would wait for it. Raises RedisNotReachable, BadRedisUrl."""
    from orchestrator.store.connection import ConnectionFailed, open_client, unreachable

    client = open_client(url)
    try:
        client.ping()
    except ConnectionFailed as error:
        raise unreachable(url, error) from None
    finally:
        client.close()
