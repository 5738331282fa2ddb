"""Faults between the workers and the server, through the proxies: resets, cut replies, silence, delay."""

from __future__ import annotations

from functools import partial
from random import Random

from chaos.fault import AGAIN, Fault, Struck
from chaos.world import World
from support.proxy import Proxy


def reset_connections(world: World, chance: Random) -> Struck:
    proxies = world.proxies() if chance.random() < 0.5 else [chance.choice(world.proxies())]
    for proxy in proxies:
        proxy.reset()
    return Struck(detail=f"{len(proxies)} workers")


def refuse_connections(world: World, _: Random) -> Struck:
    for proxy in world.proxies():
        proxy.refuse = True
        proxy.reset()
    return Struck(heal=partial(_set, world.proxies(), refuse=False))


def cut_replies(world: World, _: Random) -> Struck:
    proxies = world.proxies()
    before = sum(proxy.cuts for proxy in proxies)
    _set(proxies, cut_chance=0.1)

    def heal() -> None:
        _set(proxies, cut_chance=0.0)
        world.note(f"{sum(proxy.cuts for proxy in proxies) - before} replies cut")

    return Struck(heal=heal)


def partition(world: World, chance: Random) -> Struck:
    member = chance.choice([member for member in world.workers() if member.proxy is not None])
    assert member.proxy is not None
    member.proxy.hold = True
    return Struck(member.pids(), heal=partial(_set, [member.proxy], hold=False), detail=member.name)


def delay(world: World, chance: Random) -> Struck:
    _set(world.proxies(), delay_seconds=chance.uniform(0.01, 0.06))
    return Struck(heal=partial(_set, world.proxies(), delay_seconds=0.0))


def _set(proxies: list[Proxy], **toxics: float) -> None:
    for proxy in proxies:
        for name, value in toxics.items():
            setattr(proxy, name, value)


FAULTS = (
    Fault(
        name="Connections reset",
        does="Every TCP connection of one worker, or of all that come through a proxy, is reset.",
        holds="Calls are repeated; each script is idempotent or recognises its repetition.",
        loses="Messages that the broker had handed to the reset connection; beat sends them again.",
        inject=reset_connections,
    ),
    Fault(
        name="Redis unreachable for some workers",
        does="Their connections are reset and new ones refused, for longer than the lease.",
        holds="Other workers take over; late commits are fenced.",
        loses=AGAIN,
        inject=refuse_connections,
        lasts=(2.0, 4.0),
    ),
    Fault(
        name="Replies cut after the server acted",
        does="One reply in ten ends mid-way and its connection is reset, for seconds.",
        holds="A commit that is sent again answers `repeated`; no effect is doubled.",
        loses="A claim whose reply is lost runs out and is claimed again; messages that were popped are sent again by beat.",
        inject=cut_replies,
        lasts=(1.5, 3.0),
    ),
    Fault(
        name="One worker partitioned past its lease",
        does="Nothing passes between it and the server, in either direction; then everything does.",
        holds="What it held is claimed elsewhere within lease + two beats; its late commits are fenced.",
        loses=AGAIN,
        inject=partition,
        bounded=True,
        lasts=(2.5, 4.0),
    ),
    Fault(
        name="Slow network",
        does="Each packet waits 10 to 60 ms, for seconds.",
        holds="Leases are renewed in time.",
        loses="Throughput.",
        inject=delay,
        lasts=(2.0, 4.0),
    ),
)
