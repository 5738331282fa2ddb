"""A goal as a genuine Celery canvas: chains, groups and chords that any Celery worker runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery.canvas import Signature, chain, chord, group

from orchestrator.compile.canvas.errors import NotACanvas
from orchestrator.compile.canvas.options import ARGS, NO_OP, PLAIN_TASK, celery_options, left_out
from orchestrator.compile.plan import Plan, compile
from orchestrator.compile.series_parallel import Barrier, Parallel, Part, series_parallel
from orchestrator.domain import graph
from orchestrator.domain.dag import Dag, Firing, Node, NodeKind


@dataclass(frozen=True, slots=True)
class Canvas:
    """A goal in Celery's words."""

    signature: Any
    """A `celery.Signature`: of one task, a chain, a group or a chord."""
    barriers: tuple[Barrier, ...]
    """What the canvas orders and the goal does not, because Celery has no words for the goal's own order."""
    left_out: tuple[str, ...]
    """Fields that a plain canvas runs without, as ``node.field``."""

    @property
    def exact(self) -> bool:
        """Whether the canvas orders just what the goal orders: the goal is series-parallel."""
        return not self.barriers


def to_canvas(source: Plan | Dag, *, plain_task: str = PLAIN_TASK, app: Any = None) -> Canvas:
    """The canvas of a plan or goal, for series-parallel goals exact, else with the barriers that it reports.

    Every signature is immutable: outputs do not flow. A `task` node becomes its own task, `inputs` the keyword arguments,
    with a list of positional ones under ``"__args__"``. Every other node becomes `plain_task` called with
    ``node={...}``, the node's own fields. `queue`, `timeout_seconds` (Celery's hard time limit) and `priority` (as Celery
    counts on Redis, 0 the highest) go along. `app` binds the signatures; without it they use the current app. Where a
    header would end in a group, ``celery.accumulate``, the no-op that every worker has, joins it; it goes to the queue
    that the group's tasks share, else to the default queue.

    Raises NotACanvas naming all nodes and edges that say more than a canvas can: edges other than plain `done`, joins of
    some, lanes, references to outputs, waits, approvals, maps, sub-goals; TooLarge above 5,000 nodes or 100 levels of
    nesting; InvalidGoal for what is not a DAG.
    """
    plan = source if isinstance(source, Plan) else compile(source)
    reasons = [*_node_reasons(plan.dag.nodes), *_edge_reasons(plan)]
    if reasons or not plan.order:
        raise NotACanvas(reasons or [("nodes", "there are none")])
    tree = series_parallel(plan.order, graph.successors(plan.order, plan.edges()))
    prioritised = any(node.priority for node in plan.dag.nodes)
    leaves = {node.id: _leaf(node, plain_task, celery_options(node, prioritised), app) for node in plan.dag.nodes}
    dropped = [field for node in plan.dag.nodes for field in left_out(node)]
    return Canvas(_Builder(leaves, app).build(tree.root), tree.barriers, tuple(dropped))


def _node_reasons(nodes: Sequence[Node]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        inputs = node.inputs or {}
        if node.resolved_kind not in (None, NodeKind.PYTHON, NodeKind.TASK):
            yield node.id, f"it is a node of kind {node.resolved_kind}"
        elif wanted := node.upstream_references():
            yield node.id, f"its inputs take the output of {', '.join(wanted[:3])}"
        elif node.resolved_kind is NodeKind.TASK and not isinstance(inputs.get(ARGS, []), list):
            yield node.id, f"its inputs.{ARGS} is not a list"
        if node.lane is not None:
            yield node.id, f"it runs in the lane {node.lane!r}"


def _edge_reasons(plan: Plan) -> Iterator[tuple[str, str]]:
    for chord_ in plan.chords:
        if chord_.need < len(chord_.header):
            yield chord_.body, f"it waits for {chord_.need} of {len(chord_.header)}"
    for (source, target), edge in plan.guards.items():
        says = f"on {edge.on}" if edge.on is not Firing.DONE else "on a condition"
        yield f"{source} -> {target}", f"the edge fires {says}"


def _leaf(node: Node, plain_task: str, options: Mapping[str, Any], app: Any) -> Any:
    if node.resolved_kind is NodeKind.TASK:
        inputs = dict(node.inputs or {})
        args = tuple(inputs.pop(ARGS, ()))
        return Signature(node.call, args=args, kwargs=inputs, options=dict(options), immutable=True, app=app)
    kwargs = {"node": node.model_dump(mode="json", exclude_defaults=True)}
    return Signature(plain_task, kwargs=kwargs, options=dict(options), immutable=True, app=app)


@dataclass(frozen=True, slots=True)
class _Builder:
    leaves: Mapping[str, Any]
    app: Any

    def build(self, part: Part, joined: bool = False) -> Any:
        """The canvas of a part. `joined`: it stands in a chord's header, so it has to end in a single task."""
        if isinstance(part, str):
            return self.leaves[part]
        if isinstance(part, Parallel):
            return group([self.build(inner, joined) for inner in part.parts], app=self.app)
        last = len(part.parts) - 1
        steps = [self.build(inner, joined or place < last) for place, inner in enumerate(part.parts)]
        if joined and isinstance(part.parts[-1], Parallel):
            steps.append(self.no_op(part.parts[-1]))
        return self.in_series(steps)

    def in_series(self, parts: Sequence[Any]) -> Any:
        """A chain whose groups are chords with what follows. Kept flat: Celery copies a chord's body into all its header."""
        steps: list[Any] = []
        for part in reversed(parts):
            # A group may be the last step or the header of a chord, nothing else: a step behind it would run once a member.
            if isinstance(part, group) and steps:
                steps[-1] = chord(part.tasks, steps[-1], app=self.app)
            else:
                steps.append(part)
        # With a keyword argument `chain` takes the steps as they are; without, it folds what follows a chord into its body.
        return steps[0] if len(steps) == 1 else chain(list(reversed(steps)), app=self.app)

    def no_op(self, part: Part) -> Any:
        """A task that joins a group inside a header. Celery miscounts there: a chain that ends in a group with a chord in it
        never lets the body start (5.7)."""
        queues = {self.leaves[name].options.get("queue") for name in _names(part)}
        options = {"queue": queues.pop()} if len(queues) == 1 and None not in queues else {}
        return Signature(NO_OP, options=options, immutable=True, app=self.app)


def _names(part: Part) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for inner in part.parts:
            yield from _names(inner)
