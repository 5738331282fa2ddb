"""What nFactorial gets wrong, each shown to be right here: on real Celery workers, with a real HTTP server as the model."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from orchestrator.agents.agent import Agent
from orchestrator.domain.errors import GoalNotFound
from orchestrator.face.errors import InactiveTask, NoResult
from orchestrator.face.status import TaskStatus
from support.model_server import chat, fails, says_after
from support.servers import Fleet, until
from support.tasks import Scene, scene
from support.tool_model import Heard, ToolModel, calls, hangs, tool_model

Start = Callable[..., Fleet]

# Without memory, so that what was said for one task is not in the conversation of another.
HELPER = Agent("defects-helper", "who:child Answer at once.", memory=0)
PARENT = Agent("defects-parent", "Ask your helper.", tools=[HELPER, "start_goal"], memory=0)
PLAIN = Agent("defects-plain", "Answer.", memory=0)
CALLS_HELPER = ("agent_defects-helper", {"task": "say something"})
LONG_GOAL = ("start_goal", {"goal": {"nodes": [{"id": "w", "kind": "wait", "inputs": {"seconds": 600}}]}})
AT_ONCE = ("start_goal", {"goal": {"nodes": [{"id": "w", "kind": "wait", "inputs": {"seconds": 0}}]}})


# -- a parent and its children --------------------------------------------------------------------------------------------


def test_a_parent_goes_on_however_early_its_children_end(fleet: Start) -> None:
    """There a child that completes before its parent has parked leaves the parent waiting for good."""

    def answer(heard: Heard) -> Any:
        if "child" in heard.who:
            return "quick"
        return calls(CALLS_HELPER, AT_ONCE) if heard.turn == 1 else f"heard {heard.results[0]}"

    with tool_model(answer) as model:
        one = scene(fleet, model)
        tasks = [one.begin(PARENT, f"who:p{at} go") for at in range(12)]
        for task in tasks:
            data = one.ended(task)
            assert (data["status"], data["payload"]["output"]) == ("completed", "heard quick"), data


def test_a_parent_goes_on_when_its_children_are_taken_out_of_the_plan_or_cancelled(fleet: Start) -> None:
    """There a cancelled child leaves its parent waiting for good."""

    def answer(heard: Heard) -> Any:
        if heard.turn == 1:
            one.chordal.limiter.drain("stand-in")  # the child's call waits in the line
            return calls(CALLS_HELPER, LONG_GOAL)
        return f"without them: {' '.join(heard.results)}"

    with tool_model(answer) as model:
        one = scene(fleet, model)
        task = one.begin(PARENT, "who:p go")
        one.reaches(task, TaskStatus.PENDING_CHILD_TASKS)
        until(lambda: one.chordal.store.goals.part(task, "children"), what="the sub-goal is there")
        (sub,) = one.chordal.store.goals.part(task, "children").values()
        until(lambda: one.chordal.limiter.status("stand-in").waiting == 1, what="the child waits")
        one.chordal.patch(task, {"drop_nodes": ["task.t1.0"]}, "not needed any more")
        one.chordal.cancel(sub)
        one.chordal.limiter.drain("stand-in", on=False)
        data = one.ended(task)
        assert data["status"] == "completed"
        assert data["payload"]["output"].startswith("without them: ")
        assert "CANCELLED" in data["payload"]["output"]
        states = one.states(task)
        assert (states["task.t1.0"], states["task.t1.1"]) == ("DROPPED", "FAILED")
        assert model.counts["child", 1] == 0, "nobody asks for what is not wanted"


def test_a_parent_goes_on_when_its_child_fails_by_recovery(fleet: Start) -> None:
    """There a child whose workers die until the limit leaves its parent waiting for good."""

    def answer(heard: Heard) -> Any:
        if heard.who == "child":
            return hangs(model)
        return calls(CALLS_HELPER) if heard.turn == 1 else f"without it: {heard.results[0]}"

    with tool_model(answer) as model:
        one = scene(fleet, model, llm=False, CHORDAL_LOST_LIMIT=2, CHORDAL_LEASE_SECONDS=1)
        worker = one.fleet.worker("llm1", "-Q", "llm", pool="threads", slots=8)
        task = one.begin(PARENT, "who:p go")
        for attempt in (1, 2):
            until(partial(asked_times, model, attempt), 30, f"attempt {attempt} of the child's turn")
            worker.kill()
            worker = one.fleet.worker(f"llm{attempt + 1}", "-Q", "llm", pool="threads", slots=8)
        data = one.ended(task)
        assert data["status"] == "completed", data
        assert "lost" in data["payload"]["output"]
        assert one.states(task)["task.t1.0"] == "FAILED"
        assert len(one.events(task, "node.lost", "task.t1.0")) == 2


def asked_times(model: ToolModel, count: int) -> bool:
    """The child has asked its model so often."""
    return model.counts["child", 1] == count


def test_cancelling_a_parent_cancels_the_children_that_it_waits_for(fleet: Start) -> None:
    """There parked children stay."""

    def answer(heard: Heard) -> Any:
        return hangs(model) if heard.who == "child" else calls(CALLS_HELPER, LONG_GOAL)

    with tool_model(answer) as model:
        one = scene(fleet, model)
        task = one.begin(PARENT, "who:p go")
        until(lambda: model.counts["child", 1] == 1, what="the child asks its model")
        until(lambda: one.chordal.store.goals.part(task, "children"), what="the sub-goal is there")
        (sub,) = one.chordal.store.goals.part(task, "children").values()
        begun = time.monotonic()
        one.face.cancel_task_sync(task)
        until(lambda: len(model.gone) == 1, what="the child's call is cut off")
        assert model.gone[0] - begun < 1.0
        until(
            lambda: one.chordal.summary(task).terminal and one.chordal.summary(sub).terminal, what="both are cancelled"
        )
        assert set(one.states(task).values()) == {"CANCELLED"}
        assert set(one.states(sub).values()) == {"CANCELLED"}
        assert len(model.heard) == 2, "nobody asked again"


# -- fences and cancellation ----------------------------------------------------------------------------------------------


def test_what_a_stale_worker_brings_is_refused_while_the_second_attempt_runs(fleet: Start) -> None:
    """There the completion of a worker that was given up is accepted while attempt 2 runs."""
    gates = [threading.Event(), threading.Event()]
    texts = ["stale", "fresh"]

    def answer(heard: Heard) -> Any:
        at = model.counts[heard.who, 1] - 1
        return says_after(gates[at], chat(texts[at]))

    with tool_model(answer) as model:
        one = scene(fleet, model, llm=False, CHORDAL_LEASE_SECONDS=1)
        first = one.fleet.worker("llm1", "-Q", "llm", pool="threads", slots=4)
        task = one.begin(PLAIN, "who:p go")
        until(lambda: model.counts["p", 1] == 1, what="the first attempt")
        first.kill(signal.SIGSTOP)
        one.fleet.worker("llm2", "-Q", "llm", pool="threads", slots=4)
        until(lambda: model.counts["p", 1] == 2, 30, "the second attempt")
        gates[0].set()
        first.kill(signal.SIGCONT)
        until(lambda: model.finished["p", 1] == 1 or model.gone, what="the first answer was written")
        until(lambda: one.chordal.live_workers() == 3, what="the stale worker is back")
        until(lambda: refused(one, task, first.text()), what="the stale completion was refused")
        assert one.face.get_task_status_sync(task) is TaskStatus.PROCESSING
        gates[1].set()
        assert one.ended(task)["payload"]["output"] == "fresh"
        assert len(one.events(task, "node.done", "task")) == 1
        assert not one.chordal.check_history(task).violations


def refused(one: Scene, task: str, log: str) -> bool:
    """By the fence of its commit, or before it by the loss of its lease."""
    return bool(one.events(task, "node.fenced", "task")) or "is lost" in log


def test_cancelling_a_running_task_stops_it_within_a_second(fleet: Start) -> None:
    """There cancelling a task that runs its only turn does nothing."""

    def answer(_: Heard) -> Any:
        return hangs(model)

    with tool_model(answer) as model:
        one = scene(fleet, model)
        task = one.begin(PLAIN, "who:p go")
        until(lambda: len(model.heard) == 1, what="the call is in flight")
        begun = time.monotonic()
        one.face.cancel_task_sync(task)
        until(lambda: model.gone, what="the connection was closed")
        assert model.gone[0] - begun < 1.0
        one.reaches(task, TaskStatus.CANCELLED)
        until(lambda: not one.chordal.limiter.status("stand-in").leases, what="the permit has ended")
        assert len(model.heard) == 1, "nobody asked again"
        with pytest.raises(InactiveTask):
            one.face.cancel_task_sync(task)
        with pytest.raises(NoResult):
            one.face.get_task_result_sync(task)


# -- updates --------------------------------------------------------------------------------------------------------------


def test_every_update_has_its_own_time_and_can_be_gone_back_to(fleet: Start) -> None:
    """There all events carry the time at which the module was imported, and who is not listening misses them."""

    def answer(heard: Heard) -> Any:
        return calls(CALLS_HELPER) if heard.turn == 1 and heard.who == "p" else "done"

    with tool_model(answer, seconds=0.2) as model:
        one = scene(fleet, model)
        earlier = str(one.chordal.store.goals.clock_ms() - 1) + "-0"
        task = one.begin(PARENT, "who:p go")
        other = one.begin(PLAIN, "who:q go", owner="bob")
        seen = list(one.face.subscribe_to_updates_sync("ann", task_ids=[task], after=earlier, until_ended=True))
        kinds = [update["event_type"] for update in seen]
        for kind in ("run_started", "task_pending_child_task_results", "agent_output", "run_completed"):
            assert kinds.count(kind) == 1, kinds
        assert kinds.count("progress_update_run_turn_completed") == 2
        times = [update["timestamp"] for update in seen]
        assert times == sorted(times)
        assert len(set(times)) > len(times) / 2
        assert {(update["task_id"], update["owner_id"], update["agent_name"]) for update in seen} == {
            (task, "ann", "defects-parent")
        }
        middle = len(seen) // 2
        again = one.face.subscribe_to_updates_sync(task_ids=[task], after=seen[middle]["id"], until_ended=True)
        assert list(again) == seen[middle + 1 :]
        one.ended(other)
        mine = asyncio.run(first_of(one, "bob", earlier))
        assert (mine["task_id"], mine["event_type"]) == (other, "run_completed")


async def first_of(one: Scene, owner: str, after: str) -> dict[str, Any]:
    """The first run that completed, by the async face."""
    async for update in one.face.subscribe_to_updates(owner, event_pattern="run_comp.*", after=after):
        return update
    raise AssertionError("updates of an owner do not end")


# -- steering -------------------------------------------------------------------------------------------------------------


def test_steering_keeps_its_order_survives_a_failed_turn_and_leaves_nothing_behind(fleet: Start) -> None:
    """There the messages are read in any order, a failed turn can lose them, and their keys stay for ever."""
    gate = threading.Event()

    def answer(heard: Heard) -> Any:
        if heard.turn == 1:
            return says_after(gate, chat(None, "tool_calls", tool_calls=[call_of_helper()]))
        if heard.who == "child":
            return "quick"
        return fails(500) if model.counts["p", 2] == 1 else "read: " + " ".join(said(heard))

    def said(heard: Heard) -> list[str]:
        return [str(one["content"]) for one in heard.messages if str(one["content"]).startswith("m")]

    with tool_model(lambda heard: "quick" if heard.who == "child" else answer(heard)) as model:
        retry = {"attempts": 1, "backoff_seconds": 0.1}
        one = scene(fleet, model, profiles={"retry": retry}, CHORDAL_DONE_TTL_SECONDS=2, CHORDAL_SWEEP_SECONDS=1)
        task = one.begin(PARENT, "who:p go")
        until(lambda: model.counts["p", 1] == 1, what="the first turn is under way")
        one.face.steer_task_sync(task, [{"role": "user", "content": "m1"}, {"role": "system", "content": "m2"}])
        for name in ("m3", "m4", "m5"):
            asyncio.run(one.face.steer_task(task, [{"role": "user", "content": name}]))
        gate.set()
        until(lambda: model.counts["p", 2] == 2, 30, "the turn that failed is taken again")
        data = one.ended(task)
        assert data["payload"]["output"] == "read: m1 m2 m3 m4 m5"
        assert data["retries"] == 1
        failed, again = [said(heard) for heard in model.heard if (heard.who, heard.turn) == ("p", 2)]
        assert failed == again == ["m1", "m2", "m3", "m4", "m5"]
        with pytest.raises(InactiveTask):
            one.face.steer_task_sync(task, [{"role": "user", "content": "too late"}])
        client = one.chordal.store.client
        until(lambda: not list(client.scan_iter(f"*{task}*")), 30, "no key of the task is left")
        with pytest.raises(GoalNotFound):
            one.face.get_task_status_sync(task)


def call_of_helper() -> dict[str, Any]:
    name, arguments = CALLS_HELPER
    return {"id": "c0", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


# -- batches --------------------------------------------------------------------------------------------------------------


def test_a_slow_task_holds_up_no_batch(fleet: Start) -> None:
    """There a worker takes up no further task before the slowest of its batch has ended."""

    def answer(heard: Heard) -> Any:
        return hangs(model) if heard.who == "slow" else "quick"

    with tool_model(answer) as model:
        one = scene(fleet, model)
        queries = ["who:slow go", *(f"who:q{at} go" for at in range(7))]
        batch = one.face.enqueue_batch_sync(PLAIN, queries, "ann")
        slow, *others = batch.task_ids
        assert {one.ended(task)["status"] for task in others} == {"completed"}
        assert one.ended(one.begin(PLAIN, "who:later go"))["status"] == "completed"
        until(lambda: one.face.get_batch_sync(batch.id).remaining_task_ids == (slow,), what="one is left")
        now = one.face.get_batch_sync(batch.id)
        assert (now.status, now.progress) == ("active", 87.5)
        assert one.face.get_task_status_sync(slow) is TaskStatus.PROCESSING
        assert one.face.cancel_batch_sync(batch.id).status == "cancelled"
        one.reaches(slow, TaskStatus.CANCELLED)
        until(lambda: len(model.gone) == 1, what="the slow call is cut off")
