"""The first argument of every script on a goal."""

from __future__ import annotations

from orchestrator.domain.command import Order


def moment(now_ms: int | None, order: Order | None = None) -> int | str:
    """When to act (None: by the server's clock), and the order of the command that is carried out, if there is one."""
    at = "" if now_ms is None else now_ms
    return at if order is None else f"{at} {order.as_json()}"
