"""The judge of notifications sees what was missed, and in which order it came."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from simulation.ears import Ears

EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("5-0", {"type": "node.claimed"}), ("5-1", {"type": "node.failed"}), ("12-0", {"type": "goal.done"}),
]  # fmt: skip


def faults(*heard: str, untold: tuple[str, ...] = ()) -> list[str]:
    """What the judge finds where this was heard; the codes alone."""
    entries = [{"target": "ends", "event": event} for event in untold]
    store: Any = SimpleNamespace(tell=SimpleNamespace(untold=lambda: entries))
    ears = Ears({"ends": ("goal.*", "node.failed")}, {"ends": list(heard)})
    return [fault.split()[0] for fault in ears.missed(store, "g", EVENTS)]


def test_repetitions_and_other_goals_are_no_faults() -> None:
    assert faults("g/5-1", "h/12-0", "g/5-1", "g/12-0", "g/5-1") == []


def test_what_was_never_told_is_one() -> None:
    assert faults("g/5-1") == ["T11"]
    assert faults() == ["T11", "T11"]


def test_what_was_given_up_is_none() -> None:
    assert faults("g/12-0", untold=("g/5-1",)) == []


def test_another_order_is_one() -> None:
    assert faults("g/12-0", "g/5-1") == ["T12"]
