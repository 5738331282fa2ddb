"""One thread for the small jobs of a process."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack

import pytest

from orchestrator.llm import upkeep
from orchestrator.llm.upkeep import Upkeep
from support.servers import until


def threads() -> int:
    return sum(thread.name == "chordal-upkeep" for thread in threading.enumerate())


def test_jobs_are_done_while_their_blocks_last_by_one_thread_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "IDLE_SECONDS", 0.05)
    until(lambda: threads() == 0, what="no thread of an earlier test")
    one, done = Upkeep(0.01), [0] * 20

    def job(index: int) -> None:
        done[index] += 1
        if index == 7:
            raise RuntimeError("once more")

    with ExitStack() as blocks:
        for index in range(20):
            blocks.enter_context(one.every(0.01, lambda index=index: job(index)))  # type: ignore[misc]
        until(lambda: min(done) >= 3, what="each was done, the one that fails too")
        assert threads() == 1
    until(lambda: threads() == 0, what="the thread ends")
    before = list(done)
    with one.every(0.01, lambda: job(0)):
        until(lambda: done[0] > before[0], what="it begins again")
    assert done[1:] == before[1:]


def test_rarer_jobs_are_done_more_rarely() -> None:
    one, done = Upkeep(0.01), {"often": 0, "seldom": 0}

    def count(name: str) -> None:
        done[name] += 1

    with one.every(0.01, lambda: count("often")), one.every(0.1, lambda: count("seldom")):
        until(lambda: done["seldom"] >= 3)
    assert done["often"] >= 5 * done["seldom"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_a_thread_of_its_own() -> None:
    one = Upkeep(0.01)
    with one.every(0.01, lambda: None):
        child = os.fork()
        if child == 0:
            done = threading.Event()
            with one.every(0.01, done.set):
                os._exit(0 if done.wait(10) else 1)
        assert os.waitpid(child, 0)[1] == 0
