"""The client of one repetition, a process of its own: first node, warm-up, then every workload; one JSON line a figure.

    python -m bench.client bench.chordal_client '{"chain": 200, ...}' 1700000000.0

The last argument is when the system's processes were started, seconds since the epoch. Peers run this in environments of
their own: it and what it imports need nothing but Python.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Final, Protocol

LIMIT_SECONDS: Final = 300.0
BUDGET_SECONDS: Final = 12.0
"""Once the rounds of a workload have taken this long no further one begins: slow systems are measured less often."""
END: Final = "end"
"""The last line: everything was measured, and the process waits until its memory has been looked at."""

Rows = Mapping[tuple[str, str], Callable[[], float | None]]
"""(row, workload) to what runs it once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of the workloads, and how often each is measured after its warm-up."""

    chain: int = 200
    fan: int = 1000
    dag: int = 1000
    layers: int = 20
    rounds: int = 3

    def nodes(self, workload: str) -> int:
        """How many nodes a workload has."""
        return {"chain": self.chain, "fan": self.fan + 1, "dag": self.dag, "cold": 1}[workload]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. Seconds from the call of the client to the moment it knew of the end."""

    row: str
    workload: str
    nodes: int
    seconds: float
    run_seconds: float | None = None
    """From the first moment the goal could run to its last commit, by the server's clock; without submission."""


class Client(Protocol):
    """One system, seen from a program that uses it. Every method ends when the work has ended."""

    def first(self) -> None:
        """One node, right after the start."""

    def settle(self) -> None:
        """Wait until the fleet is as it will stay."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload, once for each way in which the system is measured."""


def measure(client: Client, plan: Plan, started: float) -> Iterator[Figure]:
    """Every figure of one repetition; each workload runs once unmeasured first."""
    client.first()
    cold = time.time() - started
    rows = client.rows(plan)
    yield Figure(next(iter(rows))[0], "cold", 1, cold)
    client.settle()
    for (row, workload), run in rows.items():
        run()
        end = time.monotonic() + BUDGET_SECONDS
        for number in range(plan.rounds):
            if number and time.monotonic() > end:
                break
            begun = time.perf_counter()
            inner = run()
            yield Figure(row, workload, plan.nodes(workload), time.perf_counter() - begun, inner)


def main() -> None:
    """Measure as the arguments say. The module has a context manager `opened` that gives a Client."""
    module, sizes, started = sys.argv[1:]
    with import_module(module).opened() as client:
        for figure in measure(client, Plan(**json.loads(sizes)), float(started)):
            print(json.dumps(asdict(figure)), flush=True)
        print(json.dumps(END), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
