"""Every fault there is, in the order of the published matrix."""

from __future__ import annotations

from typing import Final

from chaos import (
    faults_beat,
    faults_input,
    faults_network,
    faults_process,
    faults_redis,
    scenarios_failover,
    scenarios_host,
)
from chaos.fault import Described, Fault, Scenario

FAULTS: Final[tuple[Fault, ...]] = (
    *faults_process.FAULTS,
    *faults_beat.FAULTS,
    *faults_redis.FAULTS,
    *faults_network.FAULTS,
    *faults_input.FAULTS,
)
SCENARIOS: Final[tuple[Scenario, ...]] = (*scenarios_failover.SCENARIOS, *scenarios_host.SCENARIOS)
EVERY: Final[tuple[Described, ...]] = (*FAULTS, *SCENARIOS)
