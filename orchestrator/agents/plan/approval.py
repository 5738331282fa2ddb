"""Which approvals are about a plan. Nothing of models is imported here: every approval that is answered is looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from orchestrator.store.store import Store

APPLY: Final = "chordal:apply_plan"


class Unedited(Enum):
    """What stands for the plan where an approval is answered without one; None is an empty plan."""

    AS_PROPOSED = "as proposed"

    def __repr__(self) -> str:
        return self.name


AS_PROPOSED: Final = Unedited.AS_PROPOSED


def applier(store: Store, goal: str, node: str) -> tuple[str, dict[str, Any]] | None:
    """The node that carries out the plan behind an approval, and its spec; None where it is about something else."""
    for target in (part.partition(":")[0] for part in store.goals.edges_of(goal, node).split()):
        spec = json.loads(store.goals.spec(goal, target))
        if spec.get("call") == APPLY:
            return target, spec
    return None


def asks_of(spec: Mapping[str, Any]) -> str:
    """The approval whose answer may bring another plan, for a node that applies one; empty where none may."""
    approval = (spec.get("inputs") or {}).get("approval")
    return str(approval.get("from", "")) if isinstance(approval, Mapping) else ""
