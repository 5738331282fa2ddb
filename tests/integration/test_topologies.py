"""The same operations on a Redis Cluster and behind Sentinel, each made of real servers."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import redis

from orchestrator.domain.lease import Lease
from orchestrator.embedded.binary import find_server
from orchestrator.settings import Settings
from orchestrator.store.records import Outcome, Result
from orchestrator.wiring import Chordal, connect
from support.servers import until

SLOTS = '{"*":4}'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        return port if port < 55_000 else free_port()  # a cluster node also takes port + 10000


def answers(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def servers() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait(10)


def start(servers: list[subprocess.Popen[bytes]], folder: Path, *options: str) -> int:
    port = free_port()
    place = folder / str(port)
    place.mkdir()
    argv = [
        str(find_server().path),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(place),
        "--save",
        "",
        *options,
    ]
    servers.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))
    until(lambda: answers(port), what=f"the server at {port}")
    return port


def run_a_goal(chordal: Chordal, goal: str) -> None:
    """Submit, claim, renew, commit, lose, reap and remove: every kind of access to the keys of a goal."""
    setattr(chordal.sender, "invite", lambda _: None)  # noqa: B010 - no message goes out, and mypy need not agree
    nodes = [{"id": name} for name in ("a", "b", "c")]
    edges = [{"source": "a", "target": "c"}, {"source": "b", "target": "c"}]
    assert chordal.submit({"goal_id": goal, "nodes": nodes, "edges": edges}) == goal
    store = chordal.store.nodes
    step = store.claim(goal, "default", worker="w", nonce="n", lease_ms=60_000, most=2, slots=SLOTS)
    leases: list[Lease] = [claimed.lease for claimed in step.claims]
    assert store.renew({goal: [(lease, 60_000) for lease in leases]}) == []
    results = [Result(lease, Outcome.DONE, '{"x":1}') for lease in leases]
    step = store.commit(goal, results, worker="w", nonce="m", lease_ms=1, slots=SLOTS, most=1)
    assert [claimed.lease.node for claimed in step.claims] == ["c"]
    until(
        lambda: chordal.duties.reap() and "node.lost" in [event.type for event in chordal.events(goal)],
        what="the lost lease",
    )
    step = store.claim(goal, "default", worker="w", nonce="o", lease_ms=60_000, most=1, slots=SLOTS)
    step = store.commit(
        goal, [Result(step.claims[0].lease, Outcome.DONE)], worker="w", nonce="p", lease_ms=1, slots=SLOTS
    )
    assert step.status == "DONE"
    status = chordal.status(goal)
    assert status.nodes["a"].output == {"x": 1}
    assert chordal.list()[0].goal_id == goal
    assert chordal.store.goals.remove(goal) == "removed"
    assert chordal.list() == []


def beat_ticks(chordal: Chordal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat takes its lock, does its duties, and gives the lock back."""
    beat = import_module("orchestrator.beat.scheduler")
    monkeypatch.setattr(beat, "connect", lambda: chordal)
    scheduler = beat.Scheduler(chordal.app, lazy=True)
    for _ in range(2):
        scheduler._next_entries = 0.0
        assert scheduler.tick() >= 0
    assert scheduler.lock.owned()
    assert set(chordal.store.fleet.ticks()) == {duty.name for duty in chordal.duties.all()}
    assert not [tick for tick in chordal.store.fleet.ticks().values() if tick["note"].startswith("failed")]
    assert [(one.name, one.ticks) for one in chordal.store.upkeep.beats()] == [(scheduler._name, True)]
    scheduler.close()
    assert not chordal.store.client.exists("redbeat::lock")


def test_a_cluster_of_three(servers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ports = [start(servers, Path(folder), "--cluster-enabled", "yes") for _ in range(3)]
        clients: list[Any] = [redis.Redis(port=port, decode_responses=True) for port in ports]
        for index, client in enumerate(clients):
            first, last = 16384 * index // 3, 16384 * (index + 1) // 3 - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        until(
            lambda: all(
                "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO"))
                or client.cluster("info").get("cluster_state") == "ok"
                for client in clients
            ),
            30,
            "the cluster",
        )
        until(lambda: all(len(client.cluster("nodes")) == 3 for client in clients), 30, "every server knows the others")
        chordal = connect(Settings(redis_url=f"cluster://127.0.0.1:{ports[0]}", broker_url="memory://"))
        for index in range(6):  # goals whose slots are spread over the servers
            run_a_goal(chordal, f"goal-{index}")
        slots = {int(clients[0].cluster("keyslot", f"dag:{{goal-{index}}}")) * 3 // 16384 for index in range(6)}
        assert len(slots) > 1, "the goals lived on different servers"
        assert sum(client.dbsize() for client in clients) == 0, "and left nothing there"
        beat_ticks(chordal, monkeypatch)
        chordal.store.close()


def test_sentinel_finds_the_master(servers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        master = start(servers, Path(folder))
        port = free_port()
        conf = Path(folder) / "sentinel.conf"
        conf.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor state 127.0.0.1 {master} 1\n")
        servers.append(subprocess.Popen([str(find_server().path), str(conf), "--sentinel"], stdout=subprocess.DEVNULL))
        until(lambda: answers(port), what="the sentinel")
        chordal = connect(Settings(redis_url=f"sentinel://127.0.0.1:{port}/0?service=state", broker_url="memory://"))
        run_a_goal(chordal, "behind-sentinel")
        beat_ticks(chordal, monkeypatch)
        chordal.store.close()
