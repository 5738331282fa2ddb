"""Check a goal against the invariants: its history in one pass, then what is stored of it.

`check_goal` and `examine_goal` read a store; `check_history` takes any events and a plan, such as those of a simulation
or of a saved file; `check_fleet` looks at every key on the server. An empty list means that every rule holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from orchestrator.domain.events import Event
from orchestrator.domain.states import NodeState
from orchestrator.events import agree, places
from orchestrator.events.accounts import check_account, check_accounts
from orchestrator.events.fleet import check_fleet, one_run, unknown_keys
from orchestrator.events.history import History
from orchestrator.events.plan import Plan
from orchestrator.events.rules.permits import check_permits
from orchestrator.events.said import transcripts
from orchestrator.events.source import saved_events, stored_events, stored_plan
from orchestrator.events.stored import Stored, read_state
from orchestrator.events.story import Story
from orchestrator.events.violation import INVARIANTS, Note, Report, Violation
from orchestrator.store.store import Store

__all__ = [
    "INVARIANTS", "Note", "Plan", "Report", "Violation", "check_account", "check_fleet", "check_goal", "check_history",
    "check_permits", "examine_goal", "examine_history", "saved_events", "unknown_keys",
]  # fmt: skip

TRIES: Final = 5
"""How often a goal that moves is read again before its stored state is left out."""
_NEED_STATE: Final = ("I4", "I10", "I12")
_STATES: Final = tuple(state.value for state in NodeState)


def check_history(events: Iterable[Event], plan: Plan, retries: int | None = None) -> list[Violation]:
    """What is wrong with a history, taken for complete up to its last event. `retries`: the limit of nodes without one."""
    return list(examine_history(events, plan, retries).violations)


def examine_history(events: Iterable[Event], plan: Plan, retries: int | None = None) -> Report:
    """`check_history` with what could not be checked."""
    history = History(plan, retries)
    history.feed(events)
    goal = history.story.previous.goal if history.story.previous is not None else ""
    missing = dict.fromkeys(_NEED_STATE, (Note("it needs the stored state", True),))
    return _report(goal, history, history.violations(), missing)


def check_goal(store: Store, goal: str, retries: int | None = None) -> list[Violation]:
    """What is wrong with a goal, by its history and its stored state. Raises GoalNotFound."""
    return list(examine_goal(store, goal, retries).violations)


def examine_goal(store: Store, goal: str, retries: int | None = None) -> Report:
    """`check_goal` with what could not be checked. `retries`: the setting `node_retries`, for nodes without a limit.

    Reads pages and holds a few facts a node. A goal that runs is read until it stands still for the time of one reading;
    one that never does is judged by its history alone.
    """
    store.goals.record(goal)
    for _ in range(TRIES):
        plan = stored_plan(store, goal)
        history = History(plan, retries)
        history.feed(stored_events(store, goal))
        stored = _settled(store, goal, history)
        if (store.goals.field(goal, "version") or "1") == plan.version:
            break
    else:  # the edges that its history was held against are not its edges
        patched = (Note("the goal was patched again and again while it was read", True),)
        found = [fault for fault in history.violations() if fault.invariant != "I3"]
        return _report(goal, history, found, dict.fromkeys(("I3", *_NEED_STATE), patched))
    permits, calls = check_accounts(store, goal)
    found = [*history.violations(), *permits]
    if stored is None:
        moved = (Note("the goal moved while it was read", True),)
        return _report(goal, history, found, dict.fromkeys(_NEED_STATE, moved), calls)
    found += _state(stored, history.story, plan)
    found += _of_the_goal(store, goal, stored)
    here = (Note("keys of other goals: check_fleet reads every key", False),)
    return _report(goal, history, found, {"I10": here}, calls)


def _settled(store: Store, goal: str, history: History) -> Stored | None:
    """The stored state of a goal that did not move while it was read, its history read up to that point."""
    for _ in range(TRIES):
        before = store.goals.record(goal)
        history.feed(stored_events(store, goal, _last(history.story)))
        stored = read_state(store, goal)
        if stored.record == before == store.goals.record(goal) and not store.goals.events(
            goal, _last(history.story), 1
        ):
            return stored
    return None


def _last(story: Story) -> str:
    return story.previous.id if story.previous is not None else "0"


def _state(stored: Stored, story: Story, plan: Plan) -> Iterator[Violation]:
    yield from agree.nodes(stored, story)
    yield from agree.goal_end(stored, story, plan)
    yield from agree.stopped(stored)
    yield from agree.dead_letters(stored)
    yield from agree.outputs(stored, story)
    yield from transcripts(stored.said, story)
    yield from places.leases(stored)
    yield from places.ready(stored)
    yield from places.lanes(stored)
    yield from places.parked(stored)
    yield from places.joins(stored, plan)
    yield from places.counters(stored, _STATES)


def _of_the_goal(store: Store, goal: str, stored: Stored) -> Iterator[Violation]:
    if store.client.zscore(store.keys.index, goal) is None:
        yield Violation("I10", "", "", "the goal is not in the index: nothing would ever remove it")
    if "key" in stored.record:
        yield from one_run(store, goal, stored.record["key"])


def _report(
    goal: str, history: History, found: list[Violation], missing: Mapping[str, tuple[Note, ...]],
    calls: tuple[Note, ...] | None = None,
) -> Report:  # fmt: skip
    notes = dict(history.notes())
    if calls is not None:  # its permits are in the events of its accounts
        notes["I7"] = calls
    for invariant, more in missing.items():
        notes[invariant] = (*notes.get(invariant, ()), *more)
    order = list(INVARIANTS)
    ordered = sorted(found, key=lambda one: order.index(one.invariant))
    return Report(goal, history.story.count, tuple(ordered), notes)
