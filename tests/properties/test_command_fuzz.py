"""Whatever is handed in as a command: no crash, a refused one changes nothing, an accepted one acts once and whole."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrator.domain.command import Code, Door, InvalidCommand, read_command
from orchestrator.domain.lease import Lease
from orchestrator.store.records import Outcome, Result
from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import broken, unknown_keys
from support.payloads import PAYLOADS

# -- the world -------------------------------------------------------------------------------------------------------

AT_WORK: Final[list[dict[str, Any]]] = [
    {"id": "first"}, {"id": "runs", "queue": "gpu"}, {"id": "gate", "kind": "approval"}, {"id": "next"},
    {"id": "last", "inputs": {"value": {"from": "next"}}}, {"id": "paid", "kind": "wait", "inputs": {"signal": "paid"}},
    {"id": "write", "kind": "agent", "agent": "writer", "queue": "agents", "inputs": {"task": "Write."}},
]  # fmt: skip
EDGES: Final = [("first", "gate"), ("gate", "next"), ("next", "last"), ("gate", "write")]
AGENTS: Final = [{"name": "writer", "queue": "agents"}]


def furnish(crew: Crew) -> Lease:
    """A goal in each state, with nodes in each state. Returns the lease of a node that runs in the goal `open`."""

    @crew.function
    def broken_call() -> None:
        raise ValueError("boom")

    for goal, owner in (("open", "acme"), ("paused", "other"), ("planned", "acme")):
        crew.submit(AT_WORK, EDGES, goal, owner=owner, agents=AGENTS)
    crew.submit([{"id": "bad", "call": "broken_call"}, "after"], [("bad", "after")], "failed", owner="acme")
    crew.submit(["first"], (), "done")
    crew.submit(["first"], (), "cancelled")
    crew.wired.cancel("cancelled")
    sub = {"nodes": [{"id": "gate", "kind": "approval"}]}
    crew.submit([{"id": "sub", "kind": "goal", "goal": sub}, "after"], [("sub", "after")], "parent", owner="acme")
    work(crew)
    crew.wired.pause("paused")
    crew.wired.approve("planned", "gate")
    crew.mail.invitations.clear()
    claim(crew.store, "planned")
    return claim(crew.store, "open")


def work(crew: Crew) -> None:
    """Answer what stands on the usual queue."""
    while crew.mail.invitations:
        one = crew.mail.invitations.popleft()
        if one.queue == "default":
            crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)


def claim(store: Store, goal: str) -> Lease:
    """Somebody is at work on `runs`, for as long as the test takes."""
    step = store.nodes.claim(
        goal, "gpu", worker="w", nonce="n", lease_ms=3_600_000, most=1, slots='{"*":4}', hint="runs"
    )
    (claimed,) = step.claims
    return claimed.lease


OWN: Final = ("{control}:order:", "{control}:open", "{control}:audit", "goals:due")
"""What the service keeps of every command, refused ones too, and when beat looks at goals: whoever acts asks it to, before."""


READS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "hash": lambda client, key: client.hgetall(key),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "set": lambda client, key: client.smembers(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "string": lambda client, key: client.get(key),
    "stream": lambda client, key: client.xrange(key),
}


def digest(store: Store) -> dict[str, str]:
    """Everything that is stored, key by key, but for what is kept of every command and the event of a refusal."""
    keys = sorted(key for key in store.client.scan_iter(count=10_000) if not key.startswith(OWN))
    kinds = piped(store, [(lambda client, key: client.type(key), key) for key in keys])
    values = piped(store, [(READS[kind], key) for kind, key in zip(kinds, keys, strict=True)])
    ends = piped(store, [(lambda client, key: client.pexpiretime(key), key) for key in keys])
    found = {}
    for key, value, end in zip(keys, values, ends, strict=True):
        if kept := _without_refusals(key, value):
            found[key] = hashlib.sha1(repr((kept, end > 0)).encode(errors="replace"), usedforsecurity=False).hexdigest()
    return found


def piped(store: Store, calls: list[tuple[Callable[[Any, str], Any], str]]) -> list[Any]:
    """The answers to many reads in one go."""
    with store.client.pipeline(transaction=False) as pipe:
        for read, key in calls:
            read(pipe, key)
        return list(pipe.execute())


def _without_refusals(key: str, value: Any) -> Any:
    if key.endswith(":orders"):
        return sorted(one for one in value.items() if not one[1].startswith("refused"))
    if key.endswith(":events"):
        return [one for one in value if one[1].get("type") != "command.refused"]
    if isinstance(value, dict):
        return sorted(value.items())
    return sorted(value) if isinstance(value, set) else value


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


# -- the property ----------------------------------------------------------------------------------------------------


def play(store: Store, folder: Path, payloads: list[dict[str, Any]]) -> Counter[int]:
    """Give one after the other to a fresh world; returns how many were answered with each code."""
    store.client.flushall()
    crew = Crew(store, folder)  # a new one: workers remember for a while what is held
    furnish(crew)
    count = Counter[int]()
    for payload in payloads:
        try:
            command = read_command(payload, Door.HTTP, "fuzz")
        except InvalidCommand:
            count[Code.BAD] += 1
            continue
        before = digest(crew.store)
        answer = crew.wired.commands.carry_out(command)
        assert answer.code in set(Code) - {Code.FAILED}, (payload, answer)
        json.dumps(answer.as_json(), allow_nan=False)
        count[answer.code] += 1
        after = digest(crew.store)
        if not answer.ok:
            assert changed(before, after) == [], (payload, answer)
            continue
        again = crew.wired.commands.carry_out(command.model_copy(update={"id": answer.id}))
        assert (again.outcome, again.repeated) == (answer.outcome, True), (payload, answer, again)
        assert changed(after, digest(crew.store)) == [], (payload, answer)
    for goal in crew.store.goals.newest(0, 100):
        assert broken(crew.store, goal) == [], (goal, payloads)
    assert unknown_keys(crew.store) == []
    return count


def fuzz(store: Store, folder: Path, worlds: int, **more: Any) -> Counter[int]:
    """Play so many lists of payloads; returns how many were answered with each code."""
    total = Counter[int]()

    @settings(
        max_examples=worlds, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), **more,
    )  # fmt: skip
    @given(st.lists(PAYLOADS, min_size=15, max_size=25))
    def run(payloads: list[dict[str, Any]]) -> None:
        total.update(play(store, folder, payloads))

    run()
    return total


def test_any_payload_is_carried_out_whole_or_refused_and_acts_once(store: Store, tmp_path: Path) -> None:
    answers = fuzz(store, tmp_path, worlds=15, derandomize=True)
    assert min(answers[Code.OK], answers[Code.REFUSED]) > 20, f"payloads that are no test: {answers}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_thousands_of_payloads(store: Store, tmp_path: Path) -> None:
    answers = fuzz(store, tmp_path, worlds=350)
    print(f"{answers.total():,} payloads: {dict(answers)}")
    assert answers.total() > 5000


def test_the_digest_sees_a_change_and_leaves_out_refusals(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path)
    lease = furnish(crew)
    before = digest(store)
    assert (
        crew.wired.commands.carry_out(read_command({"command": "RESUME", "goal": "done"}, Door.HTTP)).code
        == Code.REFUSED
    )
    assert changed(before, digest(store)) == []
    store.nodes.commit(
        "open", [Result(lease, Outcome("done"), "", "")], worker="w", nonce="m", lease_ms=1, slots='{"*":4}',
        queue="gpu", most=0,
    )  # fmt: skip
    assert changed(before, digest(store)) != []
