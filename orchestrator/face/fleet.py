"""What the configurations of all runners ask of one fleet: settings, and the shape of its processes. No I/O here."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.app import DEFAULT_QUEUE
from orchestrator.face.config import MOST_TURNS_AT_ONCE, AgentWorkerConfig, MaintenanceWorkerConfig
from orchestrator.face.errors import UnsupportedOption

PROCESSES: Final = 2
"""Celery workers for nodes, so that one can die while work goes on."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The fleet that the runners need."""

    settings: Mapping[str, Any]
    """Settings that differ from what they were."""
    slots: int
    """Of each Celery worker for nodes and tools."""
    turns_at_once: int
    """Threads of the llm worker."""

    def commands(self, imports: Sequence[str] = (), queues: Sequence[str] = ()) -> list[str]:
        """Command lines that start this fleet, here or on other machines: variables first, then a worker of each kind, beat.

        `queues` are served besides the default one.
        """
        variables = dict(self.settings) | ({"imports": ",".join(imports)} if imports else {})
        exports = [
            f"export CHORDAL_{name.upper()}={shlex.quote(f'{value}')}" for name, value in sorted(variables.items())
        ]
        return [
            *exports,
            shlex.join(["celery", "-A", "orchestrator", "worker", "-c", f"{self.slots}", *serving(queues)]),
            f"celery -A orchestrator worker -Q llm -P threads -c {self.turns_at_once}",
            "celery -A orchestrator beat",
        ]


def serving(queues: Sequence[str]) -> tuple[str, ...]:
    """Options of a worker that serves these queues besides the default one."""
    return ("-Q", ",".join((DEFAULT_QUEUE, *queues))) if queues else ()


def shape_of(
    workers: Iterable[AgentWorkerConfig], upkeep: Iterable[MaintenanceWorkerConfig], known: Iterable[str] = ()
) -> Shape:
    """The fleet for these runners. Settings that are `known`, because the user chose them, stay as they are.

    Raises UnsupportedOption where two runners ask for different upkeep, or all of them for more turns than fit.
    """
    configs = list(workers) or [AgentWorkerConfig()]
    turns = sum(config.turns_at_once for config in configs)
    if turns > MOST_TURNS_AT_ONCE:
        raise UnsupportedOption(
            "AgentWorkerConfig.workers x batch_size, of all runners",
            f"{turns} turns at once are more than one llm worker's {MOST_TURNS_AT_ONCE} threads",
            "Start more llm workers on other machines: `celery -A orchestrator worker -Q llm -P threads`",
        )
    settings: dict[str, Any] = {"llm_max_concurrency": turns}
    for config in upkeep:
        for name, value in config.settings().items():
            if settings.setdefault(name, value) != value:
                raise UnsupportedOption(
                    "MaintenanceWorkerConfig", f"two runners want different values of {name}, which is the fleet's",
                    "Give all runners the same MaintenanceWorkerConfig",
                )  # fmt: skip
    stays = set(known)
    total = sum(config.workers for config in configs)
    return Shape(
        {name: value for name, value in settings.items() if name not in stays}, max(1, -(-total // PROCESSES)), turns
    )
