"""An existing Celery canvas as a goal, so that it runs durably and unchanged."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from celery.canvas import Signature, _chain, chord, chunks, group, maybe_signature

from orchestrator.compile.canvas.errors import NotAGoal
from orchestrator.compile.canvas.names import Names
from orchestrator.compile.canvas.options import ARGS, LOWEST, NO_OP, PLAIN_TASK, node_fields
from orchestrator.compile.canvas.values import plain


def from_canvas(signature: Any, *, title: str = "", plain_task: str = PLAIN_TASK) -> dict[str, Any]:
    """The goal document of a canvas: a signature, chain, group or chord, nested as they come, or the dict of one.

    Each task becomes a `task` node named after it: ``add``, ``add.2``. Keyword arguments become `inputs`; positional
    arguments are a list under the reserved key ``"__args__"``. As in Celery, a task that is not immutable gets what its
    predecessor returned in front of its own arguments: ``{"from": "add"}``, and behind a group or a chord's header a list
    of those. `link` becomes an edge; `link_error` an edge `on: failed` to a node of its own for every task that Celery
    would call it for, with the failed node's id as its argument unless it is immutable (an errback that takes request,
    exception and traceback has to be made immutable or rewritten). A countdown becomes a `wait` node in front. `queue`, `priority`, time limits, `shadow` and stamps become fields; options about the message
    (serializer, ids, publish retries) have no meaning here and are dropped. `chunks` becomes its starmaps.
    A `plain_task` signature, made by `to_canvas`, becomes the node that it carries.

    Raises NotAGoal for options without a counterpart (`eta`, `expires`, ...), arguments that are not JSON, and an argument
    that looks like a reference (``{"from": "text"}``) without being one.
    """
    reader = _Reader(plain_task)
    try:
        reader.read(_Step(_signature(signature)), _Given())
    except RecursionError:
        raise NotAGoal("the canvas is nested too deeply to be read") from None
    if not reader.nodes:
        raise NotAGoal("the canvas has no task")
    reader.level_priorities()
    return {**({"title": title} if title else {}), "nodes": reader.nodes, "edges": reader.edges}


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands in front of a signature."""

    after: tuple[str, ...] = ()
    """Nodes that it waits for."""
    value: tuple[Any, ...] = ()
    """Positional arguments that it gets in front of its own, with references to those nodes."""
    on: str = "done"


@dataclass(frozen=True, slots=True)
class _Step:
    """A signature with what the canvas around it lays on it."""

    signature: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Sequence[Any] = ()
    errbacks: Sequence[Any] = ()

    def all_options(self) -> dict[str, Any]:
        """Its options; what the outer canvas says wins, as when Celery applies it."""
        own = {name: value for name, value in self.signature.options.items() if name not in ("link", "link_error")}
        return {**own, **self.options}

    def all_callbacks(self) -> list[Any]:
        return [*_links(self.signature, "link"), *self.callbacks]

    def all_errbacks(self) -> list[Any]:
        return [*_links(self.signature, "link_error"), *self.errbacks]


