"""Goals drawn from the seed: DAGs with every sort of node, edge and join."""

from __future__ import annotations

from random import Random
from typing import Any, Final

FORMS: Final[tuple[dict[str, Any], ...]] = (
    {}, {}, {}, {"on": "failed"}, {"on": "finished"}, {"when": "v >= 2"}, {"when": "v < 2"},
)  # fmt: skip
KINDS: Final = ("work",) * 10 + (
    "plain",
    "timer",
    "signal",
    "approval",
    "approval",
    "task",
    "task",
    "map",
    "map",
    "goal",
    "agent",
    "agent",
)
SIGNAL: Final = "s"


def document(rng: Random, name: str, most: int = 9, nested: bool = False) -> dict[str, Any]:
    """A goal of up to `most` nodes."""
    if not nested and rng.random() < 0.2:
        return _line(rng, name)
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    chain = rng.random() < 0.3
    for index in range(rng.randint(1, most)):
        sources = rng.sample(range(index), rng.randint(0, min(index, 3)))
        if chain and index and rng.random() < 0.8:
            sources = [index - 1]
        forms, kinds = (FORMS[:1], KINDS[:1]) if chain and rng.random() < 0.8 else (FORMS, KINDS)
        edges += [{"source": f"n{one}", "target": f"n{index}", **rng.choice(forms)} for one in sorted(sources)]
        node = {"id": f"n{index}", **_kind(rng, rng.choice(kinds), nested)}
        if len(sources) > 1 and rng.random() < 0.4:
            node["join"] = rng.choice(["any", rng.randint(1, len(sources))])
        nodes.append(node | _options(rng, node))
    head: dict[str, Any] = {"goal_id": name, "nodes": nodes, "edges": edges}
    if any(node.get("kind") == "agent" for node in nodes) and rng.random() < 0.8:
        head["agents"] = [
            {"name": "talker", "queue": "gpu"},
            {"name": "other", "role": rng.choice(["other", "other", "other", "lead"])},
        ]
    if not nested and rng.random() < 0.08:
        head["deadline_seconds"] = rng.choice([2, 8])
    if not nested and rng.random() < 0.2:
        head["idempotency_key"] = f"key-{name}"
    return head


def _line(rng: Random, name: str) -> dict[str, Any]:
    """Plain nodes, one behind the other, which may run ahead of their commits."""
    nodes: list[dict[str, Any]] = [{"id": f"n{index}", "call": "work"} for index in range(rng.randint(4, 12))]
    for node in nodes:
        if rng.random() < 0.3:
            node |= {"retries": 1, "backoff_seconds": rng.choice([0, 0.2])}
    edges = [{"source": f"n{index}", "target": f"n{index + 1}"} for index in range(len(nodes) - 1)]
    return {"goal_id": name, "nodes": nodes, "edges": edges}


def _kind(rng: Random, kind: str, nested: bool) -> dict[str, Any]:
    if kind == "goal" and not nested:
        inner = document(rng, "inner", 3, nested=True)
        del inner["goal_id"]
        return {"kind": "goal", "goal": inner}
    kinds: dict[str, dict[str, Any]] = {
        "plain": {"title": "plain"},
        "timer": {"kind": "wait", "inputs": {"seconds": rng.choice([0, 0.3, 2])}},
        "signal": {"kind": "wait", "inputs": {"signal": SIGNAL}},
        "approval": {"kind": "approval"},
        "agent": {"kind": "agent", "agent": "talker"},
        "task": {"kind": "task", "call": "user.task"},
        "map": {"kind": "map", "call": "work", "inputs": {"items": list(range(rng.randint(0, 4)))},
                "each": rng.choice(["python", "python", "task"])},
    }  # fmt: skip
    return kinds.get(kind, {"call": "work"})


def _options(rng: Random, node: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if rng.random() < 0.2:
        found["lane"] = "l"
    if rng.random() < 0.2 and node.get("kind") not in ("task", "map"):
        found["queue"] = "gpu"
    if rng.random() < 0.4 and node.get("kind") not in ("wait", "approval"):
        found |= {"retries": rng.randint(1, 2), "backoff_seconds": rng.choice([0, 0.2])}
    if rng.random() < 0.1:
        found["lease_seconds"] = 1
    if rng.random() < 0.06 and node.get("kind") != "map":
        found["timeout_seconds"] = rng.choice([0.5, 3])
    return found


def patch(rng: Random, one: str, other: str, serial: str) -> dict[str, Any]:
    """A change of the plan around two nodes: a new node, one dropped, an edge added or cut."""
    new = {"id": f"p{serial}", "call": "work"}
    changes: list[dict[str, Any]] = [
        {"add_nodes": [new], "add_edges": [{"source": one, "target": new["id"]}]},
        {"add_nodes": [new], "add_edges": [{"source": one, "target": new["id"], "on": "failed"}]},
        {"add_nodes": [new], "add_edges": [{"source": new["id"], "target": other}]},
        {"drop_nodes": [one]},
        {"add_edges": [{"source": one, "target": other}]},
        {"drop_edges": [(one, other)]},
    ]
    return rng.choice(changes)
