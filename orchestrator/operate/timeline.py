"""The timeline that beat keeps, bucket by bucket, with what follows from the counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.store.store import Store
from orchestrator.store.upkeep import Ring


@dataclass(frozen=True, slots=True)
class Bucket:
    """A minute or an hour. Levels are those of its last measurement; None where none was made."""

    at: float
    """When it begins, seconds since the epoch."""
    goals_begun: int
    goals_done: int
    goals_failed: int
    goals_cancelled: int
    nodes_done: int
    nodes_failed: int
    leases_lost: int
    success: float | None
    """The share of goals that are DONE among those that were DONE or FAILED; None where there were none."""
    mean_seconds: float | None
    """How long the goals that ended had lasted, on the average."""
    goals_open: int | None
    nodes_ready: int | None
    nodes_running: int | None

    @classmethod
    def of(cls, raw: Mapping[str, int]) -> Bucket:
        """From what is stored."""
        done, failed, cancelled = (raw.get(f"goals_{end}", 0) for end in ("done", "failed", "cancelled"))
        ends = done + failed + cancelled
        return cls(
            at=raw["at"] / 1000, goals_begun=raw.get("goals_begun", 0), goals_done=done, goals_failed=failed,
            goals_cancelled=cancelled, nodes_done=raw.get("nodes_done", 0), nodes_failed=raw.get("nodes_failed", 0),
            leases_lost=raw.get("leases_lost", 0), success=done / (done + failed) if done + failed else None,
            mean_seconds=raw.get("goal_ms", 0) / 1000 / ends if ends else None, goals_open=raw.get("goals_open"),
            nodes_ready=raw.get("nodes_ready"), nodes_running=raw.get("nodes_running"),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """As `chordal metrics --timeline` prints it."""
        return asdict(self)


def timeline(store: Store, ring: Ring) -> list[Bucket]:
    """The buckets that are kept, the oldest first: of two hours by minutes, of two weeks by hours."""
    return [Bucket.of(raw) for raw in store.upkeep.timeline(ring)]
