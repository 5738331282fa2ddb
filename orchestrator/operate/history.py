"""What has ended: goals with their times, and figures over them. Of the goals that are still stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.views import GoalSummary
from orchestrator.engine.read import Reader
from orchestrator.store.store import Store

MOST: Final = 10_000
"""Goals that are looked through."""
_ENDS: Final = (GoalState.DONE, GoalState.FAILED, GoalState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Figures:
    """Over some goals that have ended. Times are seconds."""

    goals: int
    states: dict[str, int]
    nodes: int
    nodes_failed: int
    success_percent: float | None
    """Of those that were not cancelled; None without any."""
    mean_seconds: float | None
    median_seconds: float | None
    p95_seconds: float | None
    longest: str
    """The goal that took longest."""
    last_ended: float | None
    """Redis time."""
    owners: dict[str, int]
    """Goals by owner, those with most first."""

    def as_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


def ended_goals(
    reader: Reader, store: Store, *, state: GoalState | None, owner: str | None, since: float | None, most: int
) -> list[GoalSummary]:  # fmt: skip
    """Goals that have ended, the latest end first; `since`: ended within so many seconds."""
    now = store.goals.clock_ms() / 1000
    found = [
        one
        for one in reader.list(MOST, state, owner)
        if one.state in _ENDS and one.ended is not None and (since is None or now - one.ended <= since)
    ]
    found.sort(key=lambda one: -(one.ended or 0.0))
    return found[:most]


def figures(goals: Sequence[GoalSummary]) -> Figures:
    """What goals that have ended have in common."""
    spent = sorted(one.seconds for one in goals)
    states = Counter(one.state.value for one in goals)
    judged = states["DONE"] + states["FAILED"]
    return Figures(
        goals=len(goals),
        states={state.value: states[state.value] for state in _ENDS if states[state.value]},
        nodes=sum(one.total for one in goals),
        nodes_failed=sum(one.counts.get(NodeState.FAILED, 0) for one in goals),
        success_percent=round(100 * states["DONE"] / judged, 1) if judged else None,
        mean_seconds=round(sum(spent) / len(spent), 3) if spent else None,
        median_seconds=round(spent[len(spent) // 2], 3) if spent else None,
        p95_seconds=round(spent[min(len(spent) - 1, int(len(spent) * 0.95))], 3) if spent else None,
        longest=max(goals, key=lambda one: one.seconds).goal_id if goals else "",
        last_ended=max((one.ended for one in goals if one.ended is not None), default=None),
        owners=dict(Counter(one.owner for one in goals).most_common(20)),
    )
