"""The role workflow on the real store: a review gates what depends on the work, and its rounds are bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.engine.context import running
from support.crew import Crew
from support.planning import Stage, node


@pytest.fixture
def stage(crew: Crew) -> Stage:
    stage = Stage(crew)
    stage.planned(node("a"), node("b", "a"), workflow=True, review_cycles=2)
    return stage


def passed(*findings: str) -> dict[str, Any]:
    return {"passed": not findings, "findings": list(findings)}


def test_a_review_that_passes_frees_what_depends_on_the_work_once_it_is_integrated(stage: Stage) -> None:
    stage.answer("a", "the work")
    assert stage.crew.states()["b"] == "BLOCKED"
    assert stage.inputs("a__qa")["from a"] == {"from": "a", "path": "output"}
    stage.answer("a__qa", passed())
    assert stage.crew.output("a__verdict") == {"passed": True, "work": "a", "cycle": 1, "findings": [], "accepted": "a"}
    assert stage.crew.states()["b"] == "BLOCKED", "it is not integrated yet"
    stage.answer("a__integrate", "integrated")
    assert stage.crew.states()["b"] == "READY"
    assert stage.inputs("b")["from a__integrate"] == {"from": "a__integrate", "path": "output"}
    for name in ("b", "b__qa", "b__integrate"):
        stage.answer(name, passed())
    assert stage.crew.state() == "DONE"


def test_a_failed_review_gates_its_dependants_until_the_repair_passed(stage: Stage) -> None:
    stage.answer("a", "the work")
    stage.answer("a__qa", passed("a hole", "a crack"))
    states = stage.crew.states()
    assert (states["a__verdict"], states["a__fix1"], states["a__integrate"], states["b"]) == (
        "DONE", "READY", "BLOCKED", "BLOCKED",
    )  # fmt: skip
    assert stage.crew.output("a__verdict")["findings"] == ["a hole", "a crack"]
    assert stage.inputs("a__fix1")["findings"] == {"from": "a__verdict", "path": "findings"}
    assert stage.parents("a__integrate") == {"a", "a__verdict", "a__fix1", "a__verdict2"}
    stage.answer("a__fix1", "mended")
    assert stage.crew.states()["a__integrate"] == "BLOCKED"
    stage.answer("a__qa2", passed())
    assert stage.crew.output("a__verdict2")["accepted"] == "a__fix1"
    assert stage.crew.states()["b"] == "BLOCKED"
    stage.answer("a__integrate", "done")
    assert stage.crew.states()["b"] == "READY"


def exhaust(stage: Stage) -> None:
    stage.answer("a", "the work")
    for number, name in enumerate(("a__qa", "a__qa2", "a__qa3"), 1):
        stage.answer(name, passed(f"finding {number}"))
        if number < 3:
            stage.answer(f"a__fix{number}", "mended")


def test_after_the_last_repair_the_manager_is_told_and_may_take_the_work(stage: Stage) -> None:
    exhaust(stage)
    assert "a__fix3" not in stage.crew.states(), "two repairs were allowed"
    assert stage.crew.states()["a__escalate"] == "READY"
    assert stage.inputs("a__escalate")["latest"] == {"from": "a__fix2", "path": "output"}
    stage.answer("a__escalate", passed())
    assert stage.crew.output("a__verdict4")["accepted"] == "a__fix2"
    assert stage.crew.states()["a__integrate"] == "READY"


def test_what_the_manager_gives_up_fails_with_the_findings_and_nothing_builds_on_it(stage: Stage) -> None:
    exhaust(stage)
    stage.answer("a__escalate", passed("it will never work"))
    states = stage.crew.states()
    assert (states["a__verdict4"], states["a__integrate"], states["b"]) == ("FAILED", "SKIPPED", "SKIPPED")
    assert "it will never work" in stage.error("a__verdict4")
    assert stage.crew.state() == "FAILED"


def test_a_review_that_cannot_be_read_passes_nothing(stage: Stage) -> None:
    stage.answer("a", "the work")
    stage.answer("a__qa", "Looks great to me!")
    assert stage.crew.states()["a__verdict"] == "FAILED"
    assert "cannot be read" in stage.error("a__verdict")
    assert stage.crew.state() == "FAILED"


def test_a_crash_between_the_patch_of_a_repair_and_its_commit_repairs_once(stage: Stage) -> None:
    stage.answer("a", "the work")
    stage.sim.done(stage.sim.take("a__qa", queue="agents"), output=json.dumps({"output": passed("a hole")}))
    lease = stage.sim.take("a__verdict")
    review = stage.crew.registry.get("chordal:review").function
    with running(lease):
        review(passed("a hole"), "a", 1, 2)
    stage.sim.tick(60_000)
    stage.crew.mail.invite(stage.sim.reap().invitations)
    stage.work()
    assert stage.crew.states()["a__verdict"] == "DONE"
    assert [name for name in stage.crew.states() if "__fix" in name] == ["a__fix1"]
    assert len(stage.sim.events("goal.patched")) == 2, "the plan and one repair"


def test_a_repair_gets_what_the_work_was_made_from(crew: Crew) -> None:
    stage = Stage(crew)
    stage.planned(node("facts", agent="qa"), node("a", "facts", expected_artifacts=["a.md"]), workflow=True)
    stage.answer("facts", "the facts")
    stage.answer("a", "the work")
    stage.answer("a__qa", passed("a hole"))
    assert stage.inputs("a__fix1")["from facts"] == {"from": "facts", "path": "output"}
    assert json.loads(stage.store.goals.spec("g", "a__fix1"))["expected_artifacts"] == ["a.md"]
    assert stage.crew.states()["a__fix1"] == "READY"
