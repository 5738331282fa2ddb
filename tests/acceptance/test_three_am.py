"""The list for the night: each thing that can be wrong, made on a real fleet, and what `doctor` and `why` say of it.

docs/how-to/three-am.md shows these outputs. `CHORDAL_WRITE_PAGES=1` writes them there; else they must still be so, but for
figures.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest

from acceptance.test_poison import message
from orchestrator.domain.states import GoalState, NodeState
from support.night import Night, masked, on_page, write
from support.servers import Fleet, server, until

WORK = """
import time
from orchestrator import node

@node
def nap(seconds): time.sleep(seconds)
"""
PROFILES = """
accounts:
  tight: {{kind: self-hosted, base_url: "http://127.0.0.1:{port}/v1", limits: {{requests_per_minute: 1}}}}
  down: {{kind: self-hosted, base_url: "http://127.0.0.1:{port}/v1", limits: {{concurrency: 4}}}}
models:
  small: {{account: tight}}
  large: {{account: down}}
retry: {{attempts: 50, backoff_seconds: 0.2}}
"""
REVIEWER = {"name": "quinn", "role": "qa", "queue": "reviewers", "model": "small", "instructions": "Look closely."}


pytestmark = pytest.mark.timeout(300)  # a fleet and some twenty commands, each a process


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """A server of its own and an empty fleet; what it showed is on the page."""
    with socket.socket() as nobody, server() as own:
        nobody.bind(("127.0.0.1", 0))  # a port that nobody answers: the provider is down
        (tmp_path / "work.py").write_text(WORK)
        (tmp_path / "llm.yaml").write_text(PROFILES.format(port=nobody.getsockname()[1]))
        fleet = Fleet(own.url, tmp_path, {"CHORDAL_IMPORTS": "work", "CHORDAL_LLM_FILE": str(tmp_path / "llm.yaml")})
        made = Night(fleet)
        try:
            yield made
        finally:
            fleet.stop()
    for name, outputs in made.shown.items():
        if os.environ.get("CHORDAL_WRITE_PAGES"):
            write(name, outputs)
        # Not to the letter: between two looks a breaker may have let a call through, or one line more have come.
        alike = SequenceMatcher(None, masked(on_page(name)), masked("\n".join(outputs)), autojunk=False).ratio()
        assert alike > 0.85, f"write it anew: CHORDAL_WRITE_PAGES=1 ({name}, {alike:.2f})"


def causes(night: Night, goal: str, node: str | None = None) -> list[str]:
    """The causes that `why` finds."""
    return [finding.reason.cause.value for finding in night.fleet.chordal().operator.why(goal, node).findings]


def llm(name: str, model: str) -> dict[str, Any]:
    return {"id": name, "kind": "llm", "inputs": {"model": model, "prompt": "hello", "max_output_tokens": 20}}


def test_worker_dead_then_beat_dead(night: Night) -> None:
    one = night.fleet
    victim, beat, chordal = one.worker("w1", slots=1), one.beat(), one.chordal()
    goal = chordal.submit(
        {"goal_id": "report-7", "nodes": [{"id": "load", "call": "work:nap", "inputs": {"seconds": 60}}]}
    )
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING], what="it runs")
    assert causes(night, goal) == ["runs"]
    victim.kill(signal.SIGKILL)
    until(lambda: chordal.summary(goal).counts[NodeState.READY], 15, "the lease ran out")
    until(lambda: any(one.state == "dead" for one in chordal.store.upkeep.roll()), 15, "the scan found it dead")
    found = night.check("worker dead", keep=r"worker w1|workers:")
    assert "FAILED  worker w1@test: silent" in found
    assert "FAILED  workers: 0 alive" in found
    said = night.says("worker dead", "why", goal, code=0)
    assert "needs an operator: load: no worker is alive" in said
    assert causes(night, goal) == ["no workers"]
    one.worker("w2", slots=2)
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING], what="another worker runs it")

    beat.kill(signal.SIGKILL)
    timer = chordal.submit({"goal_id": "nightly", "nodes": [{"id": "rest", "kind": "wait", "inputs": {"seconds": 1}}]})
    until(lambda: chordal.operator.fleet().beat_late, 20, "beat is missed")
    found = night.check("beat dead", keep="beat:|nightly")
    assert "FAILED  beat: no beat ticks" in found
    assert "beat, which wakes it, has not ticked for" in night.says("beat dead", "why", timer, code=0)
    assert causes(night, timer) == ["beat"]
    one.beat()
    until(lambda: chordal.summary(timer).state is GoalState.DONE, what="the new beat wakes it")


def test_redis_full(night: Night) -> None:
    one = night.fleet
    chordal = one.chordal()
    goal = chordal.submit({"goal_id": "report-7", "nodes": [{"id": "load"}]})
    client = chordal.store.client
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 0.9))
    (one.folder / "goal.json").write_text('{"goal_id": "late", "nodes": [{"id": "a"}]}')
    night.says("redis full", "submit", "goal.json", code=1)
    assert "has no memory left; nothing was done" in night.shown["redis full"][0]
    assert "Redis is full. What runs can end" in night.check("redis full", keep=r"\S+ +memory:")
    assert "Redis is full: no node can be claimed" in night.says("redis full", "why", goal, code=0)
    assert causes(night, goal) == ["redis full"]
    client.config_set("maxmemory", 0)
    assert "Redis is full" not in night.says("", "doctor")
    one.worker("w1", slots=1)
    one.beat()
    until(lambda: chordal.summary(goal).state is GoalState.DONE, what="it goes on")


def test_models_lanes_roles_poison_and_people(night: Night) -> None:
    one = night.fleet
    one.worker("w1", slots=2)
    one.worker("llm1", "-Q", "llm", pool="threads", slots=4)
    one.beat()
    chordal = one.chordal()
    until(lambda: chordal.live_workers() == 2, what="two workers")
    chordal.submit({"goal_id": "tight", "nodes": [llm(f"ask-{number}", "small") for number in range(3)]})
    chordal.submit({"goal_id": "down", "nodes": [llm("summary", "large") | {"retries": 100}, llm("title", "large")]})
    review = {"id": "review", "kind": "agent", "agent": "quinn", "queue": "reviewers", "inputs": {"task": "review it"}}
    hard = {"metadata": {"role_assignment": "hard", "required_role": "qa"}}
    chordal.submit({"goal_id": "paper", "nodes": [review | hard], "agents": [REVIEWER]})
    steps = [{"id": f"deploy-{place}", "kind": "approval" if place == "first" else "wait", "lane": "production",
              **({"inputs": {"seconds": 0}} if place != "first" else {})} for place in ("first", "second", "third")]  # fmt: skip
    chordal.submit({"goal_id": "release", "nodes": steps})
    chordal.submit({"goal_id": "audit", "nodes": [{"id": "a", "kind": "wait", "inputs": {"signal": "go"}}]})
    _paused(night)
    _lane(night)
    _role(night)
    _poison(night)
    _limit(night)
    _model_down(night)


def _paused(night: Night) -> None:
    night.says("paused", "pause", "audit", "--reason", "the disk of db1 is full", code=0)
    said = night.says("paused", "why", "audit", code=0)
    assert "the goal is paused by cli:" in said
    assert 'because "the disk of db1 is full"' in said
    assert "chordal resume audit" in said
    assert causes(night, "audit")[0] == "paused"
    assert "goal audit: the goal is paused by cli:" in night.check("paused", keep="goal audit")
    assert "PAUSE goal audit  paused" in night.says("paused", "audit", "--target", "audit", code=0)


def _lane(night: Night) -> None:
    chordal = night.fleet.chordal()
    until(lambda: chordal.summary("release").counts[NodeState.WAITING], what="the first of the lane waits")
    said = night.says("lane blocked", "why", "release", "deploy-third", code=0)
    assert "2 other nodes of its lane production come first; the first of them, deploy-first, is WAITING" in said
    assert "chordal approve release deploy-first" in said
    assert causes(night, "release", "deploy-third") == ["lane"]
    assert "2 more of its lane production stand behind it" in night.check("lane blocked", keep="goal release")


def _role(night: Night) -> None:
    chordal = night.fleet.chordal()
    until(lambda: "role" in causes(night, "paper"), 20, "beat says that nobody may do it")
    said = night.says("role without an agent", "why", "paper", code=0)
    assert "no worker serves the queue 'reviewers' of agent 'quinn', and its role 'qa' is hard" in said
    assert "needs an operator: goal paper" not in said
    assert "FAILED  goal paper: review: no worker serves" in night.check("role without an agent", keep="goal paper")
    assert chordal.summary("paper").counts[NodeState.READY] == 1


def _poison(night: Night) -> None:
    chordal = night.fleet.chordal()
    until(lambda: chordal.summary("down").counts[NodeState.FAILED], 60, "a dead letter that is a node")
    chordal.store.client.lpush("default", message("*", task="tasks.node.run"))
    until(chordal.store.fleet.poison, what="it is set aside")
    found = night.check("poison message", keep="poison")
    assert "1 set aside" in found
    listed = night.says("poison message", "dead", "list", code=0)
    (letter,) = [line.split()[0] for line in listed.splitlines() if line.startswith("m-")]
    night.says("poison message", "dead", "drop", letter, "--reason", "sent by a script of mine", code=0)
    assert not chordal.store.fleet.poison()


def _limit(night: Night) -> None:
    said = night.says("limit too low", "why", "tight", code=0)
    assert "the limit is reached, 1 of 1 requests in 60 s" in said
    assert "chordal llm set-limit tight --requests N" in said
    assert "model line" in causes(night, "tight")


def _model_down(night: Night) -> None:
    until(lambda: "model down" in causes(night, "down"), 30, "the other one waits")
    said = night.says("model down", "why", "down", code=0)
    assert "BreakerOpen: account down: the breaker is open" in said
    assert "needs an operator: summary: " in said
    found = night.check("model down", keep="account down|goal down")
    assert "FAILED  model account down: the breaker of down is" in found
