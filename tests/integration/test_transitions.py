"""The scripts make the moves of the transition table, all of them and no other.

Every write of a state is seen through MONITOR, in the order in which the server executes it: also the moves in the
middle of a script, that no reader ever sees.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator.domain.states import GOAL_MOVES, NODE_MOVES, GoalState, NodeState
from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import broken
from support.sim import Sim
from support.walk import Walk, small_steps

UNREACHED_NODE_MOVES: Final[dict[tuple[NodeState, NodeState], str]] = {
    (
        NodeState.SKIPPED,
        NodeState.READY,
    ): "a retry blocks what was skipped until what it reopens ends; only the script can",
}
UNREACHED_GOAL_MOVES: Final[dict[tuple[GoalState, GoalState], str]] = {
    (GoalState.PLANNING, GoalState.FAILED): "the planner's, which comes with agents",
    (GoalState.PLANNING, GoalState.CANCELLED): "the planner's",
    (GoalState.AWAITING_APPROVAL, GoalState.PLANNING): "the planner's",
    (GoalState.AWAITING_APPROVAL, GoalState.RUNNING): "the approval of a plan, which comes with the planner",
}


@dataclass
class Watch:
    """What a server was seen to write."""

    store: Store
    nodes: Counter[tuple[NodeState, NodeState]] = field(default_factory=Counter)
    goals: Counter[tuple[GoalState, GoalState]] = field(default_factory=Counter)
    born: set[NodeState] = field(default_factory=set)
    _state: dict[str, str] = field(default_factory=dict)

    def read(self, monitor: Any) -> None:
        """Take in everything up to now."""
        marker = f"seen-{random.getrandbits(64)}"
        self.store.client.echo(marker)
        while (command := monitor.next_command()["command"]) != f"ECHO {marker}":
            words = command.split(" ")
            if words[0] in ("DEL", "UNLINK"):
                for key in words[1:]:
                    self._state.pop(key, None)
            elif words[0] == "FLUSHALL":
                self._state.clear()
            elif words[0] == "HSET" and "state" in words[2::2]:
                fields = dict(zip(words[2::2], words[3::2], strict=False))
                self._write(words[1], fields)

    def _write(self, key: str, fields: dict[str, str]) -> None:
        after, before = fields["state"], self._state.get(key)
        self._state[key] = after
        if before == after:
            return
        if re.fullmatch(r"task:\{g\}:[^:]+", key):
            if before is None:
                self.born.add(NodeState(after))
            else:
                self.nodes[NodeState(before), NodeState(after)] += 1
        elif key == "dag:{g}" and before is not None and fields.get("building") != "removing":
            self.goals[GoalState(before), GoalState(after)] += 1


@contextmanager
def watching(store: Store) -> Iterator[tuple[Watch, Any]]:
    watch = Watch(store)
    with store.client.monitor() as monitor:
        yield watch, monitor


def plan(rng: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A small DAG with joins, lanes, queues, and edges of every sort."""
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    for index in range(rng.randint(1, 7)):
        node: dict[str, Any] = {"id": f"n{index}"}
        ways = [source for source in range(index) if rng.random() < 0.4]
        for source in ways:
            form = rng.choice([{}, {}, {"on": "failed"}, {"on": "finished"}, {"when": "== 1"}])
            edges.append({"source": f"n{source}", "target": f"n{index}", **form})
        if ways and rng.random() < 0.4:
            node["join"] = rng.choice(["any", rng.randint(1, len(ways))])
        if rng.random() < 0.2:
            node["lane"] = "l"
        if rng.random() < 0.2:
            node["queue"] = "gpu"
        nodes.append(node)
    return nodes, edges


