"""Who acts: workers with their lease keepers, beat, and submitters. Each is a generator of requests."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from celery.exceptions import Ignore

from orchestrator.backend import Hook, _Hooked
from orchestrator.domain.errors import GoalExists
from orchestrator.engine.dispatch import UserTask
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.goals import SubmissionLost
from orchestrator.wiring import Chordal
from simulation.ears import Telling
from simulation.wire import Receive, Steps, Wait, steps

if TYPE_CHECKING:
    from simulation.world import World


def worker(world: World, parts: Chordal) -> Steps:
    """Answers messages, one after the other."""
    app: Any = SimpleNamespace(backend=_Hooked())
    hook = Hook(parts, app)
    while True:
        message = yield Receive()
        try:
            if isinstance(message, UserTask):
                yield from _user_task(world, hook, message)
            elif isinstance(message, Telling):
                yield from steps(parts.notify.deliverer.deliver, message.goal)
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
        if world.ears.wants:
            yield from _tried(steps(parts.notify.watch.tick))
        if parts.upkeep.removal.left():
            yield from _tried(steps(parts.upkeep.removal.tick))
        if tick % 2 == 0:
            yield from _tried(steps(parts.duties.reassign, {"default"}))
        if tick % 10 == 0:
            yield from _tried(steps(parts.duties.sweep))
        if tick % 10 == 4:
            yield from _tried(steps(parts.upkeep.hygiene.tick))
            yield from _tried(steps(parts.upkeep.meter.tick))
        if world.rng.random() < 0.02:
            yield from _tried(steps(parts.store.client.hset, parts.store.keys.part("stray", "children"), "n", "late"))


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
