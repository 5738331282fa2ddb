"""What each command does to one goal: a call of the part that can do it, under the command's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orchestrator.agents.plan.approval import applier
from orchestrator.domain.command import Command, InvalidCommand, Order, Repeated
from orchestrator.domain.errors import ChordalError, Fault, IllegalTransition
from orchestrator.domain.verbs import (
    Approve,
    Budget,
    Decision,
    Drop,
    Edit,
    Pause,
    Priority,
    Reparse,
    Replan,
    Retry,
    Scope,
    Signal,
    Steer,
    Verb,
)
from orchestrator.engine.changes import Came, Changes
from orchestrator.engine.control import Control
from orchestrator.engine.payload import Payloads
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.agents.desk import AgentDesk


@dataclass(frozen=True, slots=True)
class Parts:
    """What carries commands out. Those behind a call are made when they are needed: most commands need them not."""

    store: Store
    payloads: Payloads
    control: Control
    changes: Changes
    desk: Callable[[], AgentDesk]
    renew_budget: Callable[[str], object]
    """The accounts that a goal uses take its new budget over."""


def act_on(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    """Carry the command out on one goal. Raises what the part raises."""
    return _ACTS[command.verb](parts, command, goal, order)


def _pause(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    if command.scope in (Scope.NODE, Scope.AGENT):
        return _hold(parts, command, goal, order)
    given: Pause = command.arguments
    return parts.changes.pause(goal, command.reason, stop=given.mode == "stop", order=order)


def _resume(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    if command.scope in (Scope.NODE, Scope.AGENT):
        return _release(parts, command, goal, order)
    return parts.changes.resume(goal, command.reason, order=order)


def _hold(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    return parts.changes.hold(goal, node=command.node, agent=command.agent, order=order)


def _release(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    return parts.changes.release(goal, node=command.node, agent=command.agent, order=order)


def _cancel(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    return parts.changes.cancel(goal, command.reason, order=order)


def _drop(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Drop = command.arguments
    return parts.changes.drop(goal, _node(command), dependants=given.dependants, reason=command.reason, order=order)


def _retry(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Retry = command.arguments
    return parts.changes.retry(goal, command.node, descendants=given.descendants, order=order)


def _edit(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Edit = command.arguments
    node = _node(command)
    if not given.retry:
        return parts.changes.edit(goal, node, inputs=given.inputs, set=given.set, order=order)
    try:
        parts.changes.recall(goal, order, node)
        _refuse_unless_failed(parts.store, goal, node)
        parts.changes.refuse_retry(goal, node)
        parts.changes.edit(goal, node, inputs=given.inputs, set=given.set, order=order)
    except Repeated:
        pass  # whoever edited it may have died before the second step
    # An order of its own: both steps of the command act once each. The first came in time, and that is enough.
    return parts.changes.retry(goal, node, order=Order(f"{order.id}+retry", order.by, order.reason))


def _refuse_unless_failed(store: Store, goal: str, node: str) -> None:
    """Before anything is changed: a command that cannot be carried out whole does nothing."""
    around, state = store.goals.record(goal)["state"], store.nodes.states(goal, [node])[0].get("state")
    if state is not None and (state != "FAILED" or around not in ("FAILED", "RUNNING", "PAUSED")):
        raise IllegalTransition(
            f"node {node!r} of goal {goal!r} is {state}, its goal {around}; only a node that FAILED can be retried: "
            f"leave `retry` out to change its inputs alone"
        )


def _set_priority(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Priority = command.arguments
    return parts.changes.set_priority(goal, given.priority, node=command.node, order=order)


def _set_budget(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Budget = command.arguments
    try:
        came = parts.changes.budget(goal, given.tokens, given.micro_usd, order=order)
    except Repeated:
        parts.renew_budget(goal)  # whoever set it may have died before this
        raise
    parts.renew_budget(goal)
    return came


def _reparse(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Reparse = command.arguments
    changed = parts.desk().reparse(goal, list(given.agents), given.source, given.removed, order=order)
    return Came("reparsed" if changed else "unchanged", (), ", ".join(changed))


def _steer(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Steer = command.arguments
    if command.goal is None:
        raise InvalidCommand([Fault("goal", "an agent is steered in one goal", "name the goal")])
    if command.node is not None:
        return Came(parts.desk().steer(goal, command.node, given.message, id=order.id, order=order), (command.node,))
    told = {name for name in parts.store.changes.receivers(goal, order.id) if name}
    refusals: dict[str, ChordalError] = {}
    for node in _nodes_of(parts.store, goal, command.agent or ""):
        try:
            parts.desk().steer(goal, node, given.message, id=order.id, order=order)
        except Repeated:
            pass  # said before, by whoever died before the others were told
        except ChordalError as refusal:
            refusals[node] = refusal
            continue
        told.add(node)
    if not told:
        text = f"agent {command.agent!r} has no node in goal {goal!r} that has not ended"
        raise next(iter(refusals.values()), IllegalTransition(text))
    return Came("steered", tuple(sorted(told)), "; ".join(f"not {node}: {why}" for node, why in refusals.items()))


def _nodes_of(store: Store, goal: str, agent: str) -> tuple[str, ...]:
    import json

    store.goals.record(goal)
    specs = {name: json.loads(text) for name, text in store.goals.part(goal, "nodes").items() if agent in text}
    names = [name for name, spec in specs.items() if spec.get("agent") == agent and spec.get("kind") == "agent"]
    ended = ("DONE", "FAILED", "SKIPPED", "DROPPED", "CANCELLED")
    states = store.nodes.states(goal, names) if names else []
    return tuple(name for name, task in zip(names, states, strict=True) if task.get("state") not in ended)


def _approve(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Approve = command.arguments
    node = _node(command)
    more: dict[str, Any] = {}
    with suppress(Repeated):  # what the script said then is its own word
        parts.changes.recall(goal, order, node)  # before the plan is looked at, which is not asked for any more then
        if "plan" in given.model_fields_set:
            parts.desk().accept_plan(goal, node, given.plan)
            more = {"plan": given.plan}
        elif applier(parts.store, goal, node) is not None:
            from orchestrator.agents.plan.applying import accept_proposed

            accept_proposed(parts.store, parts.payloads, goal, node)
        parts.control.approve(goal, node, given.comment, order=order, **more)
    return Came("approved", (node,))


def _reject(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Decision = command.arguments
    with suppress(Repeated):
        parts.control.reject(goal, _node(command), given.comment, order=order)
    return Came("rejected", (_node(command),))


def _signal(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Signal = command.arguments
    return Came(parts.control.signal(goal, given.name, given.payload, order=order))


def _replan(parts: Parts, command: Command, goal: str, order: Order) -> Came:
    given: Replan = command.arguments
    node = parts.desk().replan(goal, command.reason, approve=given.approve, order=order)
    return Came("replanned", (node,), node)


def _node(command: Command) -> str:
    assert command.node is not None  # the scopes of the verb say so
    return command.node


_ACTS: Final[Mapping[Verb, Callable[[Parts, Command, str, Order], Came]]] = {
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.CANCEL: _cancel,
    Verb.DROP_TASK: _drop,
    Verb.RETRY: _retry,
    Verb.EDIT: _edit,
    Verb.SET_PRIORITY: _set_priority,
    Verb.REPARSE: _reparse,
    Verb.STEER: _steer,
    Verb.APPROVE: _approve,
    Verb.REJECT: _reject,
    Verb.SIGNAL: _signal,
    Verb.REPLAN: _replan,
    Verb.SET_BUDGET: _set_budget,
    Verb.HOLD: _hold,
    Verb.RELEASE: _release,
}
"""Commands on goals. Those of the fleet (fleet.py) touch none: FLUSH-MEMORY, STOP, holds beyond one goal."""
