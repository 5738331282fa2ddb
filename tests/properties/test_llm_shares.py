"""Fair shares and the longest wait, over random arrivals, costs and weights. A share is a call's cost over the limit.

- Two owners that both wait get shares by their weights: over any time in which both do, what one got over its weight and
  what the other got over its own differ by at most their largest calls over their weights. So do the goals of an owner.
  (Start-time fair queueing, theorem 1 of Goyal, Vin and Cheng, 1996.)
- From the moment a call joins until it goes out, its owner gets S(owner) <= S(goal) + the sum over other goals h of
  w(h)/w(goal) * (S(goal) + l(goal)) + l(h), where S(goal) is what was before it in its own flow, and itself, and l the
  largest call; and all owners together S <= S(owner) + the same sum over other owners.
- Whatever the others send, it waits at most ceil(S / (1 - l)) windows, with l the largest call of all: while somebody
  waits, the window is full but for one call. A window is as long as the limits say, and a cell, and what a call may be
  late to say that it started.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.llm.limits import Limits
from orchestrator.store.llm_records import Ask
from orchestrator.store.store import Store
from properties.test_llm_limiter import SEEDS
from support.ledger import Ledger
from support.line import ACCOUNT, BEAT_MS, CLAIM_MS, TTL_MS, Call, Line, Process

LIMIT = 1000
OWNERS = {"ann": 1.0, "bob": 2.0, "cyd": 0.5}
GOALS = {"": 1.0, "g": 3.0, "h": 0.5}
Flow = tuple[str, str]
EXACT = 1e-9


def limits(pacing: bool) -> Limits:
    window = 1.0
    return Limits(
        tokens_per_minute=LIMIT, window_seconds=window, burst_seconds=None if pacing else window, breaker_failures=1000
    )


def share(call: Call) -> float:
    return (call.ask.input_tokens + call.ask.output_tokens) / LIMIT


class Shares:
    """Who waits and who was served, after every step of a line."""

    def __init__(self, line: Line) -> None:
        self.line, self.ledger = line, Ledger(line)
        self.got = defaultdict[str | Flow, float](float)
        """By owner and by flow, over the weight."""
        self.together: dict[tuple[str | Flow, str | Flow], tuple[float, float]] = {}
        """Least and most of the difference between two that both wait, since both do."""
        self.widest = defaultdict[tuple[str | Flow, str | Flow], float](float)
        self.waiting = Counter[str | Flow]()
        self._seen = 0

    def look(self) -> None:
        assert self.ledger.check() == []
        new = [grant.call.ask for grant in self.ledger.grants[self._seen :]]
        self._seen += len(new)
        key = self.line.store.keys.llm_part(ACCOUNT, "queue")
        left = [str(member).split("\1") for member in self.line.store.client.zrange(key, 0, -1)]
        self.waiting = Counter(name for owner, goal, *_ in left for name in (owner, (owner, goal)))
        # Calls that were let out in this step waited until just before.
        self.waiting.update(name for ask in new for name in (ask.owner, (ask.owner, ask.goal)))
        self._compare()
        for ask in new:
            for name, part in ((ask.owner, ask.owner_weight), ((ask.owner, ask.goal), ask.weight)):
                self.got[name] += (ask.input_tokens + ask.output_tokens) / LIMIT / part
                self._compare()
                self.waiting[name] -= 1
            self._compare()

    def _compare(self) -> None:
        here = {one for one, count in self.waiting.items() if count}
        self.together = {pair: span for pair, span in self.together.items() if here.issuperset(pair)}
        flows = sorted(one for one in here if not isinstance(one, str))
        pairs: list[tuple[str | Flow, str | Flow]] = [
            *combinations(sorted(one for one in here if isinstance(one, str)), 2)
        ]
        pairs += [(one, other) for one, other in combinations(flows, 2) if one[0] == other[0]]
        for one, other in pairs:
            now = self.got[one] - self.got[other]
            least, most = self.together.get((one, other), (now, now))
            self.together[one, other] = span = min(least, now), max(most, now)
            self.widest[one, other] = max(self.widest[one, other], span[1] - span[0])


def arrivals(line: Line, calls: int) -> None:
    """Floods, trickles and pauses of every flow."""
    rnd = line.random

    def arrive(process: Process, owner: str, goal: str) -> None:
        cost = rnd.choice([10, 30, 100, 250])
        ask = Ask(
            cost, 0, 0, owner, goal, process.name, process.name, CLAIM_MS, TTL_MS, rnd.choice([0, 0, 5]), GOALS[goal],
            OWNERS[owner],
        )  # fmt: skip
        line.arrive(process, ask, (rnd.randint(0, cost), 0, 0))

    for _ in range(calls // 10):
        owner, goal, at = rnd.choice(list(OWNERS)), rnd.choice(list(GOALS)), rnd.randint(0, 5000)
        for _ in range(10):
            process = rnd.choice(line.processes)
            line.at(at + rnd.choice([0, 1, 300]), lambda p=process, o=owner, g=goal: arrive(p, o, g), process)  # type: ignore[misc]


@settings(max_examples=12)
@given(seed=SEEDS, pacing=st.booleans())
def test_shares_follow_the_weights_and_waits_are_bounded(store: Store, seed: int, pacing: bool) -> None:
    store.client.flushall()
    line = Line(store, limits(pacing), seed)
    shares = Shares(line)
    line.after_each = shares.look
    arrivals(line, 100)
    line.run(60_000)
    assert all(call.began is not None for call in line.calls)
    largest: dict[str | Flow, float] = defaultdict(float)
    for call in line.calls:
        for key in (call.ask.owner, (call.ask.owner, call.ask.goal)):
            largest[key] = max(largest[key], share(call))
    unfair = [
        (pair, width)
        for pair, width in shares.widest.items()
        if width > sum(largest[one] / weight(one) for one in pair) + EXACT
    ]
    assert unfair == []
    assert_waits(line, shares.ledger, largest, timed=not pacing)


def weight(one: str | Flow) -> float:
    return OWNERS[one] if isinstance(one, str) else GOALS[one[1]]


def assert_waits(line: Line, ledger: Ledger, largest: dict[str | Flow, float], timed: bool) -> None:
    order = [grant.call for grant in ledger.grants]
    granted = {grant.call.id: grant.at for grant in ledger.grants}
    assert len(order) == len(line.calls), "nothing was granted twice: nobody crashed"
    biggest = max(share(call) for call in line.calls)
    window = line.limits.window_seconds * 1000 * (1 + 1 / 600) + BEAT_MS + CLAIM_MS / 2
    for place, call in enumerate(order):
        flow: Flow = (call.ask.owner, call.ask.goal)
        meanwhile = [one for one in order[: place + 1] if granted[one.id] >= call.arrived]
        all_of = {
            key: sum(share(one) for one in meanwhile if key in (one.ask.owner, (one.ask.owner, one.ask.goal)))
            for key in (*OWNERS, *((call.ask.owner, goal) for goal in GOALS))
        }
        for mine, others in ((flow, [(flow[0], goal) for goal in GOALS]), (flow[0], list(OWNERS))):
            for other in others:
                most = weight(other) / weight(mine) * (all_of[mine] + largest[mine]) + largest[other]
                assert other == mine or all_of[other] <= most + EXACT, (call.id, mine, other)
        if timed:
            windows = math.ceil(sum(share(one) for one in meanwhile) / (1 - biggest))
            assert granted[call.id] - call.arrived <= windows * window, call.id
