"""The goals of a week: of every kind and end, and those who submit, answer, break off and stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from support.crew import Crew

Later = tuple[float, Callable[[], object]]
"""Something that happens so many seconds later."""
HUGE = 5000
"""One in so many goals has 20,000 nodes."""


class People:
    """Makes goals by chance, and what becomes of them."""

    def __init__(self, crew: Crew, chance: Random, hour: float) -> None:
        """`hour`: how many seconds people's hours have; what they do they do within hours."""
        self.crew = crew
        self.hour = hour
        self.chance = chance
        self.submitted = 0
        self.retried = 0
        self._failing: set[str] = set()
        crew.function(lambda: {"v": 1}, "work")
        crew.function(self._fails, "fails")
        crew.function(lambda items: items, "same")
        crew.function(lambda: "x" * 70_000, "large")
        self._kinds: list[tuple[int, Callable[[str], Iterator[Later]]]] = [
            (400, self.chain), (150, self.fan), (80, self.fails), (40, self.fails_and_is_retried), (60, self.asks),
            (60, self.sleeps), (60, self.has_a_child), (50, self.maps), (30, self.is_cancelled), (30, self.is_paused),
            (10, self.is_half_stored), (10, self.loses_its_worker), (4, self.is_large), (9, self.writes_files),
        ]  # fmt: skip

    def _fails(self, which: str) -> Any:
        if which in self._failing:
            raise ValueError("it fails, as it should")
        return 1

    def arrive(self) -> Iterator[Later]:
        """One more goal."""
        self.submitted += 1
        if self.submitted % HUGE == HUGE // 2:
            return self.is_huge(f"g{self.submitted}")
        weights = [weight for weight, _ in self._kinds]
        kind = self.chance.choices([kind for _, kind in self._kinds], weights)[0]
        return kind(f"g{self.submitted}")

    def _submit(self, name: str, nodes: list[Any], edges: list[Any] | None = None, **head: Any) -> None:
        self.crew.submit(nodes, edges or [], goal_id=name, **head)

    def _while(self) -> float:
        """Seconds: minutes mostly, hours now and then."""
        return self.chance.uniform(60, self.hour * (10 if self.chance.random() < 0.1 else 0.5))

    def chain(self, name: str) -> Iterator[Later]:
        count = self.chance.randint(1, 6)
        nodes = [{"id": f"n{at}", "call": "work"} for at in range(count)]
        self._submit(name, nodes, [(f"n{at}", f"n{at + 1}") for at in range(count - 1)])
        yield from ()

    def fan(self, name: str) -> Iterator[Later]:
        arms = [f"arm{at}" for at in range(self.chance.randint(2, 8))]
        queue = self.chance.choice(["default", "gpu"])
        nodes = [{"id": "a", "call": "work"}, *({"id": arm, "call": "work", "queue": queue} for arm in arms), "end"]
        self._submit(name, nodes, [pair for arm in arms for pair in (("a", arm), (arm, "end"))])
        yield from ()

    def _failing_goal(self, name: str) -> None:
        self._failing.add(name)
        nodes = [{"id": "a", "call": "work"}, {"id": "b", "call": "fails", "inputs": {"which": name}}, "c"]
        self._submit(name, nodes, [("a", "b"), ("b", "c")])

    def fails(self, name: str) -> Iterator[Later]:
        self._failing_goal(name)
        yield 60.0, lambda: self._failing.discard(name)

    def fails_and_is_retried(self, name: str) -> Iterator[Later]:
        self._failing_goal(name)
        yield 0.9 * self.hour, lambda: self._failing.discard(name)
        yield 1.0 * self.hour, lambda: self._retry(name)

    def _retry(self, name: str) -> None:
        self.crew.reopener.retry(name)
        self.retried += 1

    def asks(self, name: str) -> Iterator[Later]:
        self._submit(name, [{"id": "asks", "kind": "approval"}, {"id": "b", "call": "work"}], [("asks", "b")])
        answer = self.crew.control.approve if self.chance.random() < 0.8 else self.crew.control.reject
        yield self._while(), lambda: answer(name, "asks")

    def sleeps(self, name: str) -> Iterator[Later]:
        self._submit(name, [{"id": "t", "kind": "wait", "inputs": {"seconds": self._while()}}, "b"], [("t", "b")])
        yield from ()

    def has_a_child(self, name: str) -> Iterator[Later]:
        inner = {"nodes": [{"id": "x", "call": "work"}, {"id": "y", "kind": "wait", "inputs": {"seconds": 30}}]}
        self._submit(name, [{"id": "sub", "kind": "goal", "goal": inner}, "b"], [("sub", "b")])
        yield from ()

    def maps(self, name: str) -> Iterator[Later]:
        items = list(range(self.chance.randint(1, 20)))
        self._submit(name, [{"id": "m", "kind": "map", "call": "same", "inputs": {"items": items}}, "b"], [("m", "b")])
        yield from ()

    def is_cancelled(self, name: str) -> Iterator[Later]:
        self._submit(name, ["a", {"id": "w", "kind": "wait", "inputs": {"signal": "never"}}], [("a", "w")])
        yield self.chance.uniform(10, self.hour), lambda: self.crew.control.cancel(name, "it is not wanted any more")

    def is_paused(self, name: str) -> Iterator[Later]:
        self._submit(name, [{"id": "w", "kind": "wait", "inputs": {"seconds": 100}}, "b"], [("w", "b")])
        yield 20.0, lambda: self.crew.control.pause(name, "for a while")
        yield 100 + self._while(), lambda: self.crew.control.resume(name)

    def is_half_stored(self, name: str) -> Iterator[Later]:
        """Whoever submits it is killed before it is whole."""
        scripts, pair = self.crew.store.goals._scripts, self.crew.store.keys.pair(name)
        scripts.run("submit_open", pair, ("", "digest", 86_400_000, "owner", "o"))
        if self.chance.random() < 0.8:  # else it is not even in the index
            self.crew.store.goals.expect(name, 60_000, anew=True)
        row = ("n", "{}", "[]", "", 0, "", 1, "", "", "")
        scripts.run("submit_piece", pair, ("", "digest", *row))
        yield from ()

    def loses_its_worker(self, name: str) -> Iterator[Later]:
        """A worker takes the node, and is not heard of again; another takes it in the end."""
        self._submit(name, [{"id": "a", "call": "work"}])
        self.crew.mail.invitations.clear()
        self.crew.store.nodes.claim(
            name, "default", worker="gone", nonce="n", lease_ms=3000, most=1, slots='{"*":4}', hint="a"
        )
        yield from ()

    def is_large(self, name: str) -> Iterator[Later]:
        nodes = [{"id": f"n{at}", "call": "work", "queue": f"q{at % 3}"} for at in range(400)]
        self._submit(name, nodes)
        yield 120.0, lambda: self.crew.control.cancel(name, "enough")

    def is_huge(self, name: str) -> Iterator[Later]:
        rest = [f"n{at}" for at in range(20_000)]
        self._submit(name, [{"id": "asks", "kind": "approval"}, *rest], [("asks", node) for node in rest])
        yield 120.0, lambda: self.crew.control.cancel(name, "far too much")

    def writes_files(self, name: str) -> Iterator[Later]:
        self._submit(name, [{"id": "big", "call": "large"}])
        yield 2 * self.hour, lambda: self._leave_a_trace(name)

    def _leave_a_trace(self, name: str) -> None:
        """As a process does that was stopped until the goal was gone."""
        self.crew.store.client.hset(self.crew.store.keys.part(name, "children"), "late", "child")
