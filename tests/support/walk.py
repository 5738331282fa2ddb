"""Steps over one goal that several workers share, stale ones among them, with a model of who may commit.

A step that cannot be taken in the goal's state is taken all the same: the scripts have to refuse it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from orchestrator.domain.errors import ChordalError
from orchestrator.domain.lease import Lease
from orchestrator.engine.jobs import untaken
from orchestrator.store import goals, scripts
from orchestrator.store.records import Claimed, Outcome, Result, Verdict
from orchestrator.store.store import Store
from support.crew import Crew
from support.sim import SLOTS, EdgeLike, Sim, failure

QUEUES: Final = ("default", "gpu")
CAUSES: Final = ("approval", "signal:s", "task", "items", "timer")
ENDED: Final = frozenset({"DONE", "FAILED", "CANCELLED"})
OPEN_VERDICTS: Final = {Verdict.FENCED, Verdict.REPEATED, Verdict.CANCELLING, Verdict.GONE}


@contextmanager
def small_steps(store: Store) -> Iterator[None]:
    """Slices of two nodes and scripts of three edges, so that goals of a few nodes are worked on in pieces too."""
    whole = scripts.source

    def impatient(name: str, shebang: bool) -> str:
        text = whole(name, shebang)
        assert "include" not in text
        return text.replace("local BUDGET = 2000", "local BUDGET = 3").replace("RIPPLE, 1000)", "RIPPLE, 2)")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "source", impatient)
        patch.setattr(goals, "PIECE", 2)
        before = store.client.config_get("hash-max-listpack-entries")["hash-max-listpack-entries"]
        store.client.config_set("hash-max-listpack-entries", 1)
        yield
        store.client.config_set("hash-max-listpack-entries", before)


@dataclass
class Walk:
    """One goal, its leases, and what the model says of them."""

    sim: Sim
    crew: Crew
    leases: list[Lease] = field(default_factory=list)
    """Every lease that was ever handed out."""
    holder: dict[str, Lease] = field(default_factory=dict)
    """The lease whose commit must be accepted, by node."""
    ended_by: set[Lease] = field(default_factory=set)
    """Leases that committed."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """Accepted final commits by node, since it was last reopened."""
    added: int = 0

    def submit(self, nodes: Sequence[Mapping[str, Any]], edges: Sequence[EdgeLike], **head: Any) -> None:
        self.sim.submit(nodes, edges, **head)

    @property
    def over(self) -> bool:
        """Nothing can be committed any more."""
        record = self.sim.record()
        return record.get("state") in ENDED or "cancelling" in record

    def _took(self, claims: Sequence[Claimed], worker_most: int) -> None:
        assert len(claims) <= worker_most
        for claimed in claims:
            lease = claimed.lease
            assert lease.node not in self.holder, f"{lease.node} was handed out while it is held"
            assert all(lease.token > other.token for other in self.leases), "tokens rise"
            self.holder[lease.node] = lease
            self.leases.append(lease)

    # -- workers ------------------------------------------------------------------------------------------------------

    def claim(self, worker: int, most: int, queue: int = 0) -> None:
        resting = self.over or self.sim.state != "RUNNING"
        step = self.sim.step(f"w{worker}", most, QUEUES[queue % len(QUEUES)])
        assert not (resting and step.claims)
        self._took(step.claims, most)

    def commit(self, index: int, outcome: str, choice: int = 0, most: int = 0) -> None:
        """Commit any lease that ever was, current or stale."""
        if not self.leases:
            return
        lease, over = self.leases[-1 - index % len(self.leases)], self.over
        output = "1" if choice % 2 else "0"
        ends: dict[str, tuple[str, str | int]] = {
            "done": (output, self._untaken(lease.node, int(output))),
            "failed": (failure("boom"), ""),
            "retry": (failure("again"), 10 * (choice % 2)),
            "park": self._note(choice),
            "release": ("", ""),
        }
        body, extra = ends[outcome]
        step = self.sim.commit(Result(lease, Outcome(outcome), body, extra), most=most)
        accepted = step.verdicts[0] is Verdict.ACCEPTED
        assert accepted == (self.holder.get(lease.node) == lease and not over), (lease, step.verdicts, self.holder)
        if accepted:
            del self.holder[lease.node]
            self.ended_by.add(lease)
            if outcome in ("done", "failed"):
                self.outcomes[lease.node] = self.outcomes.get(lease.node, 0) + 1
                assert self.outcomes[lease.node] == 1, f"{lease.node} was committed twice"
        elif step.verdicts[0] is Verdict.REPEATED:
            assert lease in self.ended_by, "only what was accepted before is repeated"
        self._took(step.claims, most)

    def _note(self, choice: int) -> tuple[str, int | str]:
        note: dict[str, Any] = {"reason": CAUSES[choice % 4], "then": ("ready", "done", "failed", "retry")[choice % 3]}
        if note["reason"] == "items":
            return json.dumps({"reason": "items", "then": "ready"}), ""
        if note["then"] == "done":
            note["output"] = "1"
        if note["then"] == "failed":
            note["failure"] = failure("late")
        return json.dumps(note), 20 if choice % 5 else ""

    def _untaken(self, node: str, output: int) -> str:
        return untaken(json.loads(self.sim.store.goals.spec("g", node)), output)

    def renew(self, index: int) -> None:
        if self.leases:
            lease = self.leases[-1 - index % len(self.leases)]
            held = self.holder.get(lease.node) == lease and "cancelling" not in self.sim.record()
            assert (self.sim.renew(lease) == []) == held

    def begin(self, index: int) -> None:
        parked = sorted(name for name, note in self._parked().items() if json.loads(note)["reason"] == "task")
        names = parked or sorted(self.sim.states())
        node = names[index % len(names)]
        attempt = int(self.sim.task(node).get("attempt", 0))
        outcome, lease, _ = self.sim.begin(node, attempt)
        assert (outcome == "claimed") == (bool(parked) and self.sim.state == "RUNNING" and not self.over)
        if lease is not None:
            assert node not in self.holder
            self.holder[node] = lease
            self.leases.append(lease)

    def expand(self, index: int, items: int) -> None:
        if not self.leases:
            return
        lease = self.leases[-1 - index % len(self.leases)]
        names = [f"{lease.node}.{number}" for number in range(items)]
        if names and not set(names) & set(self.sim.states()):
            outcome = self.sim.expand(lease, names)
            assert (outcome == "stored") == (self.holder.get(lease.node) == lease and not self.over)

    # -- beat and doors -----------------------------------------------------------------------------------------------

    def look(self, ms: int, lost_limit: int = 3) -> None:
        """Time passes, and beat looks at the goal."""
        self.sim.tick(ms)
        reaped = self.sim.reap(most=2, lost_limit=lost_limit)
        for node in reaped.lost:
            del self.holder[node]
        if reaped.advice == "cancel":
            self.cancel(begin=False)

    def settle(self) -> None:
        self.sim.store.nodes.settle("g", slots=SLOTS, now_ms=self.sim.now)

    def _parked(self) -> dict[str, str]:
        return self.sim.store.goals.part("g", "parked")

    def wake(self, index: int, outcome: str, cause: int = 0) -> None:
        parked = self._parked()
        if not parked:
            return
        node = sorted(parked)[index % len(parked)]
        reason = json.loads(parked[node])["reason"] if cause % 3 else CAUSES[cause % len(CAUSES)]
        body = {"done": "1", "failed": failure("no")}.get(outcome, "r")
        self.sim.wake(node, reason, outcome, body)

    def signal(self) -> None:
        self.sim.wake("", "signal:s", "done", "1", keep=True)

    def cancel(self, begin: bool = True) -> None:
        outcome = self.sim.cancel("enough", begin=begin)
        states = self.sim.states()
        self.holder = {node: lease for node, lease in self.holder.items() if states[node] == "RUNNING"}
        if outcome == "cancelled":
            assert not self.holder

    def pause(self, stop: bool = False) -> None:
        """Pause; with `stop` every lease is taken away."""
        more, verb = True, "pause"
        while more:
            found = self.sim.store.changes.pause("g", verb, "", slots=SLOTS, stop=stop, now_ms=self.sim.now)
            for node in found.nodes:
                del self.holder[node]
            more, verb = found.more, "stop"

    def hold(self, index: int) -> None:
        names = sorted(self.sim.states())
        self.sim.store.changes.hold("g", "hold", "node", names[index % len(names)], slots=SLOTS, now_ms=self.sim.now)

    def release(self) -> None:
        """Every hold ends."""
        for name in self.sim.store.changes.held("g"):
            self.sim.store.changes.hold("g", "release", "node", name[2:], slots=SLOTS, now_ms=self.sim.now)

    def drop(self, index: int, dependants: Any) -> None:
        """Drop a node in one of the ways."""
        names = sorted(self.sim.states())
        with suppress(ChordalError):
            self.crew.wired.changes.drop("g", names[index % len(names)], dependants=dependants)

    def edit(self, index: int) -> None:
        names = sorted(self.sim.states())
        with suppress(ChordalError):
            self.crew.wired.changes.edit("g", names[index % len(names)], set={"x": index})

    def resume(self) -> None:
        self.sim.resume()

    def retry(self, index: int = -1, descendants: bool = False) -> None:
        """Reopen one failed node, or all; of one perhaps with what follows it."""
        failed = sorted(node for node, state in self.sim.states().items() if state == "FAILED")
        try:
            one = failed[index % len(failed)] if failed and index >= 0 else None
            self.crew.reopener.retry("g", one, descendants=descendants)
        except ChordalError:
            return
        states = self.sim.states()
        self.outcomes = {node: times for node, times in self.outcomes.items() if states[node] in ("DONE", "FAILED")}

    def patch(self, index: int, what: str) -> None:
        """Add a node behind another, drop one, add or cut an edge."""
        states = self.sim.states()
        names = sorted(states)
        one, other = names[index % len(names)], names[(index // 7) % len(names)]
        self.added += 1
        new = f"p{self.added}"
        changes: dict[str, Any] = {
            "add": {"add_nodes": [{"id": new}], "add_edges": [{"source": one, "target": new}]},
            "rescue": {"add_nodes": [{"id": new}], "add_edges": [{"source": one, "target": new, "on": "failed"}]},
            "drop": {"drop_nodes": [one]},
            "link": {"add_edges": [{"source": one, "target": other}]},
            "cut": {"drop_edges": [(one, other)]},
        }
        try:
            self.crew.patcher.apply("g", changes[what])
        except ChordalError:
            return

    # -- the end --------------------------------------------------------------------------------------------------------

    def finish(self, outcome: str = "done", rounds: int = 60) -> None:
        """Faults heal: workers work, beat looks, answers come. Every goal must come to its end."""
        for _ in range(rounds):
            record = self.sim.record()
            if record["state"] in ENDED:
                return
            if record["state"] == "AWAITING_APPROVAL" or "cancelling" in record:
                self.cancel()
                continue
            self.resume()
            self.release()
            for queue in range(len(QUEUES)):
                self.claim(0, 16, queue)
            for node in list(self.holder):
                self.commit(self.leases[::-1].index(self.holder[node]), outcome, 1)
            self.look(5_000, lost_limit=1_000)
            for node, note in self._parked().items():
                if json.loads(note)["reason"] != "items":
                    self.sim.wake(node, json.loads(note)["reason"], "done", "1")
        raise AssertionError(
            f"no end after {rounds} rounds: {self.sim.states()}, {self._parked()}, {self.sim.record()}"
        )
