"""What a run's events say, and that a run which lost something is caught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit_model import Audit, Scan
from audit_run import Outcome, RunEvent, RunRecord, attempts, critical_path, facts, map_of
from audit_scan import scan_tree
from audit_verify import recovery, verify
from support.audit_samples import audit_of, events, run_with_a_kill, write_tree


@pytest.fixture
def audited(tmp_path: Path) -> tuple[Scan, Audit]:
    write_tree(tmp_path, {"a.py": "", "b.py": "", "c.py": ""})
    return scan_tree(tmp_path, 10), audit_of(tmp_path)


def test_attempts_have_their_worker_and_their_end() -> None:
    found = {(one.node, one.number): one for one in attempts(run_with_a_kill())}
    assert found["modules", 1].outcome is Outcome.PARKED
    lost, again = found["modules.1", 1], found["modules.1", 2]
    assert (lost.outcome, lost.worker, lost.start, lost.end) == (Outcome.LOST, "w1@h/1", 1.0, 5.0)
    assert (again.outcome, again.worker, again.start, again.end) == (Outcome.DONE, "w2@h/2", 5.2, 6.0)
    assert len(found) == 8


def test_nodes_that_were_claimed_together_ran_one_after_the_other() -> None:
    history = events(
        (1.0, "node.claimed", "a", 1, "w"),
        (1.0, "node.claimed", "b", 1, "w"),
        (1.0, "node.claimed", "c", 1, "w"),
        (1.2, "node.done", "a", 1, "w"),
        (1.5, "node.done", "b", 1, "w"),
        (4.0, "node.lost", "c", 1, "w"),
    )
    record = RunRecord("g", "RUNNING", history, dict.fromkeys("abc", "DONE"), [])
    spans = [(one.node, one.start, one.end) for one in attempts(record)]
    assert spans == [("a", 1.0, 1.2), ("b", 1.2, 1.5), ("c", 1.5, 4.0)]


def test_a_claim_without_an_end_stays_open() -> None:
    record = RunRecord(
        "g", "RUNNING", events((1.0, "node.claimed", "a", 1, "w"), (2.0, "goal.paused", "", 0, "")), {}, []
    )
    (only,) = attempts(record)
    assert (only.outcome, only.end) == (Outcome.OPEN, 2.0)


def test_facts_of_a_run() -> None:
    found = facts(run_with_a_kill())
    assert (found.nodes, found.done, found.workers, found.attempts) == (6, 6, 2, 8)
    assert (found.lost, found.kills, found.retries) == (1, 1, 0)
    assert found.seconds == pytest.approx(6.9)
    assert found.busy_seconds == pytest.approx(0.3 + 0.1 + 0.8 + 0.5 + 0.8 + 0.1 + 0.5)


def test_the_critical_path_goes_through_the_item_that_was_lost() -> None:
    path = critical_path(run_with_a_kill())
    assert [step.node for step in path] == ["scan", "modules.1", "modules", "report"]
    assert [round(step.waited, 3) for step in path] == [0.1, 4.7, 0.1, 0.3]
    assert sum(step.waited + step.ran for step in path) == pytest.approx(6.9)


def test_an_empty_record_has_nothing_to_show() -> None:
    record = RunRecord("g", "RUNNING", [], {}, [])
    assert attempts(record) == []
    assert critical_path(record) == []
    assert facts(record).seconds == 0


def test_items_belong_to_their_map_and_look_alikes_do_not() -> None:
    nodes = {"modules", "modules.0", "v1.2"}
    assert map_of("modules.0", nodes) == "modules"
    assert map_of("v1.2", nodes) is None
    assert map_of("modules.x", nodes) is None


def test_a_run_that_lost_nothing_passes(audited: tuple[Scan, Audit]) -> None:
    checks = verify(run_with_a_kill(), *audited)
    assert [check.text for check in checks if check.ok is False] == []
    told = "\n".join(check.text for check in checks)
    assert "6 of 6 nodes have exactly one accepted commit" in told
    assert "1 node lost with w1, 1 run again" in told
    assert "to the claim of a lost node: 3.20 s" in told
    assert "to the next claim of any node: 500 ms" in told


def test_recovery_counts_from_the_kill() -> None:
    record = run_with_a_kill()
    found = recovery(record, record.kills[0])
    assert found.again == {"modules.1": pytest.approx(3.2)}
    assert found.next_claim == pytest.approx(0.5)


def _without(record: RunRecord, kind: str, node: str) -> RunRecord:
    return replace(record, events=[one for one in record.events if (one.type, one.node) != (kind, node)])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda run: replace(run, state="FAILED"), "the goal is FAILED"),
        (lambda run: replace(run, states={**run.states, "report": "READY"}), "5 of 6 nodes are DONE: report"),
        (lambda run: _without(run, "node.done", "modules.2"), "5 of 6 nodes have exactly one accepted commit"),
        (
            lambda run: replace(run, events=[*run.events, RunEvent("node.done", 7.1, "scan", 1, "w")]),
            "in the event stream: scan has 2",
        ),
        (
            lambda run: replace(run, events=[one for one in run.events if not 5.1 < one.at < 6.05]),
            "1 node lost with w1, 0 run again",
        ),
    ],
    ids=["goal failed", "node not done", "commit missing", "two commits", "never run again"],
)
def test_a_planted_loss_is_caught(audited: tuple[Scan, Audit], broken: object, words: str) -> None:
    assert callable(broken)
    faults = [check.text for check in verify(broken(run_with_a_kill()), *audited) if check.ok is False]
    assert any(words in fault for fault in faults), faults


def test_a_module_that_is_missing_or_doubled_in_the_report_is_caught(audited: tuple[Scan, Audit]) -> None:
    scan, audit = audited
    for modules in (audit["modules"][1:], [*audit["modules"], audit["modules"][0]]):
        changed = Audit(**{**audit, "modules": modules})
        assert any(check.ok is False and "a.py" in check.text for check in verify(run_with_a_kill(), scan, changed))
