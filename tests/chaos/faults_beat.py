"""Faults of beat: killed, stopped, doubled."""

from __future__ import annotations

import signal
import time
from functools import partial
from random import Random

from chaos.fault import Fault, Struck
from chaos.faults_process import READY_SECONDS, kill_main
from chaos.members import Member, strike
from chaos.world import World


def leader(world: World) -> Member:
    """The beat that ticks: the one whose log says that it has the lock, the latest first."""
    having = [beat for beat in world.beats() if beat.alive and "Acquired lock" in beat.log.read_text(errors="replace")]
    return max(having, key=lambda beat: beat.began, default=world.beats()[0])


def kill_beat(world: World, _: Random) -> Struck:
    victim = leader(world)
    pids = victim.pids()
    strike(signal.SIGKILL, *pids)
    return Struck(ended=pids, detail=victim.name)


def kill_both_beats(world: World, chance: Random) -> Struck:
    ended = frozenset[int]().union(*(beat.pids() for beat in world.beats()))
    strike(signal.SIGKILL, *ended)
    for beat in world.beats():
        beat.wanted = False
    struck = kill_main(world, chance)

    def heal() -> None:
        for beat in world.beats():
            beat.wanted = True

    return Struck(struck.pids, ended, heal, struck.detail)


def stop_beat(world: World, _: Random) -> Struck:
    victim = leader(world)
    pids = victim.pids()
    strike(signal.SIGSTOP, *pids)
    return Struck(heal=partial(strike, signal.SIGCONT, *pids), detail=victim.name)


def double_beat(world: World, chance: Random) -> Struck:
    """Two beats that both carry out the duties: more than a race for the lock can bring about."""
    name = f"b{time.time_ns() % 10**9}"
    extra = world.add(name, "beat", app="chaos.lone_beat")
    world.wait(lambda: "Acquired lock" in extra.log.read_text(errors="replace"), READY_SECONDS, "the second beat ticks")
    struck = kill_main(world, chance)
    return Struck(struck.pids, heal=partial(world.remove, extra), detail=struck.detail)


FAULTS = (
    Fault(
        name="SIGKILL of the beat that ticks",
        does="The second beat stands by.",
        holds="Goals go on. The other beat takes the lock when it runs out, 6 s at most.",
        loses="Until then nothing is reaped: timers, retries and recovery are late by as much.",
        inject=kill_beat,
        lasts=(0.5, 7.0),
    ),
    Fault(
        name="No beat at all, and a worker is killed",
        does="Both beats are killed and stay away for seconds.",
        holds="Goals go on where nothing was lost; with the first beat that comes back everything does.",
        loses="No recovery, timer or retry as long as there is no beat.",
        inject=kill_both_beats,
        lasts=(3.0, 6.0),
    ),
    Fault(
        name="SIGSTOP of the beat that ticks, past its lock",
        does="It stands still until another beat has its lock, then goes on.",
        holds="It notices that the lock is another's and stands by; what both do, a script decides once.",
        loses="As for the killed beat.",
        inject=stop_beat,
        lasts=(7.0, 8.0),
    ),
    Fault(
        name="Two beats carry out the duties at once",
        does="A second beat runs without the lock, and a worker is killed.",
        holds="Each lease is reaped once, each timer fires once: scripts decide.",
        loses="Invitations may go out twice; the second finds nothing to claim.",
        inject=double_beat,
        lasts=(2.0, 3.0),
    ),
)
