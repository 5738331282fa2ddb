"""What is done with single tasks: each method is one or a few steps on the goal that the task is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.domain.errors import GoalNotFound, IllegalTransition, InvalidGoal
from orchestrator.domain.states import NODE_TERMINAL, NodeState
from orchestrator.face.cards import AnAgent, cards_of
from orchestrator.face.config import AgentWorkerConfig
from orchestrator.face.errors import InactiveTask, NoResult
from orchestrator.face.reading import TaskRead
from orchestrator.face.status import ENDED, TaskStatus
from orchestrator.face.task import NODE, Task, batch_of_task, goal_of
from orchestrator.wiring import Chordal

CANCELLED: Final = "cancelled by cancel_task"
"""The reason that the events give."""


class Tasks(ABC):
    """Tasks of one Chordal. Every method may raise RedisNotReachable; those that name a task raise GoalNotFound."""

    @property
    @abstractmethod
    def chordal(self) -> Chordal:
        """The parts that it works with."""

    @abstractmethod
    def config_of(self, agent: str) -> AgentWorkerConfig:
        """The configuration that an agent was registered with, or the default one."""

    # -- to begin ---------------------------------------------------------------------------------------------------

    def enqueue_task_sync(self, agent: AnAgent, task: Task) -> str:
        """Store a task and start it; returns its id. Enqueuing the same task again changes nothing.

        Raises InvalidTask, InvalidGoal, GoalExists.
        """
        return self.chordal.submit(self.document(agent, task))

    def create_agent_task_sync(self, agent: AnAgent, payload: Any, owner_id: str) -> Task:
        """Make a task and enqueue it. Raises as `enqueue_task_sync`."""
        task = Task.create(owner_id, agent.name, payload)
        self.enqueue_task_sync(agent, task)
        return task

    def document(self, agent: AnAgent, task: Task) -> dict[str, Any]:
        """The goal that a task becomes, to look at or to submit by other means. Raises InvalidTask."""
        return goal_of(task, cards_of(agent), self.config_of(agent.name), self.chordal.settings.lease_seconds)

    # -- to look at -------------------------------------------------------------------------------------------------

    def get_task_status_sync(self, task_id: str) -> TaskStatus:
        """Where the task stands."""
        try:
            return self._read(task_id).status
        except GoalNotFound:
            if (status := self._before_its_goal(task_id)) is not None:
                return status
            raise

    def get_task_data_sync(self, task_id: str) -> dict[str, Any]:
        """Everything about a task, in nFactorial's shape: `payload` is the context, with the whole conversation and output."""
        with self.chordal.reachable():
            return self._read(task_id).as_data()

    def get_task_result_sync(self, task_id: str) -> Any:
        """The final output. Raises NoResult where there is none (yet)."""
        read = self._read(task_id)
        if read.status is not TaskStatus.COMPLETED:
            raise NoResult(f"task {task_id!r} is {read.status} and has no final output")
        return read.output

    # -- while it runs ----------------------------------------------------------------------------------------------

    def cancel_task_sync(self, task_id: str) -> None:
        """Stop a task for good, its running turn and its children too. Raises InactiveTask when it had ended."""
        try:
            outcome = self.chordal.cancel(task_id, CANCELLED)
        except GoalNotFound:
            if self._before_its_goal(task_id) is not TaskStatus.QUEUED:
                raise
            outcome = self._cancel_before_its_goal(task_id)
        if outcome == "ended":
            raise InactiveTask(f"task {task_id!r} has ended; there is nothing to cancel")

    def steer_task_sync(self, task_id: str, messages: Sequence[Mapping[str, Any]]) -> None:
        """Say something to a running task: its next turn reads the messages, in their order.

        Each has `role` (user or system) and `content`. Raises InactiveTask when the task has ended, and BadMessage.
        """
        try:
            with self.chordal.reachable():
                self.chordal.agents.steer(task_id, NODE, messages)
        except IllegalTransition as error:
            raise InactiveTask(str(error)) from None

    def complete_deferred_tool_sync(
        self,
        task_id: str = "",
        tool_call_id: str = "",
        result: Any = None,
        *,
        token: str = "",
        error: str | None = None,
    ) -> bool:
        """Give a deferred tool call its result, once; True. By the task and the model's id of the call, or by its `token`.

        With `error` the call fails, and the agent reads that. Raises InactiveTask when the task has ended,
        NoSuchCall, and BadToken when no call waits for it: it was completed before, or there was none.
        """
        if not token:
            read = self._read(task_id)
            if read.status in ENDED:
                raise InactiveTask(f"task {task_id!r} is {read.status}; it waits for no tool")
            with self.chordal.reachable():
                token = read.token_of(tool_call_id)
        with self.chordal.reachable():
            self.chordal.agents.complete_deferred(token, result, error=error)
        return True

    def _read(self, task_id: str) -> TaskRead:
        return TaskRead.of(self.chordal, task_id)

    def _before_its_goal(self, task_id: str) -> TaskStatus | None:
        """How a task of a batch stands whose own goal was not made (yet); None where that says nothing."""
        batch = batch_of_task(task_id)
        if batch is None:
            return None
        with self.chordal.reachable():
            state = self.chordal.store.nodes.states(batch, [task_id.removeprefix(f"{batch}.")])[0].get("state")
        if state in (NodeState.DROPPED, NodeState.CANCELLED):
            return TaskStatus.CANCELLED
        return None if state is None or state in NODE_TERMINAL else TaskStatus.QUEUED

    def _cancel_before_its_goal(self, task_id: str) -> str:
        """Take a task of a batch out of it before its goal is made."""
        batch = batch_of_task(task_id) or ""
        try:
            self.chordal.patch(batch, {"drop_nodes": [task_id.removeprefix(f"{batch}.")]}, CANCELLED)
        except InvalidGoal:  # a worker makes the goal right now
            return self.chordal.cancel(task_id, CANCELLED)
        return "cancelled"
