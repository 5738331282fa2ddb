"""Who acts: workers with their lease keepers, beat, submitters and commanders. Each is a generator of requests."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from celery.exceptions import Ignore

from orchestrator.backend import Hook, _Hooked
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import ChordalError, GoalExists
from orchestrator.engine.dispatch import UserTask
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.goals import SubmissionLost
from orchestrator.wiring import Chordal
from simulation import plans, talks
from simulation.fakes import RESEND_SECONDS
from simulation.wire import Receive, Steps, Wait, steps

if TYPE_CHECKING:
    from simulation.world import World

REASON = "as the seed wants"


def worker(world: World, parts: Chordal) -> Steps:
    """Answers messages, one after the other."""
    app: Any = SimpleNamespace(backend=_Hooked())
    hook = Hook(parts, app)
    while True:
        message = yield Receive()
        try:
            if isinstance(message, UserTask):
                yield from _user_task(world, hook, message)
            else:
                yield from steps(parts.runner.answer, message.goal, message.queue, message.node, message.sent_ms)
        except ConnectionFailed:
            continue


def _user_task(world: World, hook: Hook, task: UserTask) -> Steps:
    """What Celery does with a task of the user's: our hook before its body and behind it."""
    request = SimpleNamespace(id=f"{task.goal}:{task.node}:{task.attempt}", timelimit=None)
    try:
        yield from steps(hook.begin, request)
    except Ignore:
        return
    except ConnectionFailed as error:
        yield from steps(hook.finish, request, "FAILURE", error)
        return
    yield Wait(world.duration_ms())
    if world.rng.random() < 0.2:
        yield from steps(hook.finish, request, "FAILURE", ValueError("the user's task failed"))
    else:
        yield from steps(hook.finish, request, "SUCCESS", {"v": world.rng.randrange(4)})


def keeper(world: World, parts: Chordal) -> Steps:
    """Renews the leases of its process, beside the work."""
    while True:
        yield Wait(250)
        if parts.keeper.held():
            yield from _tried(steps(parts.keeper.watch_once, world.now / 1000))


def beat(world: World, parts: Chordal) -> Steps:
    """Ticks: the duties that look at goals."""
    tick = world.rng.randrange(10)
    while True:
        yield Wait(1000)
        tick += 1
        yield from _tried(steps(parts.duties.reap))
        if tick % 2 == 0:
            yield from _tried(steps(parts.duties.reassign, {"default"}))
        if tick % 10 == 0:
            yield from _tried(steps(parts.duties.sweep))


def _tried(call: Steps) -> Generator[Any, Any, None]:
    try:
        yield from call
    except ConnectionFailed:
        return


def submitter(world: World, parts: Chordal, document: Mapping[str, Any]) -> Steps:
    """Submits a goal, and again when it does not know whether that worked."""
    for _ in range(20):
        yield Wait(world.rng.choice([0, 1, 5, 40, 300]))
        try:
            yield from steps(parts.submitter.submit, document)
        except ConnectionFailed:
            if not world.weather.calm and world.rng.random() < 0.2:
                break  # it gives up: the goal may be there, or half of it
        except SubmissionLost:
            continue
        except GoalExists:
            world.tally.count("outcome", "submit=GoalExists")
            yield Wait(500)  # the goal of this name is just being removed
        else:
            world.truth.accepted.add(document["goal_id"])
            break
    world.submitting -= 1


def commander(world: World, parts: Chordal) -> Steps:
    """Gives commands at random to goals at random."""
    for serial in range(world.rng.randint(0, 14)):
        yield Wait(world.rng.choice([5, 20, 60, 100, 400, 800, 3000]))
        if world.weather.calm:
            return
        goal, state = world.some_goal()
        verb = world.rng.choice(SENSIBLE.get(state, VERBS) if world.rng.random() < 0.7 else VERBS)
        yield from command(world, parts, goal, verb, f"{parts.committer.name}.{serial}".replace("#", "-"))


VERBS = ("pause", "resume", "cancel", "approve", "reject", "signal", "retry", "patch", "steer", "reparse", "complete")
SENSIBLE = {
    "RUNNING": (
        "pause",
        "pause",
        "cancel",
        "approve",
        "reject",
        "signal",
        "patch",
        "patch",
        "patch",
        "steer",
        "steer",
        "reparse",
        "complete",
        "complete",
    ),
    "PAUSED": ("resume", "resume", "patch", "cancel", "approve"),
    "FAILED": ("retry",),
}
"""What people do to a goal that they have looked at."""


def command(world: World, parts: Chordal, goal: str, verb: str, serial: str, node: str = "") -> Steps:
    """One command through the engine."""
    rng, control = world.rng, parts.control
    one, other = world.some_nodes(goal)
    node = node or one
    if verb in ("steer", "complete") and serial:
        node = world.some_node(goal, "agent" if verb == "steer" else "deferred") or node
    calls: dict[str, tuple[Any, ...]] = {
        "pause": (control.pause, goal, REASON),
        "resume": (control.resume, goal, REASON),
        "cancel": (control.cancel, goal, REASON),
        "approve": (control.approve, goal, node),
        "reject": (control.reject, goal, node),
        "signal": (control.signal, goal, plans.SIGNAL, {"v": 2}),
        "retry": (parts.reopener.retry, goal, rng.choice([None, None, node])),
        "steer": (parts.agents.steer, goal, node, [f"{serial} one", f"{serial} two"], serial),
        "reparse": (parts.agents.reparse, goal, [AgentCard(name="talker", instructions=serial)], "file"),
        "complete": (parts.agents.complete_deferred, f"{goal}:{node}:{talks.SECRET}", {"v": 3}),
        "patch": (world.patcher(parts).apply, goal, plans.patch(rng, one, other, serial), REASON),
    }
    try:
        answer = yield from steps(*calls[verb])
    except ConnectionFailed:
        answer = "lost"
    except ChordalError as error:
        answer = type(error).__name__
    told = {list: "changed", int: "patched"}.get(type(answer), answer)
    world.tally.count("command", f"{verb}={told}")
    world.note(parts.committer.name, f"{verb} {goal} {node}: {answer}")
    if answer in ("approved", "rejected"):
        world.truth.answered_approvals[goal] += 1
    if answer == "steered":
        world.truth.steered[goal, node].append(serial)


def caretaker(world: World, parts: Chordal) -> Steps:
    """Once the faults have healed: resumes what is paused, and gives the answers that nodes wait for."""
    while True:
        for goal, state, waiting in world.open_goals():
            if state == "PAUSED":
                yield from command(world, parts, goal, "resume", "")
            for node, reason in waiting:
                if reason == "approval":
                    yield from command(world, parts, goal, "approve", "", node)
                elif reason == "deferred":
                    yield from command(world, parts, goal, "complete", "", node)
                elif reason.startswith("signal:"):
                    yield from command(world, parts, goal, "signal", "")
        yield Wait(int(2000 * RESEND_SECONDS))
