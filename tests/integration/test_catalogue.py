"""Every key that is ever written is in the catalogue, with its type; and everything in the catalogue is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from orchestrator.control.files.registry import Registered, Registry
from orchestrator.domain.command import Door, Order, read_command
from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import Done, Turn
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.store.fleet import Tick, Worker
from orchestrator.store.keys import CATALOGUE, KeySpec
from orchestrator.store.llm_shared import SharedCalls
from orchestrator.store.records import Outcome, Result
from orchestrator.store.store import Store
from orchestrator.store.tell import Cursor
from orchestrator.store.upkeep import Beat
from support.crew import Crew
from support.desk import Desk
from support.invariants import catalogue_pattern, unknown_keys

ELSEWHERE: Final = {"redbeat:*"}
"""Written by celery-redbeat."""


def spec_of(key: str) -> KeySpec:
    """The most particular entry that fits: a key of a goal also looks like one of its prefixes."""
    fitting = [spec for spec in CATALOGUE if pattern(spec).fullmatch(key)]
    assert fitting, key
    return max(fitting, key=lambda spec: len(spec.pattern))


def pattern(spec: KeySpec) -> re.Pattern[str]:
    form = re.escape(spec.pattern).replace(re.escape("{goal}"), r"\{[^}]+\}").replace(r"\*", ".*")
    return re.compile(re.sub(r"<[a-z]+>", lambda found: ".+" if found[0] == "<key>" else "[^:]+", form))


class Seen:
    """Which entries were met, looked for after every step."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.patterns: set[str] = set()

    def look(self) -> None:
        assert unknown_keys(self.store) == []
        for key in self.store.client.scan_iter("*", count=1000):
            spec = spec_of(key)
            assert self.store.client.type(key) in re.split(r"\W+", spec.type), key
            self.patterns.add(spec.pattern)


def everything(crew: Crew) -> None:
    """A goal with every kind of node, edge and end."""
    crew.function(lambda item: item, "same")
    crew.function(lambda: "x" * 100_000, "large")
    inner = {"nodes": [{"id": "x"}]}
    nodes: list[Any] = [
        {"id": "plain"}, {"id": "large", "call": "large"}, {"id": "laned1", "lane": "l"}, {"id": "laned2", "lane": "l"},
        {"id": "queued", "queue": "gpu"}, {"id": "map", "kind": "map", "call": "same", "inputs": {"items": [1, 2]}},
        {"id": "task", "kind": "task", "call": "theirs"}, {"id": "sub", "kind": "goal", "goal": inner},
        {"id": "timer", "kind": "wait", "inputs": {"seconds": 0}}, {"id": "signal", "kind": "wait", "inputs": {"signal": "s"}},
        {"id": "agent", "kind": "agent", "agent": "writer", "queue": "agents"}, {"id": "asks", "kind": "approval"}, {"id": "fails", "call": "ghost"}, {"id": "skipped"}, {"id": "rescue"},
        {"id": "picked", "join": "any"}, {"id": "dropped", "kind": "approval"}, {"id": "held", "kind": "approval"},
    ]  # fmt: skip
    edges: list[Any] = [
        ("fails", "skipped"), {"source": "fails", "target": "rescue", "on": "failed"},
        {"source": "plain", "target": "picked", "when": "title"}, ("asks", "picked"), ("held", "dropped"),
    ]  # fmt: skip
    crew.submit(nodes, edges, idempotency_key="a key: with {anything} in it", deadline_seconds=1000)


def an_account(store: Store, seen: Seen) -> None:
    """An account of LLM calls with a window, a line and a budget."""
    desk = Desk(store, Limits(concurrency=1))
    desk.adjust("budget", 100, "owner:o:tokens")
    desk.ask("first", 10)
    desk.tick("first")
    desk.ask("second", owner="another owner: with {anything}")
    desk.ask("third", owner="another owner: with {anything}")
    seen.look()
    desk.end("first", 5)
    seen.look()
    limiter = Limiter(store, {})
    limiter.acquire("b", Cost(1, 1), owner="o").settle(Cost(1, 1), "model: with {anything}\1role")
    seen.look()
    limiter.close()
    shared = SharedCalls(store)
    shared.keep("hash", "an answer", 60_000)
    shared.board("hash", 60_000)
    shared.land("hash", "not the leader", "an answer")
    shared.state("b", {"tokens_per_minute": 3})
    seen.look()


def an_agent(store: Store) -> None:
    """What an agent of the goal says, is told and remembers."""
    store.agents.put_cards("g", {"writer": "{}"})
    step = store.nodes.claim("g", "agents", worker="w", nonce="n", lease_ms=60_000, most=1, slots="{}", hint="agent")
    assert store.agents.steer("g", "agent", [("1", "{}")]) == "steered"
    park = Result(
        step.claims[0].lease, Outcome.PARK, '{"reason":"approval","then":"failed"}', turn=Turn(("{}",)).as_json()
    )
    store.nodes.commit("g", [park], worker="w", nonce="n", lease_ms=60_000, slots="{}")
    store.agents.remember("me", "writer", "{}", 50)


