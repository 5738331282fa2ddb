"""Nodes that call a model, and calls by `celery call`, on real workers with a real HTTP server as the provider."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.states import GoalState, NodeState
from orchestrator.wiring import Chordal
from support.model_server import ModelServer, chat, model_server, says, says_after
from support.servers import Fleet, until

PROFILES = """
accounts:
  test: {{kind: self-hosted, base_url: "{url}", limits: {limits}}}
models:
  small: {{account: test}}
chains:
  default: [small]
retry: {{attempts: 3, backoff_seconds: 0.2}}
"""


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A provider that answers."""
    with model_server() as server:
        server.does(says(chat("an answer")))
        yield server


@pytest.fixture
def llm_fleet(fleet: Callable[..., Fleet], model: ModelServer) -> Callable[..., tuple[Fleet, Chordal]]:
    """A worker, an llm worker and beat, with the provider in their profiles."""

    def start(limits: str = "{concurrency: 8}", slots: int = 8, pool: str = "threads") -> tuple[Fleet, Chordal]:
        one = fleet({"llm.yaml": PROFILES.format(url=model.url, limits=limits)})
        one.env = {"CHORDAL_LLM_FILE": str(one.folder / "llm.yaml")}
        one.beat()
        one.worker("w1")
        one.worker("llm1", "-Q", "llm", pool=pool, slots=slots)
        chordal = one.chordal(llm_file=one.folder / "llm.yaml")
        until(lambda: chordal.live_workers() == 2, what="two workers")
        return one, chordal

    return start


def ended(chordal: Chordal, goal: str, seconds: float = 20.0) -> Any:
    """The goal's status once it has ended."""
    until(lambda: chordal.summary(goal).state in ("DONE", "FAILED", "CANCELLED"), seconds, f"the end of {goal}")
    return chordal.status(goal)


def calls(count: int, **inputs: Any) -> dict[str, Any]:
    """A goal of calls beside each other."""
    return {
        "nodes": [{"id": f"n{i}", "kind": "llm", "inputs": {"prompt": f"question {i}", **inputs}} for i in range(count)]
    }


def test_a_node_calls_a_model_and_hands_on_its_answer(
    llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer
) -> None:
    _, chordal = llm_fleet()
    second = {"prompt": {"from": "first", "path": "text"}, "system": "short"}
    goal = chordal.submit(
        {
            "nodes": [
                {"id": "first", "kind": "llm", "inputs": {"prompt": "the secret question", "max_output_tokens": 50}},
                {"id": "second", "kind": "llm", "inputs": second},
            ],
            "edges": [{"source": "first", "target": "second"}],
        }
    )
    status = ended(chordal, goal)
    assert status.state == GoalState.DONE, status.as_json()
    output = chordal.output(goal, "second")
    assert output["text"] == "an answer"
    assert output["usage"] == {"input_tokens": 12, "cached_input_tokens": 4, "output_tokens": 5}
    assert [one["content"] for one in model.asked[1].body["messages"]] == ["short", "an answer"]
    told = [event.data["llm"] for event in chordal.events(goal) if event.type == "node.done"]
    assert [one["output_tokens"] for one in told] == [5, 5]
    seen = chordal.limiter.status("test")
    assert (seen.waiting, len(seen.leases)) == (0, 0)
    assert seen.spend["account:tokens"] == 34
    assert not chordal.check_history(goal).violations


def test_prompts_are_in_no_message_log_or_result(
    llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer
) -> None:
    one, chordal = llm_fleet()
    model.does(says({"error": {"message": "the secret question is bad", "code": "bad_prompt"}}, 400))
    goal = chordal.submit(calls(1, prompt="the secret question"))
    status = ended(chordal, goal)
    assert status.state == GoalState.FAILED
    assert "LlmRefused" in status.nodes["n0"].error
    assert "secret" not in json.dumps(status.as_json())
    assert all("secret" not in proc.text() for proc in one.procs)


def test_more_calls_than_the_account_allows_wait_in_redis_and_hold_no_slot(
    llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer
) -> None:
    _, chordal = llm_fleet("{requests_per_minute: 20, window_seconds: 1.0, burst_seconds: 1.0}")
    goal = chordal.submit(calls(60))
    status = ended(chordal, goal)
    assert status.state == GoalState.DONE
    assert len(model.asked) == 60
    assert all(node.attempt == 1 for node in status.nodes.values())


