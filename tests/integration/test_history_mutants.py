"""Each script is broken at one guard, a small scenario is run on a real server, and the checker has to notice.

The same scenario on the scripts as they are is clean. A guard that is no longer in the script fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from orchestrator.domain.command import Order
from orchestrator.engine.ends import Turn
from orchestrator.events.check import check_fleet, check_goal
from orchestrator.store import goals, scripts
from orchestrator.store.keys import Keys
from orchestrator.store.records import Outcome, Result, Verdict
from orchestrator.store.store import Store
from support.sim import LEASE_MS, Sim, failure


@dataclass(frozen=True)
class Mutant:
    """A guard that is taken out, and a goal that needs it."""

    invariant: str
    guard: str
    instead: str
    scenario: Callable[[Sim], None]


def stale_commit(sim: Sim) -> None:
    sim.submit(["a"])
    stale = sim.take("a")
    sim.tick(LEASE_MS)
    sim.reap()
    sim.take("a")
    sim.end(stale, "done", "1")


def two_leases(sim: Sim) -> None:
    sim.submit(["a"])
    for _ in range(2):
        sim.take("a")
        sim.tick(LEASE_MS)
        sim.reap()


def two_claims(sim: Sim) -> None:
    sim.submit(["a"])
    sim.claim()
    sim.claim("other")


def one_done(sim: Sim) -> None:
    sim.submit(["a", "b"])
    sim.done("a")


def one_failed(sim: Sim) -> None:
    sim.submit(["a", "b"])
    sim.fail("a")


def commit_after_cancel(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(40)])
    leases = [claimed.lease for claimed in sim.claim(most=40)]
    assert sim.cancel() == "more"
    running = [lease for lease in leases if sim.task(lease.node)["state"] == "RUNNING"]
    assert sim.end(running[0], "done") in (Verdict.CANCELLING, Verdict.ACCEPTED)


def claim_after_cancel(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(40)])
    assert sim.cancel() == "more"
    sim.claim()


def claim_while_paused(sim: Sim) -> None:
    sim.submit(["a"])
    sim.pause()
    sim.claim()


def join_of_two(sim: Sim) -> None:
    sim.submit(["a", "b", "both"], [("a", "both"), ("b", "both")])
    sim.done("a")
    sim.claim(hint="both")


def behind_a_failure(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    sim.fail("a")
    sim.claim()


def lane_of_two(sim: Sim) -> None:
    sim.submit([{"id": "x", "lane": "l"}, {"id": "y", "lane": "l"}])
    sim.claim("one")
    sim.claim("two")


def lane_with_a_retry(sim: Sim) -> None:
    sim.submit([{"id": "x", "lane": "l"}, {"id": "y", "lane": "l"}])
    sim.end(sim.take("x"), "retry", failure("again"), 0)
    sim.claim()


def lost_once(sim: Sim) -> None:
    sim.submit(["a"])
    sim.take("a")
    sim.tick(LEASE_MS)
    sim.reap()


def two_turns(sim: Sim) -> None:
    sim.submit([{"id": "a", "kind": "agent", "agent": "x"}])
    for turn in (1, 2):
        entry = json.dumps({"kind": "answer", "turn": turn, "calls": []})
        left = Turn((entry,), event={"turn": turn}, kit=("k", "{}"))
        park = '{"reason":"timer","then":"ready"}'
        sim.commit(Result(sim.take("a"), Outcome.PARK, park, 0, turn=left.as_json()))
        sim.reap()


def pause(sim: Sim, order: Order | None = None, stop: bool = False) -> None:
    sim.store.changes.pause("g", "pause", "", slots=sim.slots, stop=stop, order=order, now_ms=sim.now)


def a_command_twice(sim: Sim) -> None:
    sim.submit(["a"])
    for _ in range(2):
        pause(sim, Order("c", "cli"))
        sim.resume()


def a_command_too_late(sim: Sim) -> None:
    sim.submit(["a"])
    pause(sim, Order("c", "cli", until_ms=sim.now - 1))


def stopped_commit(sim: Sim) -> None:
    sim.submit(["a", "b"])
    lease = sim.take("a")
    pause(sim, stop=True)
    sim.end(lease, "done")


def hold(sim: Sim, verb: str, node: str) -> None:
    sim.store.changes.hold("g", verb, "node", node, slots=sim.slots, now_ms=sim.now)


def held_claim(sim: Sim) -> None:
    sim.submit(["a", "b"])
    hold(sim, "hold", "a")
    sim.claim(most=2)


def held_and_released(sim: Sim) -> None:
    held_claim(sim)
    hold(sim, "release", "a")


def held_message(sim: Sim) -> None:
    sim.submit(["a"])
    sim.park(sim.take("a"), "task")
    hold(sim, "hold", "a")
    sim.begin("a")


def held_follower(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    claimed = sim.commit(most=1, look_ahead=4).claims[0]
    hold(sim, "hold", "b")
    sim.commit(
        Result(claimed.lease, Outcome.DONE), Result(claimed.followers[0].lease, Outcome.DONE, ahead=True),
        version=claimed.version,
    )  # fmt: skip


def done_again(sim: Sim) -> None:
    sim.submit(["a", "b"], [{"source": "a", "target": "b", "on": "finished"}])
    sim.fail("a")
    sim.done("b", output="1")
    rows = (("a", "FAILED", 0, 0, ""), ("b", "DONE", 1, 1, ""))
    sim.store.goals.retry("g", rows, seal=True, slots=sim.slots, scores={"b": -1}, now_ms=sim.now)


def failed_again(sim: Sim) -> None:
    sim.submit(["a", "b", {"id": "j", "join": 2}, "open"], [("a", "j"), ("b", "j"), ("open", "j")])
    sim.fail("a")
    rows = [
        {"id": "a", "state": "FAILED", "need": 0, "chosen": True, "items": "", "parents": []},
        {"id": "j", "state": "BLOCKED", "need": 2, "chosen": False, "items": "",
         "parents": [[name, "", 1] for name in ("a", "b", "open")]},
    ]  # fmt: skip
    sim.store.changes.reopen("g", "1", json.dumps(rows), slots=sim.slots, now_ms=sim.now)


def failed_again_and_done(sim: Sim) -> None:
    failed_again(sim)
    sim.done("a", "b", "j", "open")


def dropped_as_failed(sim: Sim) -> None:
    sim.submit(["a", "b"])
    patch = {"reason": "", "drop": ["a"], "as": {"a": "f"}, "edges": {}, "targets": []}
    sim.store.goals.patch("g", 1, json.dumps(patch), [], slots=sim.slots, now_ms=sim.now)
    sim.done("b")


MUTANTS = {
    "command: it acts again": Mutant("I9", "if before then return 'repeated ' .. before end", "", a_command_twice),
    "command: it is not written down": Mutant(
        "I9", "call('HSET', ORDERS, order.id .. ' ' .. receiver, outcome)", "", a_command_twice,
    ),
    "command: it acts after its expiry": Mutant(
        "I9", "if order['until'] and now > order['until'] then return 'expired' end", "", a_command_too_late,
    ),
    "stop: the lease stays": Mutant("I1", "unlease(node)\n    call('HDEL', task(node), 'token')", "", stopped_commit),
    "stop: the node is not queued": Mutant(
        "I4", "make_ready(node, 'RUNNING')\n    stopped", "move(node, 'RUNNING', 'READY')\n    stopped", stopped_commit,
    ),
    "hold: a claim does not look": Mutant(
        "I8", "if is_held(node) then set_aside(node) else", "if false then set_aside(node) else", held_claim,
    ),
    "hold: a message does not look": Mutant("I8", "or is_held(node))", ")", held_message),
    "hold: a run ahead does not look": Mutant(
        "I8", "and not (holding() and is_held(ARGV[at])) then ahead", "then ahead", held_follower,
    ),
    "hold: what is set aside is lost": Mutant(
        "I4", "call('ZADD', ASIDE, call('HGET', task(node), 'score') or 0, node)", "", held_claim,
    ),
    "hold: what comes back stays aside": Mutant("I4", "call('ZREM', ASIDE, node)\n      call('ZADD'", "call('ZADD'", held_and_released),
    "hold: what is held no more does not come back": Mutant(
        "I4", "call('ZADD', ready_key(queue), record[2] or 0, node)", "", held_and_released,
    ),
    "reopen: the output stays": Mutant("I14", "if before == 'DONE' then call('HDEL', OUTPUTS, node) end", "", done_again),
    "reopen: nothing tells of it": Mutant(
        "I1", "emit('node.reopened', node, '', '', '', '')", "", done_again,
    ),
    "reopen: joins behind it are left alone": Mutant(
        "I4", "call('HSET', task(row.id), 'need', row.left, 'open', row.open)", "", failed_again,
    ),
    "reopen: the failure still counts": Mutant("I2", "call('HINCRBY', G, 'unhandled', -1)", "", failed_again_and_done),
    "drop: the failure does not count": Mutant(
        "I2", "if not handled(call('HGET', EDGES, node)) then call('HINCRBY', G, 'unhandled', 1) end\n  end",
        "end", dropped_as_failed,
    ),
    "turns: what was said is not kept": Mutant(
        "I15", "call('RPUSH', turns_key(node), entry)", "call('LPUSH', turns_key(node), entry)", two_turns,
    ),
    "turns: a turn leaves no event": Mutant(
        "I15", "if turn.event ~= '' then", "if turn.event == '' then", two_turns,
    ),
    "fence: a stale lease commits": Mutant("I1", "  return 'fenced'\nend", "  return 'accepted'\nend", stale_commit),
    "fence: a refused commit leaves its output": Mutant(
        "I14", "emit('node.fenced', node, attempt, token, worker, '')",
        "call('HSET', OUTPUTS, node, ARGV[at + 4])", stale_commit,
    ),
    "end: the goal ends before its last node": Mutant(
        "I2", "call('HINCRBY', G, 'left', left) == 0", "call('HINCRBY', G, 'left', left) <= 1", one_done,
    ),
    "join: one parent is enough": Mutant("I3", "if need <= 0 then\n    if ahead", "if true then\n    if ahead", join_of_two),
    "join: a failure fires an edge": Mutant("I3", "if outcome ~= 'd' then return false end", "", behind_a_failure),
    "place: a claim forgets the expiry": Mutant("I4", "call('ZADD', LEASES, unpack(expiries))", "", two_claims),
    "place: a lost node is not queued": Mutant(
        "I4", "call('ZADD', ready_key(queue), score or 0, node)", "", lost_once,
    ),
    "token: the counter stands still": Mutant(
        "I5", "local token = call('HINCRBY', G, 'token', #nodes + #line) - #nodes - #line", "local token = 0", two_leases,
    ),
    "lease: a claim leaves the node claimable": Mutant(
        "I5", "local popped = call('ZPOPMIN', ready, most - #nodes)",
        "local popped = call('ZRANGE', ready, 0, most - #nodes - 1, 'WITHSCORES')", two_claims,
    ),
    "lane: everyone may be first": Mutant(
        "I6", "if call('ZRANGE', line, 0, 0)[1] ~= node then return end", "", lane_of_two,
    ),
    "lane: a retry goes to the end": Mutant(
        "I6",
        "local record = call('HMGET', task(node), 'score', 'queue', 'lane')\n  move(node, before, 'READY')",
        "local record = call('HMGET', task(node), 'score', 'queue', 'lane')\n  move(node, before, 'READY')\n"
        "  if record[3] then call('ZREM', lane_key(record[3]), node) enqueue(call('ZRANGE', lane_key(record[3]), 0, 0)[1]) end",
        lane_with_a_retry,
    ),
    "cancel: commits are accepted": Mutant(
        "I8", "return cancelling and 'cancelling' or 'accepted'", "return 'accepted'", commit_after_cancel,
    ),
    "cancel: claims are accepted": Mutant(
        "I8", "if goal_state ~= 'RUNNING' or cancelling or most < 1", "if goal_state ~= 'RUNNING' or most < 1",
        claim_after_cancel,
    ),
    "pause: claims are accepted": Mutant(
        "I8", "if goal_state ~= 'RUNNING' or cancelling or most < 1", "if cancelling or most < 1", claim_while_paused,
    ),
    "counters: ends are not counted": Mutant(
        "I12", "if by ~= 0 then call('HINCRBY', G, 'n:' .. state, by) end", "", one_done,
    ),
    "counters: claims are not counted": Mutant("I12", "count('RUNNING', #nodes)", "", two_claims),
    "dead letters: none is written": Mutant("I13", "call('HSET', DEAD, node, failure)", "", one_failed),
}  # fmt: skip


@contextmanager
def scripts_with(store: Store, guard: str = "", instead: str = "") -> Iterator[Store]:
    """A store whose scripts lack the guard, and whose slices are small."""
    whole, met = scripts.source, []

    def changed(name: str, shebang: bool) -> str:
        text = whole(name, shebang)
        if guard and guard in text:
            met.append(name)
        return text.replace(guard, instead) if guard else text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "source", changed)
        patch.setattr(goals, "PIECE", 4)
        before = store.client.config_get("hash-max-listpack-entries")["hash-max-listpack-entries"]
        store.client.config_set("hash-max-listpack-entries", 1)
        made = Store(store.url, Keys(), 2000)
        try:
            yield made
        finally:
            made.close()
            store.client.config_set("hash-max-listpack-entries", before)
    assert bool(met) == bool(guard), f"no script that ran has the guard {guard!r}: write the mutant anew"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_script_is_noticed(store: Store, name: str) -> None:
    mutant = MUTANTS[name]
    with scripts_with(store) as sound:
        mutant.scenario(Sim(sound))
        assert check_goal(sound, "g") == [], "as they are the scripts are right"
        sound.client.flushall()
    with scripts_with(store, mutant.guard, mutant.instead) as broken:
        mutant.scenario(Sim(broken))
        found = check_goal(broken, "g")
    assert mutant.invariant in {one.invariant for one in found}, found


REMOVALS = {
    "a part of the goal is left": ("SIGNALS, DISPATCH, RIPPLE,", "SIGNALS, RIPPLE,"),
    "the records of its nodes are left": ("call('DEL', task(node), lock(node))", "call('DEL', lock(node))"),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_a_removal_that_leaves_something_is_noticed(store: Store, name: str) -> None:
    for guard, instead in (("", ""), REMOVALS[name]):
        with scripts_with(store, guard, instead) as changed:
            sim = Sim(changed)
            sim.submit(["a", "b"])
            sim.done("a", "b")
            while changed.goals.remove("g", now_ms=sim.now) == "more":
                pass
            assert {one.invariant for one in check_fleet(changed, alone=True)} == ({"I10"} if guard else set())
            changed.client.flushall()
