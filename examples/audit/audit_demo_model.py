"""Which model the demo calls, and how it is asked: the one that the environment names, else the local one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from audit_calls import Gauge
from audit_gauges import gauge_of
from orchestrator.cli.stack import model_is_configured
from orchestrator.embedded.errors import LocalModelMissing
from orchestrator.embedded.local_model import check_installed
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.profiles import Profiles
from orchestrator.settings import Settings

SETTLE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Model:
    """How the goal asks its model."""

    calls: int
    local: bool = False
    output_tokens: int = 80
    temperature: float | None = 0.0
    said: str = ""
    """What people are told."""


def choose_model(settings: Settings, calls: int) -> Model:
    """`calls` modules are written about; 0: no model is called."""
    if calls <= 0:
        return Model(0)
    if model_is_configured(settings):
        # Room for models that think first; and some of them take no temperature.
        return Model(calls, output_tokens=2000, temperature=None, said="model: the one that the environment names")
    try:
        check_installed()
    except LocalModelMissing as error:
        return Model(0, said=f"no abstract is written: {error}")
    return Model(calls, local=True, said="model: SmolLM2-135M on this machine, without a key and a network")


def accounts_of(profiles: Profiles) -> list[str]:
    """The accounts that the goal's calls may use."""
    return list(dict.fromkeys(profiles.models[name].account for name in profiles.chain("default")))


def last_gauge(limiter: Limiter, accounts: list[str], goal: str) -> Gauge:
    """The gauges once everything is settled, or as they are after a while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        gauge = gauge_of(limiter, accounts, goal)
        if not gauge.in_flight or time.monotonic() > deadline:
            return gauge
        time.sleep(0.05)
