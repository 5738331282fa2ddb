"""Faults that need the host: network namespaces and wrong clocks. Each in a world of its own, skipped where it cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from chaos.fault import AGAIN, Scenario, Struck, as_root
from chaos.faults_process import kill_main
from chaos.scenarios_failover import free_port
from chaos.world import World, workplace
from support.servers import Server

NAMESPACE_IP = "10.203.77"
SKEW_SECONDS = 3600


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def in_namespaces(seed: int) -> Iterator[World]:
    """One worker beside the server, one in a network namespace of its own."""
    name, port = f"chaos{os.getpid()}", free_port()
    link = f"ch{os.getpid()}"
    with workplace() as folder, workplace() as disk:
        made = None
        server = Server(disk)
        _ip("netns", "add", name)
        try:
            _ip("link", "add", link, "type", "veth", "peer", "name", "far", "netns", name)
            _ip("addr", "add", f"{NAMESPACE_IP}.1/24", "dev", link)
            _ip("link", "set", link, "up")
            for words in (("addr", "add", f"{NAMESPACE_IP}.2/24", "dev", "far"), ("link", "set", "far", "up")):
                _ip("-n", name, *words)
            _ip("-n", name, "link", "set", "lo", "up")
            server.start("--port", str(port), "--bind", f"{NAMESPACE_IP}.1", "--protected-mode", "no")
            made = World(seed, server, folder, tasks=False)
            made.add("w0")
            made.add("far", url=f"redis://{NAMESPACE_IP}.1:{port}/0", prefix=("ip", "netns", "exec", name))
            made.add("b0", "beat")
            made.link = link
            yield made
        finally:
            if made is not None:
                made.stop()
            server.stop(signal.SIGKILL)
            _ip("netns", "del", name)


def cut_link(world: World, _: Random) -> Struck:
    member = world.workers()[1]
    world.wait(lambda: member.ready and world.held_by(member.pids()), 30, "the far worker works")
    pids = member.pids()
    _ip("link", "set", world.link, "down")
    return Struck(pids, heal=partial(_ip, "link", "set", world.link, "up"), detail=member.name)


def faketime_library() -> Path | None:
    """libfaketime, where the distributions put it."""
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"))
    return found[0] if found else None


def without_faketime() -> str:
    return "" if faketime_library() else "needs libfaketime"


@contextmanager
def with_wrong_clocks(seed: int) -> Iterator[World]:
    """One worker an hour ahead, one an hour behind, one beat ahead; Redis has the right time."""
    with workplace() as folder, workplace() as disk:
        server = Server(disk)
        server.start()
        made = World(seed, server, folder, tasks=False)
        try:
            for name, role, skew in (("w0", "worker", SKEW_SECONDS), ("w1", "worker", -SKEW_SECONDS), ("b0", "beat", SKEW_SECONDS)):  # fmt: skip
                preload = {"LD_PRELOAD": str(faketime_library()), "FAKETIME": f"{skew:+d}"}
                made.add(name, role, env=preload)
            yield made
        finally:
            made.stop()
            server.stop(signal.SIGKILL)


def kill_under_wrong_clocks(world: World, chance: Random) -> Struck:
    member = world.workers()[0]
    seen = world.chordal.store.fleet.workers()
    skews = sorted(round((beat.worker.started - beat.at_ms / 1000) / 60) for beat in seen)
    world.note(f"clocks off by {' and '.join(f'{skew:+d}' for skew in skews)} min")
    if not any(abs(skew) > 50 for skew in skews):
        world.violations.append(f"the clocks are not wrong: {skews}")
    struck = kill_main(world, chance)
    return Struck(struck.pids, detail=f"{member.name}, {time.strftime('%H:%M')}")


SCENARIOS = (
    Scenario(
        name="Partition between network namespaces",
        does="A worker in a namespace of its own; its link is taken down for longer than the lease.",
        holds="What it held is claimed elsewhere within lease + two beats; its late commits are fenced.",
        loses=AGAIN,
        make=in_namespaces,
        inject=cut_link,
        bounded=True,
        lasts=(4.0, 4.0),
        needs=as_root("ip"),
    ),
    Scenario(
        name="Clocks an hour wrong",
        does="By libfaketime one worker and the beat are an hour ahead, one worker an hour behind; then a worker is killed.",
        holds="No worker's clock decides anything: timers, leases, retries and recovery follow Redis's time.",
        loses="Times that workers only show, such as when they started.",
        make=with_wrong_clocks,
        inject=kill_under_wrong_clocks,
        bounded=True,
        needs=without_faketime,
    ),
)
