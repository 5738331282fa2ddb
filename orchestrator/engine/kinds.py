"""Run one claimed node: one function a kind, each from what is stored to an End."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from orchestrator.domain.dag import POSITIONAL, NodeKind
from orchestrator.domain.errors import (
    ChordalError,
    IllegalTransition,
    InvalidGoal,
    NodeFailed,
    NodeTimeout,
    UnknownFunction,
)
from orchestrator.domain.lease import Lease
from orchestrator.domain.refs import references, resolve
from orchestrator.domain.states import GOAL_TERMINAL, GoalState
from orchestrator.engine.context import running
from orchestrator.engine.dispatch import Sender, Slots, UserTask
from orchestrator.engine.ends import Done, End, Failed, Parked, failed_by
from orchestrator.engine.expand import Expander
from orchestrator.engine.payload import Payloads
from orchestrator.engine.registry import Registry
from orchestrator.engine.submit import Parent, Submitter
from orchestrator.engine.upstream import Upstream
from orchestrator.store.records import Claimed
from orchestrator.store.store import Store

CHILD_CHECK_SECONDS: Final = 10.0
TASK_RESEND_SECONDS: Final = 30.0
REMOVING: Final = "removing"
"""What a goal that is being removed is building."""


class ModelCalls(Protocol):
    """What `llm` nodes need; the queue for model calls is not the engine's."""

    def ask(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Park a claimed node until its call may go out, or end it."""
        ...


class AgentNodes(Protocol):
    """What nodes of agents and of their tools need."""

    def turn(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Take the next step of an agent: to its model call, or to its end."""
        ...

    def tool(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Carry out a call of a tool."""
        ...

    def limit(self, spec: Mapping[str, Any]) -> float | None:
        """The time limit that the called tool has by itself, seconds."""
        ...


@dataclass(slots=True)
class Kinds:
    """Runs nodes of every kind."""

    store: Store
    payloads: Payloads
    registry: Registry
    submitter: Submitter
    sender: Sender
    slots: Slots
    cancel: Callable[[str, str], str]
    """Cancels a goal for a reason: for a sub-goal whose parent is being cancelled."""
    retry: Callable[[str], str]
    """Runs the failed nodes of a goal again: for a sub-goal whose node is retried."""
    models: Callable[[], ModelCalls]
    """The calls of models; asked for when a node needs one."""
    agents: Callable[[], AgentNodes]
    """Agents and tools; asked for when a node needs them."""
    pause: Callable[[str, str], str] = field(kw_only=True)
    """Pauses a goal for a reason: for a sub-goal whose parent is paused."""

    def upstream(self, lease: Lease) -> Upstream:
        """What a node can read."""
        return Upstream(self.store, self.payloads, lease)

    def run(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Run a node to its End. Raises what the user's function raises, and BadReference."""
        if claimed.resume.startswith("="):
            return Done(json.loads(claimed.resume[1:] or "null"))  # the answer that it waited for
        kind = spec.get("kind") or ("python" if spec.get("call") else None)
        if kind is None:
            return Done({"title": spec.get("title", "")})
        return _RUNNERS[NodeKind(kind)](self, claimed, spec, upstream)

    def limit(self, spec: Mapping[str, Any]) -> float | None:
        """The time limit of a node's work where the node has none of its own, seconds."""
        return self.agents().limit(spec) if spec.get("kind") == "tool" else None

    def outputs(self, goal: str, nodes: list[str]) -> dict[str, Any]:
        """The outputs of nodes of another goal, or of a map's items, by their ids."""
        stored = self.store.nodes.outputs(goal, nodes)
        return {node: self.payloads.unpack(text) for node, text in zip(nodes, stored, strict=True)}


def _python(self: Kinds, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    lease = claimed.lease
    try:
        known = self.registry.get(spec["call"])
    except UnknownFunction as error:
        return Failed("unknown function", str(error), final=True)
    arguments = upstream.inputs(spec)
    if known.wants_upstream and not spec.get("inputs"):
        arguments = {"upstream": upstream.of_parents()}
    with running(lease):
        try:
            return Done(known.function(**arguments))
        except NodeTimeout:
            raise
        except NodeFailed as error:
            return Failed("error", str(error), final=True)
        except Exception as error:
            return failed_by(error)


def _wait(_: Kinds, __: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    inputs = upstream.inputs(spec)
    if "signal" in inputs:
        return _until_woken(f"signal:{inputs['signal']}", spec)
    seconds = inputs["seconds"]
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= 31_536_000:
        return Failed(
            "bad input", f"inputs.seconds must be a number of seconds from 0 to a year, got {seconds!r}", final=True
        )
    return Parked("timer", "done", float(seconds), {"waited_seconds": seconds})


def _approval(_: Kinds, __: Claimed, spec: Mapping[str, Any], ___: Upstream) -> End:
    return _until_woken("approval", spec)


def _until_woken(reason: str, spec: Mapping[str, Any]) -> Parked:
    limit = spec.get("timeout_seconds")
    late = Failed("timeout", f"no answer within {limit:g} s", final=True) if limit else None
    return Parked(reason, "failed", limit, failure=late)


def _task(_: Kinds, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    # The node parks first and the message goes out when that is committed (`after_park`), so the task cannot start before
    # its node waits for it. Should the message be lost, the timer sends it again, each time a little later.
    sent = int(claimed.resume.partition(":")[2] or 0) if claimed.resume else 0
    upstream.inputs(spec)
    return Parked("task", "ready", TASK_RESEND_SECONDS * 2.0 ** min(sent, 7), resume=f"task:{sent + 1}")


def _llm(self: Kinds, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    return self.models().ask(claimed, spec, upstream)


def _agent(self: Kinds, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    return self.agents().turn(claimed, spec, upstream)


def _tool(self: Kinds, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    return self.agents().tool(claimed, spec, upstream)


def _goal(self: Kinds, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    lease = claimed.lease
    child = child_id(lease.goal, lease.node)
    parent = Parent(lease.goal, lease.node, self.store.goals.field(lease.goal, "created") or "")
    owner, node, run, state, building = self.store.goals.fields(
        child, "parent", "parent_node", "parent_run", "state", "building"
    )
    if state is not None and (owner, node) != (parent.goal, parent.node):
        return Failed("bad input", f"the sub-goal would be called {child!r}, and another goal is", final=True)
    if state is not None and run != parent.run:
        # Of an earlier goal of the parent's name, that was removed before its child was.
        self.cancel(child, "its parent is gone")
        self.store.goals.remove(child)
        state = None
    if state is None or building not in (None, REMOVING):  # half-stored: whoever began may be gone
        return _start_child(self, lease, spec, upstream, child, parent)
    if state == GoalState.FAILED and lease.attempt > 1 and not claimed.resume:
        self.retry(child)  # this is a retry of the node: what failed below it runs again
        _pause_with_parent(self, lease.goal, child)
    elif _ended(state):
        return _child_ended(self, child, GoalState(state))
    return Parked(f"child:{child}", "ready", CHILD_CHECK_SECONDS, resume="child")


def _start_child(
    self: Kinds, lease: Lease, spec: Mapping[str, Any], upstream: Upstream, child: str, parent: Parent
) -> End:
    document = spec.get("goal") or upstream.inputs(spec)["goal"]
    try:
        inherited = {"owner": self.store.goals.field(lease.goal, "owner") or "default"}
        limits = {"deadline_seconds": spec["timeout_seconds"]} if "timeout_seconds" in spec else {}
        self.submitter.submit({**inherited, **limits, **document, "goal_id": child}, parent)
    except (InvalidGoal, TypeError) as error:
        return Failed("bad input", f"the sub-goal is not valid: {error}", final=True)
    # The parent's cancellation may have looked for children before this one was there, and may be complete by now.
    if self.store.goals.field(lease.goal, "cancelling") or _ended(self.store.goals.field(lease.goal, "state")):
        self.cancel(child, f"its parent {lease.goal} was cancelled")
    _pause_with_parent(self, lease.goal, child)
    return Parked(f"child:{child}", "ready", CHILD_CHECK_SECONDS, resume="child")


def _pause_with_parent(self: Kinds, goal: str, child: str) -> None:
    """The parent's pause may have looked for sub-goals before this one could run."""
    if self.store.goals.field(goal, "state") == GoalState.PAUSED:
        try:
            self.pause(child, f"its parent {goal} is paused")
        except IllegalTransition:
            return  # it has ended already


def _child_ended(self: Kinds, child: str, state: GoalState) -> End:
    if state is not GoalState.DONE:
        reason = self.store.goals.field(child, "reason")
        return Failed("child", f"the sub-goal {child!r} is {state}" + (f": {reason}" if reason else ""))
    inner = set(self.store.goals.part(child, "edges"))
    leaves = [node for node in self.store.goals.part(child, "nodes") if node not in inner]
    return Done({"goal_id": child, "outputs": self.outputs(child, sorted(leaves))})


def _map(self: Kinds, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
    items = upstream.inputs(spec)["items"]
    if not isinstance(items, list):
        return Failed("bad input", f"inputs.items must be a list, got {type(items).__name__}", final=True)
    expander = Expander(self.store, self.sender, self.slots)
    if claimed.resume:
        failures = expander.failures(claimed.lease)
        if failures:
            return Failed("items", failures)
        names = expander.names(claimed.lease.node, len(items))
        found = self.outputs(claimed.lease.goal, names)
        return Done([found[name] for name in names])
    if not items:
        return Done([])
    rest = {name: value for name, value in (spec.get("inputs") or {}).items() if name != "items"}
    expander.expand(claimed.lease, spec, items, resolve(rest, upstream.outputs(references(rest))))
    return Parked("items", "ready")


_RUNNERS: Final[Mapping[NodeKind, Callable[[Kinds, Claimed, Mapping[str, Any], Upstream], End]]] = {
    NodeKind.PYTHON: _python,
    NodeKind.WAIT: _wait,
    NodeKind.APPROVAL: _approval,
    NodeKind.TASK: _task,
    NodeKind.LLM: _llm,
    NodeKind.AGENT: _agent,
    NodeKind.TOOL: _tool,
    NodeKind.GOAL: _goal,
    NodeKind.MAP: _map,
}


def _ended(state: str | None) -> bool:
    return state is None or GoalState(state) in GOAL_TERMINAL


def child_id(goal: str, node: str) -> str:
    """The id of the sub-goal of a `goal` node: the same at every attempt."""
    name = f"{goal}.{node}"
    return name if len(name) <= 64 else f"{name[:51]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def after_park(kinds: Kinds, claimed: Claimed, spec: Mapping[str, Any], parked: Parked) -> None:
    """What follows once a park is committed: the user's message goes out, or a child that ended first is noticed."""
    lease = claimed.lease
    if parked.after is not None:
        parked.after()
    elif parked.reason == "task":
        inputs = kinds.upstream(lease).inputs(spec)
        args = inputs.pop(POSITIONAL, [])
        limit = spec.get("timeout_seconds")
        kinds.sender.start(
            UserTask(lease.goal, lease.node, lease.attempt, spec["call"], tuple(args), inputs, spec.get("queue"), limit)
        )
    elif parked.reason.startswith("child:"):
        child = parked.reason.removeprefix("child:")
        if kinds.store.goals.field(child, "state") in (GoalState.DONE, GoalState.FAILED, GoalState.CANCELLED):
            _, invitations = kinds.store.nodes.wake(
                lease.goal, lease.node, parked.reason, "ready", "child", slots=kinds.slots.json()
            )
            kinds.sender.invite(invitations)


def failure_of(error: BaseException) -> Failed:
    """The failure that an exception from `Kinds.run` stands for."""
    return failed_by(error, "bad input" if isinstance(error, ChordalError) else "error")


def decode_spec(text: str) -> dict[str, Any]:
    """A stored specification."""
    return {} if text == "{}" else dict(json.loads(text))
