"""`chordal doctor --history` on a real server, and the checker on a large goal."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli.main import chordal
from orchestrator.domain.errors import GoalNotFound
from orchestrator.events.check import check_goal, examine_goal
from orchestrator.events.violation import INVARIANTS
from orchestrator.store.records import Outcome, Result
from orchestrator.store.store import Store
from support.sim import Sim, row
from support.tale import goal


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_nodes_are_checked_in_pages(store: Store) -> None:
    """Chains of ten, run in packs; the answers of Redis stay small, and so does what is kept of each node."""
    sim = Sim(store)
    rows = (
        row(f"n{at}", [f"n{at - 1}"] if at % 10 else [], f"n{at + 1}" if at % 10 != 9 else "") for at in range(100_000)
    )
    sim.submit_rows(rows)
    claims = sim.claim(most=1000)
    while claims:
        step = sim.commit(*(Result(one.lease, Outcome.DONE, '{"a":1}') for one in claims), most=1000)
        claims = list(step.claims)
    assert sim.state == "DONE"
    tracemalloc.start()
    report = examine_goal(store, "g")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (report.events, report.violations) == (200_003, ())
    assert peak < 2000 * 100_000, f"{peak / 100_000:.0f} bytes a node"
    store.client.hset("task:{g}:n77777", "state", "READY")
    assert {(one.invariant, one.node) for one in check_goal(store, "g")} >= {("I1", "n77777"), ("I12", "")}


def doctor(store: Store, *words: str) -> Any:
    return CliRunner().invoke(chordal, ["--redis-url", store.url, "doctor", *words])


def test_the_command_checks_a_goal(store: Store) -> None:
    goal(store)
    clean = doctor(store, "--history", "g")
    assert clean.exit_code == 0, clean.output
    assert [line.split()[1] for line in clean.stdout.splitlines() if not line.startswith("   ")] == list(INVARIANTS)
    assert "-       I7   live LLM permits never exceed the limits (not applicable: no LLM permit" in clean.stdout
    store.client.hincrby("dag:{g}", "left", 1)
    broken = doctor(store, "--history", "g")
    assert broken.exit_code == 1
    assert "FAILED  I12" in broken.stdout
    assert "I12: left is 8, a recount gives 7" not in clean.stdout
    said = json.loads(doctor(store, "--history", "g", "--json").stdout)
    verdicts = {one["id"]: one["verdict"] for one in said["invariants"]}
    assert verdicts == {
        **dict.fromkeys(INVARIANTS, "ok"), "I7": "not applicable", "I9": "not applicable", "I12": "violated",
    }  # fmt: skip
    assert (said["goal"], said["events"]) == ("g", len(Sim(store).events()))


def test_the_command_says_when_there_is_no_such_goal(store: Store) -> None:
    with pytest.raises(GoalNotFound):
        check_goal(store, "ghost")
    assert doctor(store, "--history", "ghost").exit_code == 2
    assert json.loads(doctor(store, "--history", "ghost", "--json").stdout)["error"]["type"] == "GoalNotFound"
