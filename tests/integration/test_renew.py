"""renew: a lease lives as long as its worker says so; what is lost is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.sim import LEASE_MS, Sim


def test_a_renewed_lease_is_not_reaped(sim: Sim) -> None:
    sim.submit(["a", "b"])
    leases = [sim.take("a"), sim.take("b")]
    for _ in range(5):
        sim.tick(LEASE_MS - 1)
        assert sim.renew(*leases) == []
        assert list(sim.reap().lost) == []
    sim.tick(LEASE_MS)
    assert sorted(sim.reap().lost) == ["a", "b"]
    assert sim.renew(*leases) == leases


def test_the_length_is_that_of_each_lease(sim: Sim) -> None:
    sim.submit(["a", "b"])
    first, second = sim.take("a"), sim.take("b")
    assert sim.store.nodes.renew({"g": [(first, 100), (second, 9000)]}, now_ms=sim.now) == []
    sim.tick(100)
    assert list(sim.reap().lost) == ["a"]
    sim.tick(8900)
    assert list(sim.reap().lost) == ["b"]


@pytest.mark.parametrize("wrong", [{"token": 7}, {"nonce": "other"}, {"node": "b"}])
def test_a_lease_that_is_not_the_nodes_is_lost_and_changes_nothing(sim: Sim, wrong: dict[str, object]) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    lease = sim.take("a")
    sim.tick(10)
    before = sim.dump()
    stranger = replace(lease, **wrong)  # type: ignore[arg-type]
    assert sim.renew(stranger) == [stranger]
    assert sim.dump() == before


def test_several_goals_in_one_call(sim: Sim) -> None:
    other = Sim(sim.store, "h", nonces=sim.nonces)
    sim.submit(["a"])
    other.submit(["a", "b"])
    here, there, gone = sim.take("a"), other.take("a"), other.take("b")
    other.done(gone)
    found = sim.store.nodes.renew({"g": [(here, 10)], "h": [(there, 10), (gone, 10)], "never": []}, now_ms=sim.now)
    assert found == [gone]


def test_leases_of_a_goal_that_is_cancelled_or_gone_are_lost(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(1500)])
    leases = [claimed.lease for claimed in sim.claim(most=3)]
    assert sim.cancel() == "more"
    assert sim.renew(*leases) == leases
    while sim.cancel(begin=False) == "more":
        pass
    while sim.store.goals.remove("g", now_ms=sim.now) == "more":
        pass
    assert sim.renew(*leases) == leases
    assert list(sim.store.client.scan_iter("*")) == []


def test_a_paused_goal_keeps_its_leases(sim: Sim) -> None:
    sim.submit(["a"])
    lease = sim.take("a")
    sim.pause()
    assert sim.renew(lease) == []
