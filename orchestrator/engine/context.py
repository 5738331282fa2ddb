"""What a running node may know about itself."""

from __future__ import annotations

from contextvars import ContextVar

from orchestrator.domain.lease import Lease

_CURRENT: ContextVar[Lease | None] = ContextVar("chordal_lease", default=None)


def current() -> Lease | None:
    """The lease under which the calling function runs, or None outside a node.

    Its `token` rises along every path of the plan and with every attempt of a node: a system that remembers the highest
    token it has seen from these can refuse an older writer. `goal` and `node` together make an idempotency key.
    """
    return _CURRENT.get()


def enter(lease: Lease | None) -> None:
    """What `current` answers from now on in this thread or greenlet: for work whose begin and end are called apart."""
    _CURRENT.set(lease)


def log_fields(worker: str) -> dict[str, str | int]:
    """What the log lines of the running node say of it; nothing outside a node."""
    lease = _CURRENT.get()
    if lease is None:
        return {}
    said: dict[str, str | int] = {"goal": lease.goal, "node": lease.node, "attempt": lease.attempt, "worker": worker}
    return said | {"trace": lease.trace} if lease.created else said


class running:
    """``with running(lease): ...`` sets what `current` answers."""

    __slots__ = ("_lease", "_token")

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._lease)

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)
