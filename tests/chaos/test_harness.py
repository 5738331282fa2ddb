"""What the verdict of a chaos run rests on: the schedule replays, the measure is right, the proxy does what it says."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import redis

from chaos import driver, faults_llm
from chaos.__main__ import main
from chaos.catalogue import EVERY, FAULTS
from chaos.history import Hit, Moment, claimable, early_timers, recovery, wrong_outputs
from chaos.kill_at import STEPS
from chaos.load import Order, make_goal
from chaos.models import LIMITS, Provider, at_the_provider, make_calls
from orchestrator.domain.validate import read_goal
from orchestrator.store.nodes import NodeStore
from orchestrator.store.store import Store
from support.proxy import Proxy
from support.servers import Server, until


def test_the_same_seed_gives_the_same_schedule_and_the_same_load() -> None:
    rounds = [
        [(fault.name, chance.random()) for fault, chance in islice(driver.schedule(seed, FAULTS), 90)]
        for seed in (7, 7, 8)
    ]
    assert rounds[0] == rounds[1] != rounds[2]
    assert [make_goal(7, serial) for serial in range(5)] == [make_goal(7, serial) for serial in range(5)]
    assert make_goal(7, 1) != make_goal(8, 1)


def test_every_round_has_every_fault() -> None:
    names = [fault.name for fault, _ in islice(driver.schedule(3, FAULTS), 2 * len(FAULTS))]
    assert sorted(names[: len(FAULTS)]) == sorted(names[len(FAULTS) :]) == sorted(fault.name for fault in FAULTS)


def test_every_fault_says_what_it_does_and_what_holds() -> None:
    every = [*EVERY, *faults_llm.FAULTS]
    assert len({fault.name for fault in every}) == len(every)
    for fault in every:
        assert fault.does.endswith(".")
        assert fault.holds.endswith(".")
        assert fault.loses.endswith(".")


@pytest.mark.parametrize("serial", range(20))
def test_the_load_is_valid(serial: int) -> None:
    assert read_goal(dict(make_goal(1, serial).document)).nodes
    assert read_goal(dict(make_calls(1, serial).document)).nodes


def test_the_provider_s_record_is_held_against_the_limits(tmp_path: Path) -> None:
    most = LIMITS.concurrency or 0
    lines = [f"begin 1 {index} {index / 100}" for index in range(most)]
    (tmp_path / "calls").write_text("\n".join([*lines, "end 1 0 0.5"]))
    provider = Provider(tmp_path)
    assert at_the_provider(provider) == [], "who never ended was killed"
    lines = [
        f"{what} 1 {index} {at + index / 100}" for index in range(most + 1) for what, at in (("begin", 0), ("end", 1))
    ]
    (tmp_path / "calls").write_text("\n".join(lines))
    assert at_the_provider(provider) == [f"I7: the provider had {most + 1} calls at once, the limit is {most}"]
    many = (LIMITS.requests_per_minute or 0) + 1
    lines = [
        f"{what} 1 {index} {index / 100 + at}" for index in range(many) for what, at in (("begin", 0), ("end", 0.001))
    ]
    (tmp_path / "calls").write_text("\n".join(lines))
    assert at_the_provider(provider) == [f"I7: the provider had {many} requests in a window"]
    provider.woken.append(0.3)
    assert at_the_provider(provider) == [], "what it read when it went on was sent long before"


def test_the_steps_of_the_kill_hook_are_there_and_are_not_wrapped_here() -> None:
    for step in STEPS:
        assert not hasattr(getattr(NodeStore, step), "__wrapped__")


def test_the_command_line_lists_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [fault.name for fault in EVERY]


def moments(*told: tuple[float, str, str, int]) -> list[Moment]:
    return [Moment(*one) for one in told]


def test_a_recovery_is_the_time_until_the_last_lost_node_is_claimed_again() -> None:
    hit = Hit("f", at=10.0, healed=10.0, pids=frozenset({5}))
    seen = {
        ("g", "lost"): moments((9, "node.claimed", "1", 5), (12, "node.lost", "1", 0), (12.5, "node.claimed", "2", 6)),
        ("g", "later"): moments((9.5, "node.claimed", "3", 5), (13, "node.lost", "3", 0), (14, "node.claimed", "4", 6)),
        ("g", "over"): moments((8, "node.claimed", "5", 5), (9, "node.done", "5", 5)),
        ("g", "others"): moments((9, "node.claimed", "6", 7), (30, "node.claimed", "7", 6)),
        ("g", "itself"): moments((9, "node.claimed", "8", 5), (40, "node.done", "8", 5)),
    }
    assert recovery(hit, seen, []) == 4.0
    assert claimable(hit, seen) == 3.0
    del seen["g", "later"], seen["g", "lost"]
    assert recovery(hit, seen, [50.0]) is None


def test_a_recovery_without_victims_is_the_time_until_the_next_commit() -> None:
    assert recovery(Hit("f", at=10.0, healed=12.0), {}, [9.0, 11.0, 12.5, 13.0]) == 0.5
    assert recovery(Hit("f", at=10.0, healed=12.0), {}, [9.0]) is None


def test_wrong_outputs_and_early_timers_are_noticed(store: Store) -> None:
    order = Order("g", {"nodes": [{"id": "w", "kind": "wait", "inputs": {"seconds": 5}}]}, {"n": 3})
    store.client.hset(store.keys.part("g", "outputs"), "n", "4")
    stream = store.keys.part("g", "events")
    for name, kind in (("1000-0", "node.waiting"), ("5990-0", "node.woken")):
        store.client.xadd(stream, {"type": kind, "node": "w"}, id=name)
    assert wrong_outputs(store, order) == ["g n: the output is 4, it should be 3"]
    assert early_timers(store, order) == ["g w: woken after 4.990 s of 5 s"]


@pytest.fixture
def proxy(redis_server: Server) -> Any:
    made = Proxy(redis_server.folder / "s")
    made.start()
    yield made
    made.stop()


def test_the_proxy_passes_resets_cuts_and_holds(proxy: Proxy) -> None:
    with redis.Redis.from_url(proxy.url, socket_timeout=1, retry=None, decode_responses=True) as client:
        big = "x" * 200_000
        client.set("proxied", big)
        assert client.get("proxied") == big
        connection = client.connection_pool.get_connection()
        proxy.reset()
        with pytest.raises(redis.ConnectionError):
            connection.read_response()
        client.connection_pool.release(connection)
        client.connection_pool.disconnect()
        assert client.ping()  # a new connection, past its handshake
        proxy.cut_chance = 1.0
        with pytest.raises(redis.ConnectionError):
            client.incr("proxied:count")
        proxy.cut_chance = 0.0
        assert until(lambda: client.get("proxied:count")) == "1"
        assert proxy.cuts == 1
        proxy.hold = True
        with pytest.raises(redis.TimeoutError):
            client.ping()
        proxy.hold = False
        assert client.ping()
        client.delete("proxied", "proxied:count")
