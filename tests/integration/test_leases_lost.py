"""A lease that is lost is noticed soon where somebody waits for that, and the work under it is stopped."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from orchestrator.domain.errors import NodeTimeout
from orchestrator.domain.lease import Lease
from orchestrator.engine.leases import Held, Keeper
from orchestrator.engine.time_limit import time_limit
from support.house import ROOT
from support.servers import until
from support.sim import Sim

LEASE_MS = 60_000
SOON = 1.0
"""Seconds: renewed every 0.5, looked at every 0.25."""


def taken(sim: Sim) -> Lease:
    """A claimed node."""
    sim.submit(["a"])
    return sim.take("a")


def test_how_often_a_lease_is_renewed(sim: Sim) -> None:
    keeper, lease = Keeper(sim.store), Lease("g", "a", 1, "x", 1)
    assert keeper.hold(lease, 3000).renew_seconds == 1.0
    assert keeper.hold(lease, 3000, renew_seconds=0.5).renew_seconds == 0.5
    assert keeper.hold(lease, 900, renew_seconds=0.5).renew_seconds == pytest.approx(0.3), "never later than a third"


def test_who_asks_for_it_learns_of_a_cancel_within_a_second(sim: Sim) -> None:
    keeper, lease = Keeper(sim.store), taken(sim)
    held = keeper.hold(lease, LEASE_MS, renew_seconds=0.5)
    sim.cancel()
    begun = time.monotonic()
    until(lambda: held.lost, what="the lease is lost")
    assert time.monotonic() - begun < SOON
    keeper.drop(held)


def busy(held: Held, said: list[Any]) -> None:
    """Work that never ends by itself, in small steps."""
    try:
        with time_limit(held, None):
            said.append("begun")
            until(lambda: False, 30, what="work that is stopped")
    except NodeTimeout as error:
        said.append(type(error))
    said.append(time.monotonic())


def test_a_thread_is_stopped_when_its_lease_is_lost(sim: Sim) -> None:
    keeper, lease, said = Keeper(sim.store), taken(sim), list[Any]()

    def work() -> None:
        busy(keeper.hold(lease, LEASE_MS, renew_seconds=0.5, stops_when_lost=True), said)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: said, what="the work has begun")
    sim.cancel()
    begun = time.monotonic()
    thread.join(10)
    assert said[:2] == ["begun", NodeTimeout]
    assert said[2] - begun < SOON


def test_work_that_did_not_ask_for_it_goes_on(sim: Sim) -> None:
    keeper, lease, end = Keeper(sim.store), taken(sim), threading.Event()
    said = list[Any]()

    def work() -> None:
        held = keeper.hold(lease, LEASE_MS, renew_seconds=0.1)
        with time_limit(held, 60):
            said.append(held)
            end.wait(20)
            said.append("whole")

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: said, what="the work has begun")
    sim.cancel()
    until(lambda: said[0].lost, what="the lease is lost")
    keeper.watch_once(time.monotonic())
    end.set()
    thread.join(20)
    assert said[1] == "whole"
    keeper.drop(said[0])


PROGRAM = """
import sys
if sys.argv[1] == "greenlet":
    from gevent import monkey; monkey.patch_all()
import signal, time
from orchestrator.domain.errors import NodeTimeout
from orchestrator.domain.lease import Lease
from orchestrator.engine.leases import Keeper
from orchestrator.engine.time_limit import time_limit
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store

def work():
    keeper = Keeper(Store(sys.argv[2], Keys(sys.argv[5]), 2000))
    held = keeper.hold(Lease("g", "a", int(sys.argv[3]), sys.argv[4], 1), 60000, renew_seconds=0.5, stops_when_lost=True)
    try:
        with time_limit(held, 1000):
            print("begun", flush=True)
            time.sleep(100)
    except NodeTimeout as error:
        print(error, flush=True)
    looks, end = [], time.monotonic() + 10  # the watcher comes by twice more, and leaves the work alone
    keeper.watchers.append(looks.append)
    while len(looks) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    print("whole", signal.getsignal(signal.SIGALRM) is not None, flush=True)

if sys.argv[1] == "greenlet":
    import gevent
    gevent.spawn(work).join()
else:
    work()
"""


@pytest.mark.parametrize("place", ["main", "greenlet"])
def test_it_is_stopped_even_while_it_sleeps(sim: Sim, place: str) -> None:
    if place == "greenlet":
        pytest.importorskip("gevent")
    lease = taken(sim)
    program = [
        sys.executable,
        "-c",
        PROGRAM,
        place,
        sim.store.url,
        str(lease.token),
        lease.nonce,
        sim.store.keys.prefix,
    ]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "begun\n"
        sim.cancel()
        begun = time.monotonic()
        assert process.stdout.readline() == "its lease is lost\n", process.stderr.read()
        assert time.monotonic() - begun < SOON
        assert process.stdout.readline().startswith("whole")
        assert process.wait(20) == 0
