"""The week in small: goals of every kind come and go, and leave nothing."""

from __future__ import annotations

from pathlib import Path

from orchestrator.engine.duty import BUDGET_SECONDS
from support.servers import server
from week.__main__ import at, text
from week.week import Plan, live


def test_a_thousand_goals_come_and_go_and_leave_nothing(tmp_path: Path) -> None:
    with server() as one:
        week = live(one.url, tmp_path, Plan(goals=1000, days=3.0, pace=15.0, hour=120.0))
    report = text(week)
    assert week.left == [], report
    assert week.violations == [], report
    assert week.submitted == 1000
    counted = week.totals
    ends = sum(counted[f"goals_{end}"] for end in ("done", "failed", "cancelled"))
    assert counted["goals_begun"] == ends - week.retried, f"every goal is counted, once for each end: {report}"
    for name in ("leases_lost", "keys_purged", "goals_entered", "nodes_done", "nodes_failed"):
        assert counted[name] > 0, f"nothing tested {name}: {report}"
    for duty, took in week.ticks.items():
        assert at(took, 0.99) < 5 * BUDGET_SECONDS, f"{duty}, on a machine however busy: {report}"