class _Reader:
    def __init__(self, plain_task: str) -> None:
        self.plain_task = plain_task
        self.nodes: list[dict[str, Any]] = []
        self.edges: list[dict[str, Any]] = []
        self.names = Names()
        self.unprioritised: list[dict[str, Any]] = []
        self.prioritised = False

    def read(self, step: _Step, given: _Given) -> _Given:
        """Add the nodes of a canvas; what stands in front of whatever follows it. A long canvas is no recursion."""
        pending = deque([step])
        while pending:
            step = pending.popleft()
            signature = step.signature
            if isinstance(signature, chunks) or signature.task == "celery.chunks":
                pending.appendleft(replace(step, signature=chunks.from_dict(signature).group()))
            elif isinstance(signature, _chain):
                given = _args_of(signature, given)
                pending.extendleft(reversed(_steps_of_chain(step)))
            elif isinstance(signature, chord):
                given, body = self.header(step, _args_of(signature, given))
                pending.appendleft(body)
            elif isinstance(signature, group):
                members = _members(step)
                if len(members) == 1:  # Celery runs a group of one as that one
                    pending.appendleft(members[0])
                elif members:
                    given = self.together(members, given)
            elif not _is_no_op(signature):
                given = self.task(step, given)
        return given

    def header(self, step: _Step, given: _Given) -> tuple[_Given, _Step]:
        """The header's nodes, and the body as the next step."""
        signature = step.signature
        if signature.body is None:
            raise NotAGoal(f"a chord has no body: {signature!r:.200}")
        body = _signature(signature.body)
        options = step.all_options()
        # Celery calls the body's errbacks when the header fails: the body will not run then.
        failing = [*step.all_errbacks(), *_links(body, "link_error")]
        header = signature.tasks if isinstance(signature.tasks, group) else group(list(signature.tasks))
        members = _members(_Step(header, options, signature.kwargs.get("kwargs") or {}, (), failing))
        following = {name: value for name, value in options.items() if name not in ("countdown", "eta")}
        return self.together(members, given), _Step(body, following, {}, step.all_callbacks(), step.all_errbacks())

    def together(self, members: Sequence[_Step], given: _Given) -> _Given:
        ends = [self.read(member, given) for member in members]
        if not ends:
            return replace(given, value=([],))
        after = tuple(dict.fromkeys(name for end in ends for name in end.after))
        return _Given(after, ([value for end in ends for value in end.value],))

    def task(self, step: _Step, given: _Given) -> _Given:
        """One node, behind its wait if it has a countdown, and the nodes of its links."""
        signature, options = step.signature, step.all_options()
        node = self.carried(signature) or self.called(step, given, options)
        if options.get("countdown"):
            given = self.waiting(node["id"], options["countdown"], given)
        self.add(node, given)
        itself = _Given((node["id"],), ({"from": node["id"]},))
        for callback in step.all_callbacks():
            self.read(_Step(_signature(callback)), itself)
        for errback in step.all_errbacks():
            # A failed node has no output to refer to; Celery passes the id of the failed task, so here it is the node's.
            self.read(_Step(_signature(errback)), replace(itself, value=(node["id"],), on="failed"))
        return itself

    def carried(self, signature: Any) -> dict[str, Any] | None:
        """The node inside a signature that `to_canvas` made of it."""
        if signature.task != self.plain_task or set(signature.kwargs) != {"node"} or signature.args:
            return None
        node = dict(signature.kwargs["node"])
        return {**node, "id": self.names.unused(str(node.get("id", "node")))}

    def called(self, step: _Step, given: _Given, options: Mapping[str, Any]) -> dict[str, Any]:
        signature, task = step.signature, step.signature.task
        upstream, extra = ((), {}) if signature.immutable else (given.value, step.kwargs)
        args = [*upstream, *(plain(value, task, f"argument {place}") for place, value in enumerate(signature.args, 1))]
        kwargs = {
            name: plain(value, task, f"argument {name!r}") for name, value in {**signature.kwargs, **extra}.items()
        }
        if ARGS in kwargs:
            raise NotAGoal(f"{task} has an argument named {ARGS!r}, which is reserved for its positional arguments")
        inputs = {**({ARGS: args} if args else {}), **kwargs}
        fields = node_fields(task, options)
        node = {"id": self.names.of_task(task), "kind": "task", "call": task, **fields}
        if inputs:
            node["inputs"] = inputs
        if "priority" in fields:
            self.prioritised = True
        else:
            self.unprioritised.append(node)
        return node

    def waiting(self, name: str, seconds: Any, given: _Given) -> _Given:
        wait = self.names.unused(f"{name}.wait")
        inputs = {"seconds": plain(seconds, name, "countdown")}
        self.add({"id": wait, "kind": "wait", "inputs": inputs}, given)
        return _Given((wait,))

    def add(self, node: dict[str, Any], given: _Given) -> None:
        self.nodes.append(node)
        on = {"on": given.on} if given.on != "done" else {}
        self.edges.extend({"source": name, "target": node["id"], **on} for name in given.after)

    def level_priorities(self) -> None:
        """Where some tasks have a priority, those without have Celery's default, which on Redis is the highest."""
        if self.prioritised:
            for node in self.unprioritised:
                node["priority"] = LOWEST


def _steps_of_chain(step: _Step) -> list[_Step]:
    tasks = [_signature(task) for task in step.signature.tasks]
    last = len(tasks) - 1
    return [
        _Step(
            task,
            options=step.all_options() if place == 0 else {},
            callbacks=step.all_callbacks() if place == last else (),
            errbacks=step.all_errbacks(),
        )
        for place, task in enumerate(tasks)
    ]


def _members(step: _Step) -> list[_Step]:
    """The members of a group, those of groups inside it among them, as Celery runs them; empty chains are none."""
    if step.all_callbacks():
        raise NotAGoal("a group has a link: Celery refuses that too, use a chord")
    found = []
    for raw in step.signature.tasks:
        member = replace(step, signature=_signature(raw), options=step.all_options(), errbacks=step.all_errbacks())
        if isinstance(member.signature, group):
            found.extend(_members(member))
        elif not isinstance(member.signature, _chain) or member.signature.tasks:
            found.append(member)
    return found


def _args_of(signature: Any, given: _Given) -> _Given:
    """A chain or chord hands its own arguments on to what it starts with, and if it is immutable nothing else."""
    own = tuple(plain(value, signature.task, f"argument {place}") for place, value in enumerate(signature.args, 1))
    return replace(given, value=own if signature.immutable else (*given.value, *own))


def _is_no_op(signature: Any) -> bool:
    """The join that `to_canvas` puts behind a group in a header; edges join without it."""
    return bool(signature.task == NO_OP and signature.immutable and not (signature.args or signature.kwargs))


def _links(signature: Any, name: str) -> list[Any]:
    found = signature.options.get(name) or []
    return list(found) if isinstance(found, list | tuple) else [found]


def _signature(raw: Any) -> Any:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("task"), str) or not raw["task"]:
        shown = dict(raw) if isinstance(raw, Mapping) else raw
        raise NotAGoal(f"this is not a Celery signature: {shown!r:.200}")
    if isinstance(raw, Signature):
        return raw
    whole = {"args": (), "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False, **raw}
    return maybe_signature(deepcopy(whole))  # a copy, since from_dict() writes into what it reads
