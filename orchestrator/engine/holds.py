"""Holds of the whole fleet, as every claim and invitation is told of them: inside the published slots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.store.control import FLEET
from orchestrator.store.store import Store

HELD: Final = "*held"
"""Where they stand among the slots. No queue has such a name."""
UNKNOWN_FLEET: Final = '{"*":4}'
"""Slots assumed while no beat has counted the fleet."""
TRIES: Final = 10


def held_in_slots(holds: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the slots that says what is held; nothing where nothing is."""
    queues = {name.removeprefix("queue:"): 1 for name in holds if name.startswith("queue:")}
    if FLEET in holds:
        queues["*"] = 1
    agents = {name.removeprefix("agent:"): 1 for name in holds if name.startswith("agent:")}
    return {HELD: {"queues": queues, "agents": agents}} if queues or agents else {}


def slots_now(store: Store) -> str:
    """The published slots, JSON; without beat they run out, but what is held stays held."""
    if (published := store.fleet.slots()) is not None:
        return published
    held = held_in_slots(store.control.holds())
    return json.dumps(json.loads(UNKNOWN_FLEET) | held) if held else UNKNOWN_FLEET


def publish(store: Store, slots: Mapping[str, Any]) -> None:
    """Publish these slots, and with them what is held."""
    held = held_in_slots(store.control.holds())
    for _ in range(TRIES):
        store.fleet.publish_slots({**slots, **held})
        before, held = held, held_in_slots(store.control.holds())
        if held == before:
            return  # else somebody held or released something, and our word may have come after theirs


def publish_holds(store: Store) -> None:
    """Let the fleet know of a change at once; beat's next scan would say the same.

    Processes read the slots every two seconds: so long a hold may take.
    """
    slots = json.loads(store.fleet.slots() or UNKNOWN_FLEET)
    slots.pop(HELD, None)
    publish(store, slots)
