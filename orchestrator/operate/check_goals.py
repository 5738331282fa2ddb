"""Goals that somebody must do something about, each with why; and lanes that stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from orchestrator.domain.views import Check
from orchestrator.operate.facts import FleetFacts
from orchestrator.operate.gather import Gather
from orchestrator.operate.reason import Level

if TYPE_CHECKING:
    from orchestrator.operate.operator import Operator

LOOKED_AT: Final = 100
"""Open goals that are asked why; those that beat must look at first come first."""
EVENTS: Final = 200
"""Of each, the latest ones: who paused it, since when a node waits."""
SHOWN: Final = 20
"""Goals that get a line."""
REASONS: Final = 3
"""Of one goal, in one line."""


def goal_checks(operator: Operator, goals: Mapping[str, Mapping[str, str]], fleet: FleetFacts) -> Iterator[Check]:
    """A line for each goal that waits for somebody or is stuck, the stuck ones first; and one for all."""
    gather = Gather(operator.store, EVENTS)
    found = []
    for name in list(goals)[:LOOKED_AT]:
        findings = operator.reasons(gather, gather.of_record(name, goals[name]), fleet)
        bad = [finding for finding in findings if finding.reason.level is not Level.ITSELF]
        if bad:
            broken = any(finding.reason.level is Level.BROKEN for finding in bad)
            texts = [
                (f"{finding.nodes[0]}: " if finding.nodes else "") + finding.reason.text
                + (f" (and {len(finding.nodes) - 1:,} more)" if len(finding.nodes) > 1 else "")
                for finding in bad[:REASONS]
            ]  # fmt: skip
            remedy = bad[0].reason.remedy + (f"; chordal why {name}" if len(bad) > 1 else "")
            found.append(Check(f"goal {name}", False if broken else None, "; ".join(texts), remedy))
    found.sort(key=lambda check: check.ok is None)
    yield from found[:SHOWN]
    rest = f"; {len(found) - SHOWN:,} more goals wait for somebody" if len(found) > SHOWN else ""
    part = f", of which the first {LOOKED_AT:,} were looked at" if len(goals) > LOOKED_AT else ""
    yield Check("goals", None if rest else True, f"{len(goals):,} open{part}{rest}", "chordal list" if rest else "")
