"""What happens to goals when processes die, stand still or lose Redis. Real signals on real processes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from orchestrator.domain.errors import RedisNotReachable
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect
from support.servers import Fleet, server, until

WORK = """
import time
from orchestrator import node

@node
def nap(path, name, seconds):
    with open(path, "a") as file: file.write(name + "\\n")
    time.sleep(seconds)
    return name
"""
FILES = {"work.py": WORK}


def naps(folder: Path, count: int, seconds: float) -> list[dict[str, object]]:
    inputs = {"path": str(folder / "starts"), "seconds": seconds}
    return [
        {"id": f"n{index}", "call": "work:nap", "inputs": {**inputs, "name": f"n{index}"}} for index in range(count)
    ]


def starts(folder: Path) -> Counter[str]:
    path = folder / "starts"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def began_on(chordal: Chordal, goal: str, worker: str, moment: float) -> bool:
    running = [node for node in chordal.status(goal).nodes.values() if node.state is NodeState.RUNNING]
    return any((node.worker or "").startswith(worker) and (node.started or 0) > moment for node in running)


def progressed(chordal: Chordal, goal: str, before: int) -> bool:
    summary = chordal.summary(goal)
    return summary.terminal or summary.counts[NodeState.DONE] > before


def ended(chordal: Chordal, goal: str, seconds: float = 40) -> None:
    until(lambda: chordal.summary(goal).terminal, seconds, f"the end of {goal}: {chordal.summary(goal)}")


def test_kill_9_of_a_worker_loses_nothing(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work")
    victim = one.worker("w1")
    one.worker("w2")
    one.beat()
    chordal = one.chordal()
    until(lambda: chordal.live_workers() == 2, what="two workers")
    goal = chordal.submit({"nodes": naps(one.folder, 20, 0.6)})
    until(lambda: chordal.summary(goal).counts[NodeState.DONE] >= 2, what="some nodes are done")
    moment = chordal.store.goals.clock_ms() / 1000
    until(partial(began_on, chordal, goal, "w1@", moment), what="the victim has just begun something")
    killed_at = chordal.store.goals.clock_ms() / 1000
    victim.kill(signal.SIGKILL)
    ended(chordal, goal)
    status = chordal.status(goal)
    assert status.state is GoalState.DONE
    repeated = {name for name, count in starts(one.folder).items() if count > 1}
    events = chordal.events(goal, limit=10_000)
    lost = {event.node for event in events if event.type == "node.lost"}
    assert 1 <= len(lost) <= 2, "no more than the victim had slots"
    assert repeated <= lost, "only what was running is started again"
    again = min(
        event.at for event in events if event.type == "node.claimed" and event.node in lost and event.at > killed_at
    )
    assert again - killed_at <= 5.0 + 1.0, "lease 3 s and two beats, plus a slow machine's second"
    done = Counter(event.node for event in events if event.type == "node.done")
    assert set(done.values()) == {1}


def test_a_worker_that_stood_still_commits_nothing_late(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work", CHORDAL_LEASE_SECONDS="1")
    frozen = one.worker("w1", slots=1)
    chordal = one.chordal()
    one.beat()
    goal = chordal.submit({"nodes": naps(one.folder, 1, 1.5)})
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING], what="it runs")
    frozen.kill(signal.SIGSTOP)
    one.worker("w2", slots=1)
    ended(chordal, goal)
    assert chordal.status(goal).nodes["n0"].attempt == 2
    frozen.kill(signal.SIGCONT)
    until(
        lambda: [e for e in chordal.events(goal) if e.type == "node.fenced" and e.token == 1], what="the fenced commit"
    )
    assert sum(event.type == "node.done" for event in chordal.events(goal)) == 1
    assert "was fenced; nothing changed" in frozen.text()


def test_redis_away_for_a_while_stops_nothing_for_good(tmp_path: Path) -> None:
    with server() as own:
        one = Fleet(own.url, tmp_path, {"CHORDAL_IMPORTS": "work"})
        (tmp_path / "work.py").write_text(WORK)
        try:
            one.worker("w1")
            one.beat()
            chordal = one.chordal()
            until(lambda: chordal.live_workers(), what="the worker")
            goal = chordal.submit({"nodes": naps(one.folder, 12, 0.5)})
            until(lambda: chordal.summary(goal).counts[NodeState.DONE] >= 2, what="some are done")
            own.stop(signal.SIGKILL)
            with pytest.raises(RedisNotReachable, match="chordal up"):
                chordal.summary(goal)
            until(lambda: "Redis is away" in "".join(proc.text() for proc in one.procs), 10, "a worker that waits")
            until(lambda: "beat waits for it" in one.procs[1].text(), 20, "a beat that waits")
            own.start()
            ended(chordal, goal, 60)
            assert chordal.status(goal).state is GoalState.DONE
            done = Counter(event.node for event in chordal.events(goal) if event.type == "node.done")
            assert done == Counter({f"n{index}": 1 for index in range(12)})
        finally:
            one.stop()


def test_a_cold_shutdown_hands_the_running_nodes_back(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work", CHORDAL_LEASE_SECONDS="30")
    first = one.worker("w1")
    chordal = one.chordal()
    goal = chordal.submit({"nodes": naps(one.folder, 2, 4)})
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING] == 2, what="both run")
    first.process.send_signal(signal.SIGQUIT)
    until(lambda: chordal.summary(goal).counts[NodeState.READY] == 2, 10, "handed back long before the lease ends")
    first.process.wait(20)
    one.worker("w2")
    ended(chordal, goal)
    assert {node.attempt for node in chordal.status(goal).nodes.values()} == {1}
    assert sum(event.type == "node.released" for event in chordal.events(goal)) == 2


def test_a_warm_shutdown_finishes_what_runs_and_starts_nothing(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work")
    worker = one.worker("w1")
    chordal = one.chordal()
    goal = chordal.submit({"nodes": naps(one.folder, 8, 0.5)})
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING] == 2, what="two run")
    worker.process.terminate()
    worker.process.wait(20)
    counts = chordal.summary(goal).counts
    assert counts[NodeState.RUNNING] == 0
    assert counts[NodeState.DONE] < 8
    assert not chordal.live_workers()
    one.worker("w2")
    one.beat()
    ended(chordal, goal)
    assert set(starts(one.folder).values()) == {1}


@pytest.mark.parametrize("pool", ["threads", "gevent", "solo"])
def test_every_pool_runs_goals(fleet: Callable[..., Fleet], pool: str) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work")
    one.worker("w1", pool=pool, slots=1 if pool == "solo" else 4)
    one.beat()
    chordal = one.chordal()
    until(lambda: chordal.live_workers(), what="the worker")
    nodes = naps(one.folder, 8, 0.1)
    late = {**naps(one.folder, 1, 5)[0], "id": "late", "timeout_seconds": 0.3}
    edges = [{"source": f"n{index}", "target": "end"} for index in range(8)]
    goal = chordal.submit({"nodes": [*nodes, {"id": "end"}, late], "edges": edges})
    ended(chordal, goal)
    status = chordal.status(goal)
    assert status.nodes["end"].state is NodeState.DONE
    assert "time limit of 0.3 s" in (status.nodes["late"].error or "")
    assert (status.nodes["late"].ended or 0) - (status.nodes["late"].started or 0) < 5


def test_forgotten_scripts_are_loaded_again(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work")
    one.worker("w1")
    one.beat()
    chordal = one.chordal()
    goal = chordal.submit({"nodes": naps(one.folder, 10, 0.2)})
    for _ in range(5):
        chordal.store.client.script_flush()
        before = chordal.summary(goal).counts[NodeState.DONE]
        until(partial(progressed, chordal, goal, before), what="progress")
    ended(chordal, goal)


def test_two_beats_do_no_harm(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work", CHORDAL_LEASE_SECONDS="1")
    first = one.beat()
    standby = one.start("beat", "-l", "INFO", wait_for="Starting...")
    victim = one.worker("w1", slots=1)
    chordal = one.chordal()
    goal = chordal.submit({"nodes": naps(one.folder, 3, 1)})
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING], what="it runs")
    first.kill(signal.SIGKILL)
    victim.kill(signal.SIGKILL)
    one.worker("w2", slots=1)
    ended(chordal, goal, 60)
    assert "Acquired lock" in standby.text()
    assert chordal.status(goal).state is GoalState.DONE


def test_nothing_answers_and_the_message_says_how_to_start_one() -> None:
    chordal = connect(Settings(redis_url="redis://:secret@127.0.0.1:1/0"))
    with pytest.raises(RedisNotReachable) as error:
        chordal.submit({"nodes": [{"id": "a"}]})
    assert "redis://:***@127.0.0.1:1/0" in str(error.value)
    assert "chordal up" in str(error.value)
    assert os.environ.get("CHORDAL_REDIS_URL") is None
