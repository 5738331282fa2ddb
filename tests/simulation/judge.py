"""What must hold of a goal when its story is over, and of the server when the goal is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.store.store import Store

if TYPE_CHECKING:
    from simulation.world import World

OPEN = ("BLOCKED", "READY", "WAITING", "RUNNING")
STAYS = ("goals:idem:", "fleet:", "beat:", "redbeat:", "{control}:targets", "{control}:untold")
"""Keys that outlive goals. A record that nobody seals expires by itself, by the server's clock."""


def checker() -> Callable[[Store, str], list[Any]]:
    """The history checker; the invariants of the stored state while there is none."""
    try:
        from orchestrator.events.check import check_goal
    except ImportError:
        from support.invariants import broken

        return broken
    return check_goal


class Inspector:
    """Judges the goals of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._check = checker()
        self._sealed: set[str] = set()
        """Goals that were stored whole."""

    def before_removal(self, goal: str) -> None:
        """A goal is about to go: it is judged first, as long as it is whole."""
        state, building = self._world.store.goals.fields(goal, "state", "building")
        if building is None and state in ("DONE", "FAILED", "CANCELLED"):
            self.goal(goal)
            self._world.faults += self._world.ears.missed(self._world.store, goal, self._events(goal))
            self._world.truth.forget(goal)

    def _events(self, goal: str) -> list[Any]:
        return list(self._world.store.client.xrange(self._world.store.keys.part(goal, "events")))

    def goal(self, goal: str) -> None:
        """Every rule, for one goal."""
        world = self._world
        events = self._events(goal)
        if any(event["type"] == "goal.submitted" for _, event in events):
            self._sealed.add(goal)
        for _, event in events:
            world.tally.count("event", event["type"])
        world.tally.count("goal", world.store.goals.field(goal, "state") or "GONE")
        world.faults += [f"{goal}: {violation}" for violation in self._check(world.store, goal)]
        world.faults += world.truth.disagreements(goal, events, world.store.goals.part(goal, "outputs"))
        for told, node in [key for key in world.truth.steered if key[0] == goal]:
            said = world.store.agents.said(told, node, "")
            world.faults += world.truth.unsaid(goal, node, said.entries, said.steering)

    def everything(self) -> None:
        """Every goal that is there, and none missing that was accepted."""
        world = self._world
        for goal in world.store.goals.newest(0, 1000):
            state, building = world.store.goals.fields(goal, "state", "building")
            if state is not None and building is None:
                self.goal(goal)
        for goal in sorted(world.truth.accepted - self._sealed):
            world.faults.append(f"T8 {goal}: its submission was accepted, and it is not there")

    def unfinished(self, late: bool) -> list[str]:
        """What has not ended although the faults have healed."""
        world, found = self._world, []
        why = "has not ended in time" if late else "goes round in circles"
        for goal, state, _ in world.open_goals():
            names = sorted(world.store.goals.part(goal, "nodes"))
            tasks = dict(zip(names, world.store.nodes.states(goal, names), strict=True))
            left = {name: task.get("state") for name, task in tasks.items() if task.get("state") in OPEN}
            found.append(f"I4 {goal}: is {state} and {why}: {left}")
            found += [f"{goal}: {violation}" for violation in self._check(world.store, goal)]
        return found or [f"I4 the world {why}, {world.submitting} submitters are not served"]

    def removal(self) -> None:
        """Time passes and beat ticks: every goal goes, and leaves nothing behind."""
        world = self._world
        undertaker = world.parts("undertaker")
        longest = int(world.settings.failed_ttl_seconds * 1000) + 2000
        for turn in range(30):  # who looked last may have put the next look off by a minute or two
            world.now += longest
            undertaker.duties.sweep()
            undertaker.duties.reap()
            undertaker.notify.watch.tick()
            for goal in world.store.tell.due(world.now + longest, 1000):
                undertaker.notify.deliverer.deliver(goal)
            undertaker.upkeep.removal.tick()
            # Hygiene acts at its second look, and reap on what that says, or on a late look that is noted of a goal long gone.
            if turn >= 2 and not world.store.client.exists(world.store.keys.index, world.store.keys.due):
                break
            undertaker.upkeep.hygiene.tick()
        client = world.store.client
        left = sorted(
            key for key in client.scan_iter("*", count=1000) if not key.startswith(STAYS) and client.pttl(key) < 0
        )  # fmt: skip
        if left:
            world.faults.append(f"I10 keys are left: {left[:10]}")
        folder = world.settings.data_dir / "artifacts"
        files = sorted(path.name for path in folder.rglob("*.json")) if folder.exists() else []
        if files:  # written by a worker that was stopped until its goal was gone
            world.tally.count("left", "files", len(files))
