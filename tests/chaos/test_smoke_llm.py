"""Half a minute of faults on real processes while goals call models; `make chaos ARGS=--models` has all of them."""

from __future__ import annotations

import sys
from typing import Final

import pytest

from chaos import driver, faults_llm, report
from chaos.faults_redis import FAULTS as REDIS_FAULTS

SEED: Final = 5
SECONDS: Final = 25.0
SHARED: Final = ("kill -9 of Redis, restart on its append-only file", "Restart of Redis")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the children of a process are found in /proc")
@pytest.mark.timeout(420)
def test_calls_of_models_survive_half_a_minute_of_faults() -> None:
    pytest.importorskip("openai")
    faults = [*faults_llm.FAULTS, *(fault for fault in REDIS_FAULTS if fault.name in SHARED)]
    run = driver.run(SEED, SECONDS, faults, workers=1, callers=2)
    found = report.result([run])
    print(report.table(found))
    assert run.violations == []
    assert sum(row["count"] for row in found["faults"]) >= 4
    assert run.nodes > 20
    assert [row["name"] for row in found["faults"] if row["exits"]] == [], "no worker ends by itself"
