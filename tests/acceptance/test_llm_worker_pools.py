"""Nodes call a model from every pool of a Celery worker, one client for all of them, made before the pool forks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from orchestrator.domain.states import GoalState
from orchestrator.llm.limiter import Limiter
from support.model_server import Handler, chat, model_server, says
from support.servers import Fleet, until

MOST, CALLS = 3, 18

WORK = """
from orchestrator import connect, node
from orchestrator.llm.limits import Cost
from orchestrator.llm.messages import Message, Request, Speaker
from orchestrator.settings import Settings

chordal = connect(Settings())
# Used where it is made: in the main process of a prefork worker, whose children go on with it.
chordal.limiter.acquire("openai", Cost(1, 1), owner="first").settle(Cost(1, 1))

@node
def ask(text):
    message = Message(speaker=Speaker.USER, text=text)
    request = Request(model="default", messages=(message,), max_output_tokens=50, owner="nodes")
    return chordal.llm.complete(request).text
"""


@dataclass
class Counter:
    """Answers after a while; knows how many requests it had at once."""

    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, handler: Handler) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.1)
        with self.lock:
            self.now -= 1
        says(chat(handler.asked.body["messages"][0]["content"].upper()))(handler)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_nodes_call_models_in_every_pool(fleet: Callable[..., Fleet], pool: str) -> None:
    if pool == "gevent":
        pytest.importorskip("gevent")
    with model_server() as server:
        counter = Counter()
        server.does(counter)
        one = fleet(
            {"work.py": WORK}, CHORDAL_IMPORTS="work", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="none",
            CHORDAL_LLM_MAX_CONCURRENCY=MOST,
        )  # fmt: skip
        one.worker("w1", pool=pool, slots=6)
        chordal = one.chordal()
        nodes = [{"id": f"n{index}", "call": "work:ask", "inputs": {"text": f"word {index}"}} for index in range(CALLS)]
        goal = chordal.submit({"nodes": nodes})
        until(lambda: chordal.summary(goal).terminal, 60, f"the end: {chordal.summary(goal)}")
        assert chordal.summary(goal).state is GoalState.DONE
        found = {name: node.output for name, node in chordal.status(goal).nodes.items()}
        assert found == {f"n{index}": f"WORD {index}" for index in range(CALLS)}
        assert 2 <= counter.most <= MOST
        assert len(server.asked) == CALLS
        until(lambda: not Limiter(chordal.store, {}).status("openai").leases, 15, "every permit has ended")
