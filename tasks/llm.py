"""Tasks that call models, and the gate of the workers that run them."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress
from typing import Any, Final

from celery import bootsteps
from celery.exceptions import Ignore

from orchestrator.app import app
from orchestrator.engine.duties import LLM_QUEUE

from .draining import give_back, is_draining
from .parts import chordal

log = logging.getLogger(__name__)

FILES: Final = 65_536


@app.task(name="tasks.llm.run", ignore_result=True)
def run(account: str, permit: str, outcome: str, detail: str) -> str:
    """Make the call of a node whose turn has come, or act on why it will not come; returns what happened to the node."""
    if is_draining():
        give_back()
    return chordal().models.gate.answer(account, permit, outcome, detail)


@app.task(name="tasks.llm.call", bind=True, Request="orchestrator.tasks.private:PrivateRequest")
def call(self: Any, prompt: str | None = None, owner: str = "default", priority: int = 0, **inputs: Any) -> None:
    """Call a model through the fleet's queue; the result is as an `llm` node's output: text, parsed, usage and more.

    `inputs` are those of an `llm` node. This task ends at once without a result; the answer is stored under its id when
    the call has been made, by whichever worker made it. Raises InvalidGoal.
    """
    if prompt is not None:
        inputs["prompt"] = prompt
    chordal().call_model(self.request.id, inputs, owner, priority)
    raise Ignore("the result follows")


class GateKeeper(bootsteps.StartStopStep):
    """In the main process of a worker of the queue `llm`: makes messages of the words for calls that may go out."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, parent: Any) -> bool:
        """Only where calls are made."""
        return LLM_QUEUE in parent.app.amqp.queues.consume_from

    def start(self, _parent: Any) -> None:
        """Open the gate; it stays open over lost connections, after which Celery starts this step anew."""
        from orchestrator.llm.failures import InvalidProfiles  # other workers need nothing of models

        _raise_file_limit()
        try:
            chordal().models.gate.open()
        except InvalidProfiles as error:
            log.warning("this worker makes no calls of models: %s", error)

    def shutdown(self, _parent: Any) -> None:
        """Words are left to the other gates."""
        from orchestrator.llm.failures import InvalidProfiles

        with suppress(InvalidProfiles):
            chordal().models.limiter.close()


def _raise_file_limit() -> None:
    """A call in flight is an open socket, and the usual limit is 1,024 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
