"""Canvases and goals into each other: nothing is lost, and tasks get the arguments that Celery gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.canvas import chain, chord, group
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.compile.canvas import ARGS, from_canvas, to_canvas
from orchestrator.compile.plan import compile
from orchestrator.domain.dag import Goal
from orchestrator.domain.refs import resolve
from orchestrator.domain.validate import read_goal

APP = Celery("round_trip", set_as_current=False)
CALLS: list[tuple[int, Any]] = []


@APP.task(name="work")
def work(*args: Any, tag: int) -> Any:
    """Remember the call; the result tells it from all others."""
    CALLS.append((tag, list(args)))
    return [f"result {tag}"]


Shape = Callable[[Callable[[], int]], Any]
"""A canvas that still lacks the numbers of its tasks."""


def _task(immutable: bool, own: list[int]) -> Shape:
    def make(number: Callable[[], int]) -> Any:
        return work.signature(args=tuple(own), kwargs={"tag": number()}, immutable=immutable)

    return make


def _chain(parts: list[Shape]) -> Shape:
    return lambda number: chain(*[part(number) for part in parts])


def _group(parts: list[Shape]) -> Shape:
    return lambda number: group([part(number) for part in parts])


def _chord(parts: list[Shape], body: Shape) -> Shape:
    return lambda number: chord([part(number) for part in parts], body(number))


TASKS = st.builds(_task, st.booleans(), st.lists(st.integers(0, 9), max_size=2))


def _larger(smaller: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    several = st.lists(smaller, min_size=2, max_size=3)
    return st.builds(_chain, several) | st.builds(_group, several) | st.builds(_chord, several, TASKS)


SHAPES = st.recursive(TASKS, _larger, max_leaves=10)


def canvas_of(shape: Shape) -> Any:
    numbers = iter(range(1_000))
    return shape(lambda: next(numbers))


def run(document: dict[str, Any]) -> list[tuple[int, Any]]:
    """The calls of a goal of `work` tasks, each with what its inputs come to."""
    goal = read_goal(document)
    nodes = {node.id: node for node in goal.nodes}
    outputs: dict[str, Any] = {}
    calls: list[tuple[int, Any]] = []
    for name in compile(goal).order:
        inputs = resolve(nodes[name].inputs, outputs)
        calls.append((inputs["tag"], inputs.get(ARGS, [])))
        outputs[name] = [f"result {inputs['tag']}"]
    return calls


@given(SHAPES)
def test_every_task_gets_the_arguments_that_celery_gives_it(shape: Shape) -> None:
    CALLS.clear()
    canvas_of(shape).apply().get()
    assert sorted(run(from_canvas(canvas_of(shape))), key=repr) == sorted(CALLS, key=repr)


@st.composite
def series_parallel_goals(draw: st.DrawFn) -> Goal:
    """Parts put behind each other, every end before every start, or beside each other, down to single nodes."""
    numbers = iter(range(1_000))

    def part(depth: int) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        kind = draw(st.sampled_from(["node", "series", "parallel"])) if depth else "node"
        if kind == "node":
            name = f"n{next(numbers)}"
            return [name], [name], []
        one, two = part(depth - 1), part(depth - 1)
        if kind == "parallel":
            return one[0] + two[0], one[1] + two[1], one[2] + two[2]
        return one[0], two[1], one[2] + two[2] + [(end, start) for end in one[1] for start in two[0]]

    _, _, pairs = part(4)
    count = next(numbers)
    nodes = [{"id": f"n{place}", "kind": "task", "call": "work", "inputs": {"tag": place}} for place in range(count)]
    return read_goal({"nodes": nodes, "edges": [{"source": one, "target": two} for one, two in pairs]})


def pairs_by_tag(goal: Goal) -> set[tuple[Any, Any]]:
    tag = {node.id: (node.inputs or {})["tag"] for node in goal.nodes}
    return {(tag[edge.source], tag[edge.target]) for edge in goal.edges}


@given(series_parallel_goals())
def test_a_series_parallel_goal_comes_back_as_it_was(goal: Goal) -> None:
    canvas = to_canvas(goal)
    again = read_goal(from_canvas(canvas.signature))
    assert canvas.exact
    assert len(again.nodes) == len(goal.nodes)
    assert pairs_by_tag(again) == pairs_by_tag(goal)


@given(series_parallel_goals())
def test_nodes_that_are_no_tasks_come_back_with_their_ids(goal: Goal) -> None:
    plain = goal.model_copy(
        update={"nodes": [node.model_copy(update={"kind": None, "call": None}) for node in goal.nodes]}
    )
    again = read_goal(from_canvas(to_canvas(plain).signature))
    assert {node.id: node for node in again.nodes} == {node.id: node for node in plain.nodes}
    assert {(edge.source, edge.target) for edge in again.edges} == {(edge.source, edge.target) for edge in plain.edges}
