"""Faults of calls of models: of the workers that make them, and of the provider."""

from __future__ import annotations

import signal
from functools import partial
from random import Random

from chaos.fault import NOTHING, Fault, Struck
from chaos.members import Member, strike
from chaos.models import ACCOUNT, LEASE_SECONDS, Provider
from chaos.world import World

READY_SECONDS = 60.0
CALL_SECONDS = 5.0
OUTAGE = (1.5, 3.5)
PAST_THE_LEASE = (LEASE_SECONDS + 0.5, LEASE_SECONDS + 1.5)
CHARGED = "The call may have been made: it stays charged, and is made again."


def needs_models() -> str:
    """Why models cannot be called here."""
    try:
        import openai  # noqa: F401
    except ImportError:
        return "needs chordal[llm]"
    return ""


def caller(world: World, chance: Random) -> Member:
    """A worker in the middle of a call (soon, under load)."""
    member = chance.choice(world.callers())
    world.wait(lambda: member.ready, READY_SECONDS, f"{member.name} is ready")
    world.wait(lambda: member.ready and world.held_by(member.pids()), CALL_SECONDS)
    world.wait(lambda: member.ready, READY_SECONDS, f"{member.name} is ready")
    return member


def provider(world: World) -> Provider:
    assert world.provider is not None
    return world.provider


def kill_caller(world: World, chance: Random) -> Struck:
    member = caller(world, chance)
    pids = member.pids()
    strike(signal.SIGKILL, member.pid)
    return Struck(pids, detail=member.name)


def kill_gates(world: World, chance: Random) -> Struck:
    caller(world, chance)
    pids = frozenset(pid for member in world.callers() for pid in member.pids())
    strike(signal.SIGKILL, *pids)
    return Struck(pids)


def stop_caller(world: World, chance: Random) -> Struck:
    member = caller(world, chance)
    pids = member.pids()
    strike(signal.SIGSTOP, *pids)
    return Struck(pids, heal=partial(strike, signal.SIGCONT, *pids), detail=member.name)


def end_caller(world: World, chance: Random) -> Struck:
    member = caller(world, chance)
    pids, process = member.pids(), member.process
    assert process is not None
    strike(signal.SIGTERM, process.pid)
    world.wait(lambda: process.poll() is not None, 10)
    return Struck(ended=pids, detail=member.name)


def misbehave(kind: str, world: World, _: Random) -> Struck:
    provider(world).does(kind)
    return Struck(heal=provider(world).does)


def end_provider(world: World, _: Random) -> Struck:
    provider(world).stop()
    return Struck(heal=provider(world).start)


def freeze_provider(world: World, _: Random) -> Struck:
    provider(world).signal(signal.SIGSTOP)
    return Struck(heal=partial(provider(world).signal, signal.SIGCONT))


def drop_scripts_and_inboxes(world: World, _: Random) -> Struck:
    client = world.redis
    client.script_flush()
    for one in client.client_list():
        if one["cmd"] == "blpop":
            client.client_kill_filter(_id=one["id"])
    return Struck(detail=ACCOUNT)


FAULTS = (
    Fault(
        name="SIGKILL of an llm worker in a call",
        does="The process that makes calls dies while some are out.",
        holds="Its nodes are claimed again, its permits go back when their leases run out; no limit is exceeded.",
        loses=CHARGED,
        inject=kill_caller,
        needs=needs_models,
    ),
    Fault(
        name="SIGKILL of every llm worker",
        does="No process makes calls or reads the words of the line, until they are started again.",
        holds="The line stays as it is; words that were not read come again.",
        loses=CHARGED,
        inject=kill_gates,
        needs=needs_models,
    ),
    Fault(
        name="SIGSTOP of an llm worker past its leases",
        does="It stands still with calls out, for longer than leases of nodes and permits last, then goes on.",
        holds="Its nodes are claimed again and its late commits are fenced.",
        loses=CHARGED,
        inject=stop_caller,
        lasts=PAST_THE_LEASE,
        needs=needs_models,
    ),
    Fault(
        name="Warm shutdown of an llm worker",
        does="SIGTERM.",
        holds="Calls that are out end and count; words are left to the other gates.",
        loses=NOTHING,
        inject=end_caller,
        needs=needs_models,
    ),
    Fault(
        name="The provider fails",
        does="Every answer is a 500, for seconds.",
        holds="Nodes try again; the breaker keeps calls from going out.",
        loses="Time: the breaker stays open for a while after the outage.",
        inject=partial(misbehave, "fails"),
        lasts=OUTAGE,
        needs=needs_models,
    ),
    Fault(
        name="The provider hangs",
        does="No answer comes before the time limit of a call.",
        holds="Calls end with their time limit, and nodes try again.",
        loses="Tokens that the provider may have counted.",
        inject=partial(misbehave, "hangs"),
        lasts=OUTAGE,
        needs=needs_models,
    ),
    Fault(
        name="The provider throttles",
        does="A storm of 429s, with the time after which to come back.",
        holds="The account is held as long as the provider says, and its rate falls, once for all calls in flight.",
        loses="Rate: it grows back by a tenth a window.",
        inject=partial(misbehave, "throttles"),
        lasts=OUTAGE,
        needs=needs_models,
    ),
    Fault(
        name="The provider breaks off and babbles",
        does="Answers that end too early, are no JSON, 503s and 429s, between good ones.",
        holds="Nothing but a whole answer is committed.",
        loses="Tokens of broken answers.",
        inject=partial(misbehave, "breaks"),
        lasts=OUTAGE,
        needs=needs_models,
    ),
    Fault(
        name="The provider is away",
        does="Its process is killed and started again seconds later.",
        holds="As where it fails.",
        loses="Time, as where it fails.",
        inject=end_provider,
        lasts=OUTAGE,
        needs=needs_models,
    ),
    Fault(
        name="The provider stands still",
        does="SIGSTOP of its process: connections are accepted and nothing follows.",
        holds="As where it hangs.",
        loses="Tokens of answers that come too late.",
        inject=freeze_provider,
        lasts=OUTAGE,
        needs=needs_models,
    ),
    Fault(
        name="Inboxes cut and scripts forgotten",
        does="CLIENT KILL of every connection that waits for a word of the line, and SCRIPT FLUSH.",
        holds="Processes connect and ask again.",
        loses=NOTHING,
        inject=drop_scripts_and_inboxes,
        needs=needs_models,
    ),
)
