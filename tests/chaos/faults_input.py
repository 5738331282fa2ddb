"""Faults of what comes in: poison in the broker's queues, huge payloads, duplicate submissions."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import uuid
from functools import partial
from random import Random
from typing import Any

from chaos.fault import NOTHING, Fault, Struck
from chaos.losses import connection
from chaos.world import World
from orchestrator.domain.errors import GoalExists, InvalidGoal
from support.house import ROOT

LISTS = ("default", "default\x06\x163", "default\x06\x166", "default\x06\x169")
"""The broker's lists of the default queue, one a priority band."""
CONTROL = "/0.celery.pidbox"
BIG = 20_000_000
RACERS = 6
MARK = "poisoned"
POISON_SECONDS = 20.0
"""An entry must be out of the queues by then."""


def message(task: str, body: str) -> str:
    """A broker entry as Celery writes it."""
    name = str(uuid.uuid4())
    headers = {"lang": "py", "task": task, "id": name, "root_id": name, "retries": 0, "argsrepr": MARK}
    delivery = {"exchange": "", "routing_key": "default"}
    properties = {
        "correlation_id": name, "delivery_mode": 2, "delivery_info": delivery, "priority": 0,
        "body_encoding": "base64", "delivery_tag": f"{MARK}-{name}",
    }  # fmt: skip
    entry = {"body": body, "content-encoding": "utf-8", "content-type": "application/json"}
    return json.dumps(entry | {"headers": headers, "properties": properties})


def _body(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


POISON = {
    "not JSON": lambda: f"{MARK} {{",
    "JSON, but no message": lambda: json.dumps([MARK]),
    "bad base64": lambda: message("tasks.node.run", "*"),
    "unknown task": lambda: message("no.such.task", _body([[], {}, {}])),
    "wrong body": lambda: message("tasks.node.run", _body({"no": "arguments"})),
    "wrong arguments": lambda: message("tasks.node.run", _body([["no-such-goal", 7, None, "x", 1, 2], {}, {}])),
}


def poison(kind: str, world: World, chance: Random) -> Struck:
    client = connection(world)
    client.lpush(chance.choice(LISTS), POISON[kind]())

    def heal() -> None:
        if not world.wait(lambda: not _in_queues(client), POISON_SECONDS, f"poison ({kind}) is out of the queues"):
            _take_out(client)
        if kind in KEPT and not any(MARK in str(one) for one in world.chordal.store.fleet.poison()):
            world.violations.append(f"poison ({kind}) is not among what was set aside")
        client.delete(world.chordal.store.keys.poison)

    return Struck(heal=heal)


def _in_queues(client: Any) -> bool:
    """Whether the entry waits in a list or is held by a worker."""
    entries = [entry for name in LISTS for entry in client.lrange(name, 0, -1)]
    return any(MARK in entry for entry in [*entries, *client.hvals("unacked")])


def _take_out(client: Any) -> None:
    """Let the run go on."""
    for name in LISTS:
        for entry in client.lrange(name, 0, -1):
            if MARK in entry:
                client.lrem(name, 0, entry)
    for tag, entry in client.hgetall("unacked").items():
        if MARK in entry:
            client.hdel("unacked", tag)
            client.zrem("unacked_index", tag)


def poison_control(world: World, _: Random) -> Struck:
    connection(world).publish(CONTROL, f"{MARK} {{")
    return Struck()


def big_payloads(world: World, _: Random) -> Struck:
    name = f"big-{world.serial}-{len(world.extra)}"
    use = {"inputs": {"text": {"from": "blob"}}, "call": "chaos.work:measure"}
    nodes = [{"id": "blob", "call": "chaos.work:blob", "inputs": {"size": BIG}}]
    nodes += [{"id": f"use{index}", **use} for index in range(3)]
    edges = [{"source": "blob", "target": f"use{index}"} for index in range(3)]
    try:
        world.chordal.submit({"nodes": [{"id": "a", "call": "chaos.work:measure", "inputs": {"text": "x" * BIG}}]})
        world.violations.append(f"a document with {BIG} bytes of inputs in a node was accepted")
    except InvalidGoal:
        pass
    world.chordal.submit({"goal_id": name, "nodes": nodes, "edges": edges})
    world.extra[name] = partial(_measured, world, name)
    return Struck()


def _measured(world: World, goal: str) -> list[str]:
    digest = hashlib.sha1(b"x" * BIG, usedforsecurity=False).hexdigest()
    want = {"length": BIG, "sha1": digest}
    found = [world.chordal.output(goal, f"use{index}") for index in range(3)]
    return [f"{goal}: the payload arrived as {one}" for one in found if one != want]


def race(keyed: bool, world: World, chance: Random) -> Struck:
    name = f"race-{chance.randrange(10**9)}"
    nodes = [{"id": f"n{index}", "call": "chaos.work:add",
              "inputs": {"base": index, "parents": [], "seconds": 0}} for index in range(20)]  # fmt: skip
    documents = [{"nodes": nodes, **({"idempotency_key": name, "title": f"by {racer}"} if keyed else {"goal_id": name})}
                 for racer in range(RACERS)]  # fmt: skip
    answers = _submit_at_once(world, documents)
    if len(answers) != 1:
        world.violations.append(f"{RACERS} submissions of one goal gave {sorted(answers)}")
    for goal in answers:
        world.extra[goal] = partial(_submitted_once, world, goal)
    if not keyed:
        try:
            world.chordal.submit({"goal_id": name, "nodes": nodes[:1]})
            world.violations.append(f"{name} was accepted a second time with another content")
        except GoalExists:
            pass
    return Struck()


def _submit_at_once(world: World, documents: list[dict[str, Any]]) -> set[str]:
    command = [sys.executable, "-m", "chaos.racer", world.url]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT / "tests")
        for _ in documents
    ]
    for racer, document in zip(racers, documents, strict=True):
        assert racer.stdin is not None
        racer.stdin.write(json.dumps(document) + "\n")
        racer.stdin.flush()
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    return {racer.communicate("go\n", timeout=60)[0].strip() for racer in racers}


