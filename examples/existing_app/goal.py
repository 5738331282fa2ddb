"""The goal that `chordal run examples/existing_app` runs: tasks of the shop's own Celery app as nodes."""

from __future__ import annotations

from typing import Any


def goal(log: str = "shop.log") -> dict[str, Any]:
    """Price two items, reserve them, write the invoice."""
    nodes = [
        {"id": "tea", "kind": "task", "call": "shop.price", "inputs": {"item": "tea", "amount": 2}, "queue": "shop"},
        {"id": "cup", "kind": "task", "call": "shop.price", "inputs": {"item": "cup", "amount": 1}, "queue": "shop"},
        {
            "id": "reserve",
            "kind": "task",
            "call": "shop.reserve",
            "inputs": {"item": "tea", "amount": 2, "log": log},
            "queue": "shop",
        },
        {
            "id": "invoice",
            "kind": "task",
            "call": "shop.invoice",
            "inputs": {"tea": {"from": "tea"}, "cup": {"from": "cup"}, "log": log},
            "queue": "shop",
        },
    ]
    edges = [("tea", "invoice"), ("cup", "invoice"), ("reserve", "invoice")]
    return {
        "title": "An order",
        "nodes": nodes,
        "edges": [{"source": source, "target": target} for source, target in edges],
    }
