"""A minute of the commonest faults on real processes; `make chaos` has all of them, for as long as you like."""

from __future__ import annotations

import sys
from typing import Final

import pytest

from chaos import driver, report
from chaos.catalogue import FAULTS
from chaos.fault import Fault
from chaos.world import LEASE_SECONDS
from orchestrator.settings import Settings

SEED: Final = 11
SECONDS: Final = 35.0
SMOKE: Final = (
    "SIGKILL of a pool child",
    "SIGKILL of a worker",
    "SIGKILL of a pool child before commit",
    "SIGKILL of a pool child after commit",
    "SIGKILL of a worker after claim",
    "SIGSTOP of a whole worker past its lease",
    "Warm shutdown of a worker",
    "SIGKILL of the beat that ticks",
    "kill -9 of Redis, restart on its append-only file",
    "SCRIPT FLUSH",
    "Connections reset",
    "Replies cut after the server acted",
    "Duplicate submissions: same id",
)
MARGIN_SECONDS: Final = 15.0
"""On top of the published bound, for a machine that is busy with other things."""


def named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the children of a process are found in /proc")
@pytest.mark.timeout(420)
def test_goals_survive_a_minute_of_faults() -> None:
    run = driver.run(SEED, SECONDS, [named(name) for name in SMOKE], tasks=False, workers=3)
    found = report.result([run])
    print(report.table(found))
    assert run.violations == []
    assert sum(row["count"] for row in found["faults"]) >= 5
    assert run.nodes > 50
    bound = LEASE_SECONDS + 2 * Settings().reap_seconds + MARGIN_SECONDS
    late = {row["name"]: row["max"] for row in found["faults"] if row["max"] is not None and row["max"] > bound}
    assert late == {}
