"""`chordal:unchanged`: what is left to do where a change of a plan was declined or came to nothing: to say why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents.plan.scene import read_stored
from orchestrator.agents.plan.workflow import OUR_RETRIES
from orchestrator.domain.errors import NodeFailed
from orchestrator.engine.context import current
from orchestrator.store.store import Store

UNCHANGED: Final = "chordal:unchanged"


def declined_node(name: str) -> dict[str, Any]:
    """The node that handles the failures of the nodes in front of it; where they are done it is skipped."""
    title = "The plan stays as it is"
    return {"id": name, "title": title, "kind": "python", "call": UNCHANGED, "join": "any", "retries": OUR_RETRIES}


@dataclass(frozen=True, slots=True)
class Declined:
    """The built-in function `chordal:unchanged`."""

    store: Store

    def unchanged(self) -> dict[str, Any]:
        """Which of the nodes in front of the calling one failed, and why."""
        lease = current()
        if lease is None:
            raise NodeFailed(f"{UNCHANGED} runs in a node only")
        stored, dead = read_stored(self.store, lease.goal), self.store.goals.part(lease.goal, "dead")
        failed = [
            f"{source}: {json.loads(dead[source]).get('error', '')}"
            for source, target in stored.pairs
            if target == lease.node and source in dead
        ]
        return {"changed": False, "why": "; ".join(failed)}