def _submitted_once(world: World, goal: str) -> list[str]:
    events = world.chordal.events(goal, limit=100_000)
    count = sum(event.type == "goal.submitted" for event in events)
    return [] if count == 1 else [f"I11: {goal} was submitted {count} times"]


KEPT = ("bad base64", "wrong body")
SET_ASIDE = "It is set aside with the reason, where `chordal doctor` shows it, and acknowledged. No worker ends."
POISON_HOLDS = {
    "not JSON": "The worker that reads it ends and is started again; the entry is gone. Goals go on.",
    "JSON, but no message": "As for an entry that is not JSON.",
    "bad base64": SET_ASIDE,
    "unknown task": "Celery logs and discards it.",
    "wrong body": SET_ASIDE,
    "wrong arguments": "Its task fails and is acknowledged.",
}
POISON_LOSES = {
    "not JSON": "The entry. What the worker ran is run again. Keep writers out with Redis ACLs.",
    "JSON, but no message": "As for an entry that is not JSON.",
}

FAULTS = (
    *(
        Fault(
            name=f"Poison in a queue: {kind}",
            does="An entry that no client of Celery writes is pushed into one of the broker's lists.",
            holds=holds,
            loses=POISON_LOSES.get(kind, NOTHING),
            inject=partial(poison, kind),
            lasts=(2.0, 2.5),
        )
        for kind, holds in POISON_HOLDS.items()
    ),
    Fault(
        name="Poison on the control channel",
        does="A line that is not JSON is published where workers hear remote control.",
        holds="Workers ignore it.",
        loses=NOTHING,
        inject=poison_control,
        lasts=(2.0, 2.5),
    ),
    Fault(
        name="20 MB payloads",
        does="A node puts out 20 MB for three others; a document with 20 MB in a node's inputs is submitted.",
        holds="The output goes through the artifact store, whole; the document is refused with the reason.",
        loses=NOTHING,
        inject=big_payloads,
        lasts=(1.0, 2.0),
    ),
    Fault(
        name="Duplicate submissions: same id",
        does=f"{RACERS} processes submit the same document under the same id at once; then other content under that id.",
        holds="One goal; the other content is refused.",
        loses=NOTHING,
        inject=partial(race, False),
    ),
    Fault(
        name="Duplicate submissions: same idempotency key",
        does=f"{RACERS} processes submit different documents under one idempotency key at once.",
        holds="One goal, whose id all of them get.",
        loses=NOTHING,
        inject=partial(race, True),
    ),
)
