"""Failover: workers behind a Sentinel lose their master. A world of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import redis

from chaos.fault import Scenario, Struck
from chaos.losses import forget_missing, gone_events, last_events
from chaos.world import World, workplace
from orchestrator.embedded.binary import find_server
from support.servers import Server, until

FAILOVER_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Pair(World):
    """A master, its replica and a Sentinel."""

    master_port: int = 0
    replica_port: int = 0
    before: dict[str, str] = field(default_factory=dict)

    def role(self, port: int) -> str:
        with redis.Redis(port=port, socket_timeout=1) as client:
            return str(client.info("replication")["role"])


def say_sentinel(folder: Path, port: int, master: int) -> subprocess.Popen[bytes]:
    """Start a Sentinel that fails over after a second of silence."""
    conf = folder / "sentinel.conf"
    name = "sentinel {} state {}\n".format
    conf.write_text(
        f"port {port}\nbind 127.0.0.1\n" + name("monitor", f"127.0.0.1 {master} 1")
        + name("down-after-milliseconds", 1000) + name("failover-timeout", 3000)
    )  # fmt: skip
    with (folder / "sentinel.log").open("wb") as log:
        return subprocess.Popen([str(find_server().path), str(conf), "--sentinel"], stdout=log, cwd=folder)


@contextmanager
def behind_sentinel(seed: int) -> Iterator[World]:
    """Workers and beats that find the master through Sentinel."""
    with workplace() as folder, workplace() as one, workplace() as two:
        ports = [free_port() for _ in range(3)]
        master, replica = Server(one), Server(two)
        sentinel = None
        made = None
        try:
            master.start("--port", str(ports[0]), "--bind", "127.0.0.1")
            replica.start("--port", str(ports[1]), "--bind", "127.0.0.1", "--replicaof", "127.0.0.1", str(ports[0]))
            sentinel = say_sentinel(folder, ports[2], ports[0])
            until(lambda: _knows_replica(ports[2]), 30, "the sentinel knows the replica")
            url = f"sentinel://127.0.0.1:{ports[2]}/0?service=state"
            made = Pair(seed, master, folder, url, tasks=False, master_port=ports[0], replica_port=ports[1])
            for name in ("w0", "w1"):
                made.add(name)
            made.add("b0", "beat")
            yield made
        finally:
            if made is not None:
                made.stop()
            if sentinel is not None:
                sentinel.kill()
                sentinel.wait(10)
            replica.stop(signal.SIGKILL)
            if master.process is not None:
                master.process.send_signal(signal.SIGCONT)
                master.stop(signal.SIGKILL)


def _knows_replica(port: int) -> bool:
    try:
        with redis.Redis(port=port, decode_responses=True) as client:
            seen: Any = client.sentinel_slaves("state")
            return bool(seen) and not any(one["is_sdown"] for one in seen)
    except redis.RedisError:
        return False


def _failed_over(world: Pair) -> None:
    world.wait(lambda: world.role(world.replica_port) == "master", FAILOVER_SECONDS, "the replica is promoted")


def _account(world: Pair) -> None:
    """What the failover lost, once there is one master only."""
    world.wait(lambda: world.role(world.master_port) == "slave", FAILOVER_SECONDS, "the old master is a replica")
    lost = world.wait(
        lambda: (gone_events(world, world.before), len(forget_missing(world))), 20, "the new master answers"
    )
    world.note(f"{lost[0]} goals went back, {lost[1]} were gone")


def fail_over(freeze: bool, world: World, _: Random) -> Struck:
    assert isinstance(world, Pair)
    world.before = last_events(world)
    process = world.server.process
    assert process is not None
    struck = time.time()
    if freeze:
        process.send_signal(signal.SIGSTOP)
    else:
        world.server.stop(signal.SIGKILL)
    _failed_over(world)

    def heal() -> None:
        world.set_back |= world.running
        if freeze:
            process.send_signal(signal.SIGCONT)
        else:
            world.server.start("--port", str(world.master_port), "--bind", "127.0.0.1")
        _account(world)

    return Struck(heal=heal, detail="frozen" if freeze else "killed", at=struck, since=struck)


FAILOVER_LOSS = (
    "What the new master had not received: nodes run again, a goal submitted in the window can be gone. Fencing tokens may be"
    " handed out twice; the nonce still tells the leases apart. `min-replicas-to-write 1` narrows the window."
)

SCENARIOS = (
    Scenario(
        name="Sentinel failover: the master is killed",
        does="SIGKILL of the master; Sentinel promotes the replica; the old master comes back as a replica.",
        holds="Every goal that the new master knows goes on from one consistent moment, and ends; every rule of the checker"
        " holds of its history.",
        loses=FAILOVER_LOSS,
        make=behind_sentinel,
        inject=partial(fail_over, False),
    ),
    Scenario(
        name="Sentinel failover: the master stands still and comes back",
        does="SIGSTOP of the master until the replica is promoted, then SIGCONT: two masters, until Sentinel demotes the old.",
        holds="As above. What the old master accepted after the promotion is thrown away as a whole.",
        loses=FAILOVER_LOSS,
        make=behind_sentinel,
        inject=partial(fail_over, True),
        lasts=(1.0, 1.0),
    ),
)
