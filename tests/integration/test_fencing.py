"""commit: a lease is token and nonce together; one that is not the node's changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.store.records import Verdict
from support.sim import LEASE_MS, Sim

OUTCOMES = ["done", "failed", "retry", "park", "release"]
BODY: dict[str, tuple[str, str | int]] = {
    "park": ('{"reason":"approval","then":"ready"}', ""),
    "retry": ("{}", 10),
    "failed": ('{"reason":"error","error":"boom"}', ""),
}


def body(outcome: str) -> tuple[str, str | int]:
    return BODY.get(outcome, ("", ""))


def stripped(sim: Sim) -> tuple[dict[str, object], int]:
    """Everything stored but the event that tells of the fenced commit."""
    events = sim.store.keys.part("g", "events")
    return {key: value for key, value in sim.dump().items() if key != events}, len(sim.events())


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("wrong", ["token", "nonce", "both", "prefix"])
def test_a_lease_is_token_and_nonce_together(sim: Sim, outcome: str, wrong: str) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    sim.end(sim.take("a"), "release")
    lease = sim.take("a")
    changed = {
        "token": replace(lease, token=lease.token - 1), "nonce": replace(lease, nonce="stale"),
        "both": replace(lease, token=99, nonce="stale"), "prefix": replace(lease, nonce=lease.nonce[:-1]),
    }[wrong]  # fmt: skip
    before, events = stripped(sim)
    assert sim.end(changed, outcome, *body(outcome)) is Verdict.FENCED
    after, more = stripped(sim)
    assert after == before, "a fenced commit changes nothing"
    assert more == events + 1
    assert sim.events()[-1]["type"] == "node.fenced"
    assert sim.end(lease, "done") is Verdict.ACCEPTED


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_late_commit_is_fenced_once_its_lease_was_reaped(sim: Sim, outcome: str) -> None:
    """The node is READY again and not claimed yet: this once passed for the repetition of an accepted commit."""
    sim.submit(["a"])
    lease = sim.take("a")
    sim.tick(LEASE_MS)
    sim.reap()
    before, _ = stripped(sim)
    assert sim.end(lease, outcome, *body(outcome)) is Verdict.FENCED
    assert stripped(sim)[0] == before


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_late_commit_is_fenced_while_another_holds_the_node_and_after(sim: Sim, outcome: str) -> None:
    sim.submit(["a"])
    lease = sim.take("a", "slow")
    sim.tick(LEASE_MS)
    sim.reap()
    other = sim.take("a", "quick")
    assert other.token > lease.token
    assert sim.end(lease, outcome, *body(outcome)) is Verdict.FENCED
    sim.done(other, output='"quick"')
    before, _ = stripped(sim)
    assert sim.end(lease, outcome, *body(outcome)) is Verdict.FENCED
    assert stripped(sim)[0] == before
    assert sim.outputs() == {"a": '"quick"'}


def test_a_late_commit_of_a_node_that_died_is_fenced(sim: Sim) -> None:
    sim.submit(["a"])
    lease = sim.take("a")
    sim.tick(LEASE_MS)
    sim.reap(lost_limit=1)
    assert sim.states() == {"a": "FAILED"}
    assert sim.end(lease, "done") is Verdict.FENCED


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_commit_that_is_sent_twice_acts_once(sim: Sim, outcome: str) -> None:
    """A reply was lost and the client sent the call again."""
    sim.submit(["a", "b"], [("a", "b")])
    lease = sim.take("a")
    assert sim.end(lease, outcome, *body(outcome)) is Verdict.ACCEPTED
    before = sim.dump()
    assert sim.end(lease, outcome, *body(outcome)) is Verdict.REPEATED
    assert sim.dump() == before


def test_an_expired_lease_that_nobody_reaped_still_commits(sim: Sim) -> None:
    sim.submit(["a"])
    lease = sim.take("a")
    sim.tick(10 * LEASE_MS)
    assert sim.end(lease, "done") is Verdict.ACCEPTED