def wander(walk: Walk, rng: random.Random) -> None:
    """One random step."""
    index = rng.randrange(40)
    near = rng.choice([0, 0, 0, 1, index])
    steps: list[tuple[int, Any]] = [
        (8, lambda: walk.claim(rng.randrange(3), rng.randint(1, 3), rng.randrange(2))),
        (
            9,
            lambda: walk.commit(
                near, rng.choice(["done", "done", "failed", "park", "retry", "release"]), index, index % 2
            ),
        ),
        (4, lambda: walk.look(rng.choice([1, 20, 4000]), rng.randint(1, 3))),
        (2, lambda: walk.settle()),
        (2, lambda: walk.wake(index, rng.choice(["done", "failed", "ready", "retry"]), 1 + index % 2)),
        (1, walk.signal),
        (1, lambda: walk.renew(near)),
        (2, lambda: walk.begin(index)),
        (1, lambda: walk.expand(near, index % 3)),
        (1, walk.pause),
        (1, lambda: walk.pause(stop=True)),
        (3, walk.resume),
        (1, lambda: walk.hold(index)),
        (2, walk.release),
        (3, lambda: walk.retry(rng.choice([-1, index]))),
        (2, lambda: walk.retry(index, descendants=True)),
        (1, lambda: walk.drop(index, rng.choice(["skip", "fail", "rewire"]))),
        (1, lambda: walk.edit(index)),
        (3, lambda: walk.patch(rng.randrange(300), rng.choice(["add", "rescue", "drop", "link", "cut"]))),
    ]
    if rng.random() < 0.01:
        walk.cancel()
    else:
        rng.choices([step for _, step in steps], [weight for weight, _ in steps])[0]()


def run_again(sim: Sim, crew: Crew) -> None:
    """A failed node is retried with what follows it: one waits for it, one need not."""
    sim.store.client.flushall()
    after = {"source": "f", "on": "finished"}
    sim.submit(
        ["f", "d", "waits", {"id": "any", "join": "any"}],
        [after | {"target": "waits"}, after | {"target": "any"}, ("d", "any")],
    )
    sim.fail("f")
    sim.done("d", "waits", "any")
    crew.reopener.retry("g", "f", descendants=True)
    assert sim.states() == {"f": "READY", "d": "DONE", "waits": "BLOCKED", "any": "READY"}


def test_the_scripts_make_the_moves_of_the_table_all_of_them_and_no_other(store: Store, tmp_path: Path) -> None:
    rng = random.Random(20_240_607)
    crew = Crew(store, tmp_path)
    with small_steps(store), watching(store) as (watch, monitor):
        for number in range(100):
            store.client.flushall()
            walk = Walk(Sim(store), crew)
            nodes, edges = plan(rng)
            head: dict[str, Any] = {"deadline_seconds": 30} if number % 6 == 0 else {}
            walk.submit(nodes, edges, state="AWAITING_APPROVAL" if number % 10 == 1 else "RUNNING", **head)
            for _ in range(60):
                wander(walk, rng)
            if number % 6 == 0:
                walk.look(40_000)
            walk.finish("failed")
            walk.retry(number, descendants=number % 2 == 0)
            walk.finish("failed")
            assert broken(store, "g") == []
            walk.finish()
            assert broken(store, "g") == []
            watch.read(monitor)
        run_again(Sim(store), crew)
        watch.read(monitor)
    _agree(watch)


def test_a_goal_that_awaits_approval_fails_at_its_deadline(store: Store, tmp_path: Path) -> None:
    with watching(store) as (watch, monitor):
        sim = Sim(store)
        sim.submit(["a"], state="AWAITING_APPROVAL", deadline_seconds=1)
        Walk(sim, Crew(store, tmp_path)).look(1000)
        watch.read(monitor)
    assert set(watch.goals) == {
        (GoalState.PLANNING, GoalState.AWAITING_APPROVAL), (GoalState.AWAITING_APPROVAL, GoalState.FAILED),
    }  # fmt: skip


def _agree(watch: Watch) -> None:
    assert watch.born == {NodeState.BLOCKED, NodeState.READY}
    allowed_nodes = {(before, after) for before, moves in NODE_MOVES.items() for after in moves}
    allowed_goals = {(before, after) for before, moves in GOAL_MOVES.items() for after in moves}
    assert set(watch.nodes) - allowed_nodes == set(), "moves that the table forbids"
    assert set(watch.goals) - allowed_goals == set(), "moves that the table forbids"
    assert allowed_nodes - set(watch.nodes) == set(UNREACHED_NODE_MOVES), "moves that nothing makes"
    reached_elsewhere = {(GoalState.AWAITING_APPROVAL, GoalState.FAILED)}
    assert allowed_goals - set(watch.goals) - reached_elsewhere == set(UNREACHED_GOAL_MOVES), "moves that nothing makes"
