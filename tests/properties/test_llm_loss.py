"""Redis forgets: everything, or what was written in the last seconds, as after a failover. With simulated time.

Nobody starves and nothing is left behind; fences rise for every process, and no two calls have one; and a window that
holds the loss holds no more than what had gone out before, and behind it an even pace: after x ms at most x / (0.95 W)
of the limit, and a call.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.llm.limits import Limits
from orchestrator.store.store import Store
from properties.test_llm_limiter import SEEDS, ask_of
from support.line import ACCOUNT, EPOCH_MS, Line, Process

MOST, WINDOW_MS = 20, 2000
LIMITS = Limits(
    requests_per_minute=MOST, window_seconds=WINDOW_MS / 1000, burst_seconds=WINDOW_MS / 1000, breaker_failures=1000
)


def remembered(store: Store) -> dict[bytes, bytes]:
    """All keys as they are."""
    client = store.client
    raw = client.connection_pool.connection_kwargs | {"decode_responses": False}
    plain = type(client)(connection_pool=redis.ConnectionPool(client.connection_pool.connection_class, **raw))
    with plain:
        return {name: plain.dump(name) for name in plain.keys()}  # noqa: SIM118


def forget(store: Store, since: dict[bytes, bytes], line: Line) -> set[bool]:
    """The server is as it was then. Returns whether processes know of calls that it has forgotten: some may, some not."""
    store.client.flushall()
    for name, value in since.items():
        store.client.restore(name, 0, value)
    fence = int(store.client.hget(store.keys.llm(ACCOUNT), "fence") or 0)
    return {process.seen > fence for process in line.processes}


@settings(max_examples=20)
@given(seed=SEEDS, at=st.integers(1500, 5000), lost_ms=st.integers(1, 1400) | st.none())
def test_what_redis_forgets_costs_no_more_than_a_window(store: Store, seed: int, at: int, lost_ms: int | None) -> None:
    store.client.flushall()
    line = Line(store, LIMITS, seed)
    kept: dict[bytes, bytes] = {}

    def arrive(process: Process) -> None:
        line.arrive(process, ask_of(line.random, process, 20), (1, 1, 1))

    for _ in range(80):
        process = line.random.choice(line.processes)
        line.at(line.random.randint(0, 6000), lambda process=process: arrive(process), process)  # type: ignore[misc]
    if lost_ms is not None:
        line.at(at - lost_ms, lambda: kept.update(remembered(store)))
    forgotten: list[set[bool]] = []
    line.at(at, lambda: forgotten.append(forget(store, kept, line)))
    for process in line.processes:
        # Their connections were lost with the server: so they join again.
        line.at(at, lambda process=process: line._rejoin(process), process)  # type: ignore[misc]
    line.run(120_000)
    assert [call.id for call in line.calls if call.answered is None] == []
    left = {name: size for name, size in line.leftovers().items() if name != "part_used"}
    assert left == {}
    assert [
        fence for fence, count in Counter(call.fence for call in line.calls if call.began).items() if count > 1
    ] == []
    assert_fences(line)
    [knowing] = forgotten
    if knowing == {False}:
        assert line.overrun() == []
    else:
        assert_windows(line, EPOCH_MS + at, even=knowing == {True})


def assert_fences(line: Line) -> None:
    """They rise, as each process sees it."""
    seen = defaultdict[str, list[tuple[int, int]]](list)
    for call in line.calls:
        if call.fence and call.answered is not None:
            seen[call.ask.process].append((call.answered, call.fence))
    for answers in seen.values():
        moments = sorted({moment for moment, _ in answers})
        by = [[fence for at, fence in answers if at == moment] for moment in moments]
        assert all(max(one) < min(other) for one, other in pairwise(by))


def assert_windows(line: Line, loss: int, even: bool) -> None:
    """Who knows of the loss makes the others slow down with its next word, half a second later at most."""
    began = sorted((call.began, (call.answered or 0) < loss) for call in line.calls if call.began is not None)
    assert any(at > loss for at, _ in began)
    for at, _ in began:
        inside = [old for one, old in began if at - WINDOW_MS < one <= at]
        before, behind = [old for old in inside if old], [old for old in inside if not old]
        assert len(before) <= MOST
        late = 40  # a call goes out so long after its grant, at most
        most = MOST * (at - loss + late) / (0.95 * WINDOW_MS) + 1 if even and at <= loss + WINDOW_MS else MOST
        assert not behind or len(behind) <= min(MOST, most), at - loss
