"""Faults of worker and beat processes: killed, killed at an exact step, stopped, shut down."""

from __future__ import annotations

import signal
from functools import partial
from itertools import pairwise
from random import Random

from chaos import kill_at
from chaos.fault import AGAIN, NOTHING, Fault, Struck
from chaos.members import Member, children, strike
from chaos.world import World
from orchestrator.embedded.roles import WORKER_STOP

READY_SECONDS = 60.0
ORDER_SECONDS = 15.0
PAST_THE_LEASE = (2.5, 3.5)
LEASE_BOUND = "What it held is claimed again within lease + two beats."


def worker(world: World, chance: Random) -> Member:
    """A worker that is ready; which one comes from the seed."""
    member = chance.choice(world.workers())
    world.wait(lambda: member.ready and len(children(member.pid)) > 0, READY_SECONDS, f"{member.name} is ready")
    return member


def busy_worker(world: World, chance: Random) -> Member:
    """The same, when it holds a lease (soon, under load)."""
    member = worker(world, chance)
    world.wait(lambda: world.held_by(member.pids()), 5)
    return member


def kill_child(world: World, chance: Random) -> Struck:
    member = busy_worker(world, chance)
    forked = children(member.pid) or [member.pid]
    victim = chance.choice([pid for pid in forked if world.held_by({pid})] or forked)
    strike(signal.SIGKILL, victim)
    return Struck(frozenset({victim}), detail=member.name)


def kill_main(world: World, chance: Random) -> Struck:
    member = busy_worker(world, chance)
    pids = member.pids()
    strike(signal.SIGKILL, member.pid)
    return Struck(pids, detail=member.name)


def kill_step(moment: str, victim: str, world: World, chance: Random) -> Struck:
    member = worker(world, chance)
    pids = member.pids()
    order = kill_at.place(world.orders, member.name, moment, victim)
    done = world.wait(lambda: kill_at.carried_out(order), ORDER_SECONDS)
    if not done:
        order.unlink(missing_ok=True)
        return Struck(detail="the step did not come")
    order.with_suffix(".done").unlink()
    return Struck(pids if victim == "main" else frozenset({done["pid"]}), detail=member.name, at=done["at"])


def stop_processes(who: str, world: World, chance: Random) -> Struck:
    member = busy_worker(world, chance)
    forked = children(member.pid) or [member.pid]
    busy = [pid for pid in forked if world.held_by({pid})] or forked
    pids = {"main": [member.pid], "child": [chance.choice(busy)], "all": [*forked, member.pid]}[who]
    strike(signal.SIGSTOP, *pids)
    # A main that stands still does not take the leases away from its children.
    lost = frozenset() if who == "main" else frozenset(pids)
    return Struck(lost, heal=partial(strike, signal.SIGCONT, *pids), detail=member.name)


def shut_down(numbers: tuple[int, ...], world: World, chance: Random) -> Struck:
    member = busy_worker(world, chance)
    pids, process = member.pids(), member.process
    assert process is not None
    for number in numbers:
        strike(number, process.pid)
        world.go_on(0.2)
    # As `chordal up` and every other supervisor: who does not end when asked to is asked harder.
    for step, harder in pairwise(WORKER_STOP):
        if world.wait(lambda: process.poll() is not None, step.seconds):
            break
        world.note(f"{harder.signal.name} was needed")
        strike(harder.signal, process.pid)
    return Struck(pids if len(numbers) > 1 or world.notes else frozenset(), pids, detail=member.name)


STEP_FAULTS = (
    *(
        Fault(
            name=f"SIGKILL of a {'pool child' if victim == 'child' else 'worker'} {moment}",
            does=f"The {'child' if victim == 'child' else 'main process, and with it its children,'} dies {moment}"
            " (a test module in the worker wraps the step).",
            holds=holds,
            loses=loses,
            inject=partial(kill_step, moment, victim),
            bounded=True,
        )
        for moment, holds, loses in (
            ("before claim", "Nothing was held. The invitation is sent again.", "The invitation; beat replaces it."),
            ("after claim", LEASE_BOUND, "The attempt, which had not begun its work."),
            ("before commit", LEASE_BOUND, "The finished work of the attempt: it is done again."),
            ("after commit", "The outcome stands. What the same script claimed is claimed again.", "The invitation."),
            ("before renew", LEASE_BOUND, AGAIN),
        )
        for victim in ("child", "main")
    ),
    Fault(
        name="SIGKILL of a worker before ack",
        does="The main process dies after the work is committed, before the message is acknowledged.",
        holds="The outcome stands; a second delivery finds nothing to claim.",
        loses="What its other children ran is run again.",
        inject=partial(kill_step, "before ack", "main"),
        bounded=True,
    ),
)

FAULTS = (
    Fault(
        name="SIGKILL of a pool child",
        does="A child dies while it runs a node.",
        holds=LEASE_BOUND,
        loses=AGAIN,
        inject=kill_child,
        bounded=True,
    ),
    Fault(
        name="SIGKILL of a worker",
        does="Main process and children die at once.",
        holds=LEASE_BOUND,
        loses=AGAIN,
        inject=kill_main,
        bounded=True,
    ),
    *STEP_FAULTS,
    Fault(
        name="SIGSTOP of a pool child past its lease",
        does="A child stands still for more than two leases, then goes on.",
        holds=f"{LEASE_BOUND} Its late commit is fenced.",
        loses=AGAIN,
        inject=partial(stop_processes, "child"),
        bounded=True,
        lasts=PAST_THE_LEASE,
    ),
    Fault(
        name="SIGSTOP of a worker's main alone",
        does="The main process stands still, its children run on.",
        holds="The children keep and renew their leases and commit: nothing is taken away from them.",
        loses="The children take no new messages meanwhile; other workers do.",
        inject=partial(stop_processes, "main"),
        lasts=PAST_THE_LEASE,
    ),
    Fault(
        name="SIGSTOP of a whole worker past its lease",
        does="Main and children stand still for more than two leases, as a swapping or suspended machine does.",
        holds=f"{LEASE_BOUND} Its late commits are fenced.",
        loses=AGAIN,
        inject=partial(stop_processes, "all"),
        bounded=True,
        lasts=PAST_THE_LEASE,
    ),
    Fault(
        name="Warm shutdown of a worker",
        does="SIGTERM.",
        holds="It finishes what runs, starts nothing and leaves the fleet.",
        loses=NOTHING,
        inject=partial(shut_down, (signal.SIGTERM,)),
    ),
    Fault(
        name="Soft shutdown of a worker",
        does="SIGQUIT: three seconds to finish, then cold.",
        holds="What does not finish in time is handed back; the attempt does not count.",
        loses="The work of attempts that were handed back.",
        inject=partial(shut_down, (signal.SIGQUIT,)),
    ),
    Fault(
        name="Cold shutdown of a worker",
        does="SIGQUIT twice.",
        holds="What runs is handed back at once, or else its lease runs out.",
        loses="The work of attempts that were handed back.",
        inject=partial(shut_down, (signal.SIGQUIT, signal.SIGQUIT)),
    ),
)
