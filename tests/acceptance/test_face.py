"""The face on real workers: states as they come, deferred tools, data in nFactorial's shape, batches, and the commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.agents.agent import Agent
from orchestrator.agents.desk import BadToken
from orchestrator.cli.main import chordal as group
from orchestrator.domain.errors import GoalNotFound, RedisNotReachable
from orchestrator.face.config import AgentWorkerConfig
from orchestrator.face.errors import InactiveTask, NoResult, NoSuchCall
from orchestrator.face.orchestrator import Orchestrator
from orchestrator.face.status import TaskStatus
from orchestrator.face.task import AgentContext, Task
from support.model_server import fails
from support.servers import Fleet, until
from support.tasks import Scene, scene
from support.tool_model import Heard, calls, hangs, tool_model

Start = Callable[..., Fleet]
TOOLS = """
from orchestrator.agents.tools.toolbox import tool

@tool
def face_add(a: int, b: int) -> int:
    "Adds."
    return a + b

@tool(deferred=True)
def face_later(what: str) -> None:
    "Answers later."
"""
CLERK = Agent("face-clerk", "Work.", tools=["face_add", "face_later"], memory=0)
HURRIED = Agent("face-hurried", "Work.", memory=0)


@pytest.fixture
def office(fleet: Start) -> Callable[[Any], Scene]:
    """A scene whose workers know the tools."""

    def make(model: Any, **env: Any) -> Scene:
        return scene(fleet, model, {"face_tools.py": TOOLS}, CHORDAL_IMPORTS="face_tools", **env)

    return make


def test_a_deferred_tool_parks_its_task_until_it_is_completed_once(office: Callable[..., Scene]) -> None:
    def answer(heard: Heard) -> Any:
        if heard.turn == 1:
            return calls(("face_add", {"a": 2, "b": 3}), ("face_later", {"what": "news"}), text="I ask.")
        return f"sum {heard.results[0]}, later {heard.results[1]}"

    with tool_model(answer) as model:
        one = office(model)
        task = one.begin(CLERK, "who:p go", tier="gold", messages=[{"role": "user", "content": "before"}])
        one.reaches(task, TaskStatus.PENDING_TOOL_RESULTS)
        data = one.face.get_task_data_sync(task)
        assert (data["id"], data["owner_id"], data["agent"], data["status"], data["turn"]) == (
            task, "ann", "face-clerk", "pending_tool_results", 1,
        )  # fmt: skip
        assert (data["payload"]["query"], data["payload"]["tier"], data["payload"]["output"]) == (
            "who:p go",
            "gold",
            None,
        )
        before, asked = data["payload"]["messages"]
        assert before == {"role": "user", "content": "before"}
        later = asked["tool_calls"][1]
        assert (asked["content"], later["function"]["name"]) == ("I ask.", "face_later")
        with pytest.raises(NoResult):
            one.face.get_task_result_sync(task)
        with pytest.raises(NoSuchCall):
            one.face.complete_deferred_tool_sync(task, asked["tool_calls"][0]["id"], "not deferred")
        assert asyncio.run(one.face.complete_deferred_tool(task, later["id"], {"x": [1]})) is True
        with pytest.raises((BadToken, InactiveTask)):
            one.face.complete_deferred_tool_sync(task, later["id"], "again")
        data = one.ended(task)
        assert data["payload"]["output"] == 'sum 5, later {"x":[1]}'
        assert one.face.get_task_result_sync(task) == data["payload"]["output"]
        roles = [message["role"] for message in data["payload"]["messages"]]
        assert roles == ["user", "assistant", "tool", "tool", "assistant"]
        assert (data["retries"], data["metadata"]["owner_id"], data["error"]) == (0, "ann", None)


def test_a_task_waits_is_paused_backs_off_and_fails(office: Callable[..., Scene]) -> None:
    with tool_model(lambda _: fails(500)) as model:
        one = office(model)
        one.face.register_runner(HURRIED, AgentWorkerConfig(max_retries=1, turn_timeout=5))
        one.chordal.limiter.drain("stand-in")
        task = one.begin(HURRIED, "who:p go")
        one.reaches(task, TaskStatus.PROCESSING)
        one.chordal.pause(task)
        assert one.face.get_task_status_sync(task) is TaskStatus.PAUSED
        one.chordal.resume(task)
        one.chordal.limiter.drain("stand-in", on=False)
        data = one.ended(task, 60)
        assert (data["status"], data["retries"], data["turn"]) == ("failed", 1, 0)
        assert "HTTP 500" in data["error"] or "server" in data["error"]
        assert one.events(task, "node.retry", "task") or one.events(task, "node.waiting", "task")
        with pytest.raises(InactiveTask):
            one.face.cancel_task_sync(task)


def test_a_task_of_a_batch_is_queued_before_its_goal_is_made(office: Callable[..., Scene]) -> None:
    with tool_model(lambda _: "quick") as model:
        one = office(model)
        worker = one.fleet.procs[1]
        worker.end()
        batch = asyncio.run(
            one.face.enqueue_batch(CLERK, ["one", AgentContext(query="two"), {"query": "three"}], "ann")
        )
        assert len(batch.task_ids) == 3
        assert [one.face.get_task_status_sync(task) for task in batch.task_ids] == [TaskStatus.QUEUED] * 3
        with pytest.raises(GoalNotFound):
            one.face.get_task_status_sync(f"{batch.id}.t9")
        asyncio.run(one.face.cancel_task(batch.task_ids[2]))
        assert one.face.get_task_status_sync(batch.task_ids[2]) is TaskStatus.CANCELLED
        one.fleet.worker("w2")
        assert {one.ended(task)["payload"]["output"] for task in batch.task_ids[:2]} == {"quick"}
        until(lambda: one.face.get_batch_sync(batch.id).status == "completed", what="the batch is complete")
        kinds = {update["event_type"] for update in one.face.subscribe_to_updates_sync(
            task_ids=[batch.id], after="0", until_ended=True)}  # fmt: skip
        assert {"batch_progress", "batch_completed"} <= kinds


def test_the_commands_show_and_steer_an_agent_at_work(office: Callable[..., Scene]) -> None:
    def answer(heard: Heard) -> Any:
        if heard.turn == 1:
            return calls(("face_later", {"what": "news"}), text="\x1b[2JI ask.")
        return f"heard {heard.messages[-2]['content']} {heard.last}"

    with tool_model(answer) as model:
        one = office(model)
        task = one.begin(CLERK, "who:p go")
        one.reaches(task, TaskStatus.PENDING_TOOL_RESULTS)
        until(lambda: one.states(task).get("task.t1.0") == "WAITING", what="the tool waits")

        def run(*words: str) -> str:
            done = CliRunner().invoke(group, ["--redis-url", one.fleet.url, *words], prog_name="chordal")
            assert done.exit_code == 0, done.output
            return done.stdout

        (row,) = json.loads(run("agents", task, "--json"))
        assert row == {
            "name": "face-clerk", "role": "face-clerk", "model": None, "queue": "default", "workers": 1, "goals": [task],
            "running": 0, "waiting": 1, "ended": 0,
        }  # fmt: skip
        assert "face-clerk" in run("agents")
        run("steer", task, "task", "and be kind")
        shown = run("transcript", task, "task")
        assert "\\x1b[2JI ask." in shown
        assert "not read yet" in shown
        secret = json.loads(one.chordal.store.goals.spec(task, "task.t1.0"))["deferred"]
        run("complete", f"{task}:task.t1.0:{secret}", '"the news"')
        assert one.ended(task)["payload"]["output"] == "heard the news and be kind"
        assert "turn 2, final" in run("transcript", task, "task", "--follow")


def test_one_question_gets_one_answer(office: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(heard: Heard) -> Any:
        return hangs(model) if "slow" in heard.text else f"heard: {heard.last}"

    with tool_model(answer) as model:
        one = office(model)
        monkeypatch.setenv("CHORDAL_LLM_FILE", str(one.fleet.folder / "llm.json"))

        def ask(*words: str) -> Any:
            return CliRunner().invoke(group, ["--redis-url", one.fleet.url, "ask", *words], prog_name="chordal")

        assert ask("why?").stdout == "heard: why?\n"
        said = json.loads(ask("why?", "--json").stdout)
        assert (said["state"], said["text"], said["error"]) == ("DONE", "heard: why?", None)
        one.begin(CLERK, "who:p go")
        unknown = ask("why?", "--agent", "nobody")
        assert (unknown.exit_code, "nobody" in unknown.stderr) == (2, True)
        late = ask("slow?", "--timeout", "0.5")
        assert (late.exit_code, "Let go" in late.stderr) == (130, True)


def test_a_task_is_stored_once(office: Callable[..., Scene]) -> None:
    with tool_model(lambda _: "quick") as model:
        one = office(model)
        task = Task.create("ann", "face-clerk", "who:p go", id="mine")
        assert [one.face.enqueue_task_sync(CLERK, task) for _ in range(2)] == ["mine", "mine"]
        assert one.ended("mine")["status"] == "completed"
        assert len(model.heard) == 1


@pytest.mark.parametrize("words", ["agents", "agents g", "steer g n x", "transcript g n", "complete g:n:s"])
def test_a_redis_that_is_away_is_said_so(words: str) -> None:
    done = CliRunner().invoke(group, ["--redis-url", "redis://127.0.0.1:1/0", *words.split()], prog_name="chordal")
    assert (done.exit_code, "no Redis answers" in done.stderr) == (4, True)
    face = Orchestrator(redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(RedisNotReachable):
        face.get_task_status_sync("t")
    with pytest.raises(RedisNotReachable):
        next(face.subscribe_to_updates_sync("ann"))
