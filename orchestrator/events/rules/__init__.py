"""The invariants as rules over events, one module an idea."""

from __future__ import annotations

from typing import Final

from orchestrator.events.rules.attempts import Attempts
from orchestrator.events.rules.commands import Commands
from orchestrator.events.rules.commits import Fence, OneCommit
from orchestrator.events.rules.ends import OneEnd, OneRun
from orchestrator.events.rules.joins import Inputs, Joins
from orchestrator.events.rules.lanes import Lanes
from orchestrator.events.rules.leases import Leases
from orchestrator.events.rules.permits import Permits
from orchestrator.events.rules.rule import Rule
from orchestrator.events.rules.stops import Stops
from orchestrator.events.rules.turns import Turns

RULES: Final[tuple[type[Rule], ...]] = (
    OneCommit, OneEnd, Joins, Inputs, Leases, Lanes, Permits, Stops, Commands, OneRun, Attempts, Fence,
    Turns,
)  # fmt: skip
"""Every rule, in the order of the invariants."""
