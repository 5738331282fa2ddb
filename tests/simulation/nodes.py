"""What nodes do: read their parents, take their time, fail now and then, give an output that tells who wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.domain.errors import ChordalError
from orchestrator.engine.context import current
from orchestrator.store.connection import ConnectionFailed
from simulation.fakes import work_for

if TYPE_CHECKING:
    from simulation.world import World


def register(world: World) -> None:
    """Let the goals of a world call `work`."""

    def work(upstream: dict[str, Any] | None = None, item: Any = None) -> dict[str, Any]:
        rng, lease = world.rng, current()
        assert lease is not None
        # The engine may hand over a view that is read on demand; what counts is what is read.
        seen = None if upstream is None else {name: upstream[name] for name in upstream}
        world.truth.ran(lease, seen)
        world.note("work", f"{lease.goal} {lease.node} token {lease.token}")
        if rng.random() < 0.03:
            _stop(world, lease.goal)
        work_for(world.duration_ms() / 1000, heeds_limit=rng.random() < 0.8)
        if rng.random() < 0.15:
            raise ValueError("the node failed")
        output: dict[str, Any] = {"v": rng.randrange(4), "by": f"{lease.node}/{lease.token}", "item": item}
        if rng.random() < 0.03:
            output["large"] = "x" * 1500
        return output

    world.registry.add(work, "work")


def _stop(world: World, goal: str) -> None:
    """Pause or change the goal from inside: the one moment at which what runs ahead must not be claimed."""
    parts = world.parts("inside")
    try:
        if world.rng.random() < 0.5:
            parts.control.pause(goal, "from inside")
        else:
            new = {"id": f"i{world.operations}", "call": "work"}
            world.patcher(parts).apply(goal, {"add_nodes": [new]}, "from inside")
    except (ChordalError, *ConnectionFailed):
        pass  # a person would try again; here it is enough that it happens now and then