def notifications(store: Store) -> None:
    """A receiver, one goal that it was told of and one that it could not be."""
    store.tell.register({"shop.ears:hear it": '{"events": ["goal.*"], "owner": ""}'}, 1)
    store.tell.ask(["another"])
    store.tell.give_up("g", "webhook", "g/1-0", "goal.done", "it answered 500")
    store.tell.take("g", "nonce", 60_000)
    assert store.tell.note("g", "nonce", 60_000, "webhook", Cursor("1-0")) == "noted"


def heartbeat_file(store: Store, folder: Path, seen: Seen) -> None:
    """A file that somebody reads, and the watcher of its machine."""
    (folder / "ops.md").write_text("PAUSE all\n")
    file = Registered(str(folder), "ops.md", "here")
    assert Registry(store).register(file) == "registered"
    assert store.files.take(file.key, Registry(store).all()[0].epoch, "reader", 60_000) != "busy"
    assert store.files.watch("here", "w@host:1", 60_000)
    seen.look()
    assert Registry(store).forget(Registry(store).all()[0])


def commands(crew: Crew, seen: Seen) -> None:
    """A command that nobody has carried out yet, and a hold of the fleet that was."""
    crew.store.control.open("c2", "{}", "digest", None, 60_000)
    seen.look()
    hold = read_command({"command": "HOLD", "queue": "elsewhere", "id": "c3"}, Door.CLI)
    assert crew.wired.commands.carry_out(hold).ok
    seen.look()


def upkeep(crew: Crew, seen: Seen) -> None:
    """What beat keeps of the fleet and of itself."""
    for duty in crew.duties.all():
        duty.act()
    crew.store.upkeep.say(Beat("host:1", 1, True, 1))
    crew.store.upkeep.put_off("gone", "its archive is full", 1)
    crew.store.upkeep.count({"nodes_done": 1}, {})
    seen.look()


def test_every_key_is_in_the_catalogue_and_the_other_way_round(store: Store, tmp_path: Path) -> None:
    crew, seen = Crew(store, tmp_path), Seen(store)
    an_account(store, seen)
    store.fleet.beat(Worker("w@host", 1, 2, ("default", "gpu"), "prefork", 0.0))
    crew.duties.scan()
    store.fleet.set_aside("it is no message", {"body": "x"})
    store.fleet.record_ticks({"reap": Tick(0.1, 1.0, "")})
    upkeep(crew, seen)
    heartbeat_file(store, tmp_path, seen)
    commands(crew, seen)
    everything(crew)
    crew.wired.changes.hold("g", "queued", order=Order("c1", "cli"))
    an_agent(store)
    notifications(store)
    store.chunks.add(Lease("g", "plain", 1, "n", 1), 1, "model", "a piece")
    seen.look()
    step = store.nodes.claim(
        "g", "default", worker="w", nonce="n", lease_ms=60_000, most=1, slots="{}", hint="plain"
    )  # fmt: skip
    seen.look()
    crew.committer.finish(step.claims[0].lease, Done({"title": "t"}), None)
    crew.control.signal("g", "s", {"level": 1})
    for _ in range(40):
        if not crew.mail.invitations:
            break
        one = crew.mail.invitations.popleft()
        crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)
        seen.look()
    assert store.changes.aside("g") == ["queued"]
    crew.wired.changes.release("g", "queued")
    crew.work()
    outcome, task, _ = store.nodes.begin("g", "task", 1, worker="celery", nonce="n", lease_ms=60_000)
    assert task is not None, outcome
    seen.look()
    crew.committer.finish(task, Done(1), None)
    crew.patcher.apply("g", {"drop_nodes": ["dropped"], "add_nodes": [{"id": "new"}]})
    crew.control.approve("g", "asks")
    crew.work()
    store.goals.hasten(["g"])
    crew.duties.reap()
    crew.duties.sweep()
    seen.look()
    assert crew.states()["held"] == "WAITING"
    crew.control.approve("g", "held")
    crew.control.approve("g", "agent")
    crew.work()
    assert crew.state() == "DONE", crew.states()
    ripple = store.keys.part("g", "ripple")
    assert catalogue_pattern().fullmatch(ripple), "it lives within a step of this small goal"
    wanted = {spec.pattern for spec in CATALOGUE} - ELSEWHERE - {"dag:{goal}:ripple"}
    assert wanted - seen.patterns == set()


def test_a_goal_with_everything_leaves_nothing_when_it_is_removed(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path)
    everything(crew)
    crew.work()
    crew.control.cancel("g")
    for goal in ("g", "g.sub"):
        while store.goals.remove(goal) == "more":
            pass
    assert list(store.client.scan_iter("*")) == [store.keys.idempotency("default", "a key: with {anything} in it")]
    assert store.client.ttl(store.keys.idempotency("default", "a key: with {anything} in it")) > 0