def test_a_failed_attempt_is_made_again_under_a_permit_of_its_own(
    llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer
) -> None:
    _, chordal = llm_fleet()
    model.does(says({}, 500), says({}, 429, retry_after="0.3"), says(chat("at last")))
    goal = chordal.submit(calls(1))
    assert ended(chordal, goal).state == GoalState.DONE
    output = chordal.output(goal, "n0")
    assert (output["text"], output["attempts"]) == ("at last", 3)
    permits = [event.type for event in chordal.store.llm.events("test")]
    assert permits.count("llm.permit") == 3


def test_a_goal_without_budget_left_pauses_and_goes_on_with_more(
    llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer
) -> None:
    _, chordal = llm_fleet()
    document = calls(1, max_output_tokens=100) | {"budget": {"tokens": 50}}
    goal = chordal.submit(document)
    until(lambda: chordal.summary(goal).state == "PAUSED", what="a paused goal")
    assert not model.asked
    assert "budget" in chordal.events(goal)[-1].data.get("reason", "") or any(
        "budget" in str(event.data) for event in chordal.events(goal)
    )
    chordal.limiter.set_budget("test", goal=goal, tokens=500)
    chordal.resume(goal)
    assert ended(chordal, goal).state == GoalState.DONE


def test_a_budget_may_fail_the_node_instead(llm_fleet: Callable[..., tuple[Fleet, Chordal]]) -> None:
    _, chordal = llm_fleet()
    document = calls(1, max_output_tokens=100) | {"budget": {"tokens": 50, "when_spent": "fail"}}
    status = ended(chordal, chordal.submit(document))
    assert status.state == GoalState.FAILED
    assert "OverBudget" in status.nodes["n0"].error


def test_a_cancelled_goal_leaves_the_line(llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer) -> None:
    _, chordal = llm_fleet()
    chordal.limiter.drain("test")
    goal = chordal.submit(calls(5))
    until(lambda: chordal.limiter.status("test").waiting == 5, what="five waiters")
    chordal.cancel(goal)
    assert ended(chordal, goal).state == GoalState.CANCELLED
    assert chordal.limiter.status("test").waiting == 0
    chordal.limiter.drain("test", on=False)
    assert not model.asked


def test_a_call_by_celery_has_its_answer_as_result(
    llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer
) -> None:
    one, chordal = llm_fleet()
    said = celery(one, "call", "tasks.llm.call", "--kwargs", json.dumps({"prompt": "the secret question"}))
    task = chordal.app.AsyncResult(said.strip().splitlines()[-1])
    until(task.ready, what="a result")
    assert task.get()["text"] == "an answer"
    assert all("secret" not in proc.text() for proc in one.procs)
    model.does(says({"error": {"code": "bad"}}, 400))
    said = celery(one, "call", "tasks.llm.call", "--kwargs", json.dumps({"prompt": "another"}))
    task = chordal.app.AsyncResult(said.strip().splitlines()[-1])
    until(task.ready, what="a result")
    assert task.state == "FAILURE"
    assert "LlmRefused" in str(task.result)


def test_a_killed_llm_worker_loses_no_call(llm_fleet: Callable[..., tuple[Fleet, Chordal]], model: ModelServer) -> None:
    one, chordal = llm_fleet("{concurrency: 4}", 4, "prefork")
    gate = threading.Event()
    model.does(says_after(gate, chat("an answer")))
    goal = chordal.submit(calls(6))
    until(lambda: len(model.asked) >= 4, what="four calls in flight")
    one.procs[-1].kill()
    one.worker("llm2", "-Q", "llm", slots=4)
    gate.set()
    status = ended(chordal, goal, 40)
    assert status.state == GoalState.DONE
    assert all(node.state == NodeState.DONE for node in status.nodes.values())
    assert not chordal.check_history(goal).violations
    until(lambda: not chordal.limiter.status("test").leases, what="no permit left")


def celery(fleet: Fleet, *words: str) -> str:
    """What a celery command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "orchestrator", *words],
        cwd=Path(fleet.folder), env=fleet.environment(), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout
