"""The broker: messages between processes, which may be lost, late or doubled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.engine.dispatch import UserTask
from orchestrator.store.llm_records import Word
from orchestrator.store.records import Invitation
from simulation.ears import Telling

if TYPE_CHECKING:
    from simulation.scheduler import Actor, Scheduler

Message = Invitation | UserTask | Telling


class Post:
    """A sender that the scheduler delivers for."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lying: deque[Message] = deque()
        self._waiting: deque[Actor] = deque()

    def invite(self, invitations: Iterable[Invitation]) -> None:
        """Send one message each."""
        for one in invitations:
            self._send(one)

    def start(self, task: UserTask) -> None:
        """Send a user's task."""
        self._send(task)

    def tell(self, goal: str, queue: str) -> None:
        """Have a worker tell of a goal."""
        assert queue == "default"
        self._send(Telling(goal))

    def call(self, account: str, word: Word) -> None:
        """Simulated goals call no models."""
        raise AssertionError(f"a word for {word.id} on {account}")

    def conclude(self, task_id: str, output: Any, error: str | None) -> None:
        """Simulated goals stand for no Celery task."""
        raise AssertionError(f"a result of {task_id}: {error or output}")

    def _send(self, message: Message) -> None:
        scheduler = self._scheduler
        fault = scheduler.weather.of_message()
        if fault:
            scheduler.tally.count("fault", fault)
        scheduler.note("post", f"{fault or 'sent'} {message.goal} {message.node} {message.attempt}")
        if fault == "message lost":
            return
        delay = scheduler.rng.randint(0, 3) if fault != "message late" else scheduler.rng.randint(500, 9000)
        scheduler.at(delay, lambda: self._arrive(message))
        if fault == "message twice":
            scheduler.at(delay + scheduler.rng.randint(1, 4000), lambda: self._arrive(message))

    def _arrive(self, message: Message) -> None:
        self._lying.append(message)
        while self._waiting and self._lying:
            actor = self._waiting.popleft()
            if actor.process.alive:
                self._scheduler.resume(actor, self._lying.popleft())

    def receive(self, actor: Actor) -> None:
        """The actor gets the next message, now or later."""
        if self._lying:
            message = self._lying.popleft()
            self._scheduler.at(0, lambda: self._scheduler.resume(actor, message))
        else:
            self._waiting.append(actor)
