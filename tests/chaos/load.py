"""The load: random DAG goals from a seed, and what each of their nodes has to put out."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaos.work import MODULUS

SECONDS: Final = (0, 0, 0, 0.01, 0.05, 0.1, 0.3, 1.3)
"""Of a node; the last is longer than the lease under chaos, so it has to be renewed."""
TASK_SHARE: Final = 0.06
FLAKY_SHARE: Final = 0.05
WAIT_SHARE: Final = 0.03


@dataclass(frozen=True)
class Order:
    """A goal to submit."""

    goal: str
    document: Mapping[str, Any]
    expected: Mapping[str, int | str]
    """Outputs by node, of calls of models the text; timers have none."""


def make_goal(seed: int, serial: int, tasks: bool = True) -> Order:
    """The goal number `serial` of a run with this seed."""
    chance = random.Random(f"{seed}:load:{serial}")
    nodes, edges, expected = [], [], dict[str, int]()
    for index in range(chance.randrange(8, 45)):
        name = f"n{index}"
        if chance.random() < WAIT_SHARE:
            nodes.append({"id": name, "kind": "wait", "inputs": {"seconds": round(chance.uniform(0.1, 0.6), 2)}})
            continue
        few = chance.choice([0, 1, 1, 2, 3])
        parents = chance.sample(sorted(expected), min(len(expected), few))
        base = chance.randrange(MODULUS)
        inputs = {"base": base, "parents": [{"from": one} for one in parents], "seconds": chance.choice(SECONDS)}
        nodes.append({"id": name, "inputs": inputs, **_kind(chance, tasks)})
        edges += [{"source": one, "target": name} for one in parents]
        expected[name] = (base + sum(expected[one] for one in parents)) % MODULUS
    return Order(
        f"c{seed}-{serial}", {"goal_id": f"c{seed}-{serial}", "nodes": nodes, "edges": edges}, expected
    )  # fmt: skip


def _kind(chance: random.Random, tasks: bool) -> dict[str, Any]:
    draw = chance.random()
    if draw < TASK_SHARE:
        return {"kind": "task", "call": "chaos.add"} if tasks else {"call": "chaos.work:add"}
    if draw < TASK_SHARE + FLAKY_SHARE:
        return {"call": "chaos.work:flaky", "retries": 3, "backoff_seconds": 0.1}
    return {"call": "chaos.work:add"}
