"""Minutes of random signals on real workers and beats while goals run; afterwards the history must hold.

``make chaos ARGS="--chaos-seconds 300 --chaos-seed 7"``. The seed decides who is hit when; what runs at that moment is real.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from orchestrator.domain.states import GoalState
from orchestrator.wiring import Chordal
from support.servers import Fleet, Proc, server, until

WORK = """
import random, time
from orchestrator import node

@node
def step(seconds): time.sleep(seconds); return seconds
"""
LEASE_SECONDS = 1.0


def document(chance: random.Random, size: int) -> dict[str, object]:
    """A random DAG of short nodes."""
    nodes = [
        {"id": f"n{i}", "call": "work:step", "inputs": {"seconds": chance.choice([0, 0, 0.01, 0.1, 0.4])}}
        for i in range(size)
    ]
    edges = []
    for target in range(1, size):
        for source in chance.sample(range(target), min(target, chance.randrange(0, 3))):
            edges.append({"source": f"n{source}", "target": f"n{target}"})
    return {"nodes": nodes, "edges": edges}


def passed(moment: float) -> bool:
    return time.monotonic() >= moment


def ended(chordal: Chordal, goal: str) -> bool:
    return chordal.summary(goal).terminal


def check_history(chordal: Chordal, goal: str, size: int) -> None:
    """One accepted commit a node, tokens that rise, claims only after the parents' commits."""
    status = chordal.status(goal)
    assert status.state is GoalState.DONE, status
    parents: dict[str, set[str]] = {name: set() for name in status.nodes}
    for source, target in status.edges:
        parents[target].add(source)
    done: Counter[str] = Counter()
    token = 0
    for event in chordal.events(goal, limit=1_000_000):
        if event.type == "node.claimed":
            assert event.token is not None
            assert event.token > token, event
            token = event.token
            assert all(done[parent] for parent in parents[event.node]), event
            assert not done[event.node], event
        elif event.type == "node.done":
            done[event.node] += 1
    assert len(done) == size
    assert set(done.values()) == {1}
    assert sum(status.counts.values()) == size


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_goals_survive_random_signals(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    seconds = float(request.config.getoption("--chaos-seconds"))
    seed = int(request.config.getoption("--chaos-seed"))
    chance = random.Random(seed)
    (tmp_path / "work.py").write_text(WORK)
    environment = {"CHORDAL_IMPORTS": "work", "CHORDAL_LEASE_SECONDS": str(LEASE_SECONDS), "CHORDAL_LOST_LIMIT": "1000"}
    faults: Counter[str] = Counter()
    with server() as redis_server:
        fleet = Fleet(redis_server.url, tmp_path, environment)
        try:
            chordal = fleet.chordal()
            workers = [fleet.worker(f"w{index}") for index in range(3)]
            beats = [fleet.beat()]
            goals: dict[str, int] = {}
            end, serial = time.monotonic() + seconds, len(workers)
            while time.monotonic() < end:
                if len(goals) < 200:
                    size = chance.randrange(5, 60)
                    goals[chordal.submit(document(chance, size))] = size
                fault = chance.choice(
                    [
                        "kill worker",
                        "kill worker",
                        "stop worker",
                        "term worker",
                        "quit worker",
                        "kill beat",
                        "flush scripts",
                        "none",
                    ]
                )
                faults[fault] += 1
                serial += 1
                _inflict(fault, chance, fleet, chordal, workers, beats, serial)
                pause = time.monotonic() + chance.uniform(0.1, 1.5)
                until(partial(passed, pause), 5)
            for goal in goals:
                until(partial(ended, chordal, goal), 120, f"seed {seed}: the end of {goal}")
            for goal, size in goals.items():
                check_history(chordal, goal, size)
        finally:
            fleet.stop()
    print(f"\nseed {seed}: {len(goals)} goals, {sum(goals.values())} nodes, 0 violations; {dict(faults)}")


def _inflict(
    fault: str,
    chance: random.Random,
    fleet: Fleet,
    chordal: Chordal,
    workers: list[Proc],
    beats: list[Proc],
    serial: int,
) -> None:
    if fault.endswith("worker"):
        victim = workers.pop(chance.randrange(len(workers)))
        if fault == "kill worker":
            victim.kill(signal.SIGKILL)
        elif fault == "stop worker":
            victim.kill(signal.SIGSTOP)
            wake_at = time.monotonic() + 2.5 * LEASE_SECONDS
            until(lambda: time.monotonic() >= wake_at, 10)
            victim.kill(signal.SIGCONT)
            victim.process.terminate()
        else:
            victim.process.send_signal(signal.SIGTERM if fault == "term worker" else signal.SIGQUIT)
        workers.append(fleet.worker(f"w{serial}"))
    elif fault == "kill beat":
        beats.pop().kill(signal.SIGKILL)
        beats.append(fleet.start("beat", "-l", "INFO", wait_for="Starting..."))
    elif fault == "flush scripts":
        chordal.store.client.script_flush()
