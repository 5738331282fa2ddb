"""The geometry of the drawings."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from audit_gantt_svg import lanes_of, ticks
from audit_layout import WIDTH, grouped, lay_out, layered, short_name
from audit_run import Attempt, Outcome


def test_importers_stand_above_what_they_import() -> None:
    weights = {("cli", "engine"): 3, ("engine", "store"): 2, ("cli", "store"): 1, ("store", "domain"): 4}
    assert layered(["cli", "domain", "engine", "store"], weights) == [["cli"], ["engine"], ["store"], ["domain"]]


def test_a_circle_is_broken_where_the_fewest_imports_run() -> None:
    assert layered(["a", "b", "c"], {("a", "b"): 9, ("b", "c"): 9, ("c", "a"): 1}) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("seed", range(8))
def test_boxes_neither_overlap_nor_leave_the_drawing(seed: int) -> None:
    chance = random.Random(seed)
    groups = {f"package{n}": [f"package{n}.{'m' * chance.randint(1, 40)}{i}" for i in range(chance.randint(1, 60))]
              for n in range(chance.randint(1, 30))}  # fmt: skip
    names = list(groups)
    weights = {(chance.choice(names), chance.choice(names)): chance.randint(1, 9) for _ in range(60)}
    boxes, height = lay_out(groups, {pair: n for pair, n in weights.items() if pair[0] != pair[1]})
    assert sorted(box.name for box in boxes) == sorted(groups)
    for box in boxes:
        assert box.x >= 0
        assert box.x + box.width <= WIDTH + 1e-6
        assert box.y >= 0
        assert box.y + box.height <= height
        for place in range(len(box.modules)):
            x, y = box.place(place)
            assert box.x < x < box.x + box.width
            assert box.y < y < box.y + box.height
    for one, other in combinations(boxes, 2):
        apart = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_many_packages_are_drawn_as_their_parents() -> None:
    names = [(f"top.p{n // 10}.q{n}.m", f"top.p{n // 10}.q{n}") for n in range(100)]
    assert list(grouped(names, 100)) == sorted({package for _, package in names})
    assert list(grouped(names, 30)) == [f"top.p{n}" for n in range(10)]
    assert grouped([], 30) == {}
    assert short_name("top.p1.q1.m", "top.p1") == "q1.m"
    assert short_name("top.p1", "top.p1") == "__init__"


@pytest.mark.parametrize(("seconds", "step"), [(0.05, 0.005), (0.93, 0.1), (4.4, 0.5), (10.0, 1.0), (730.0, 100.0)])
def test_ticks_are_round(seconds: float, step: float) -> None:
    found = ticks(seconds)
    assert found[1] == pytest.approx(step)
    assert 3 <= len(found) <= 12
    assert found[-1] <= seconds


def test_a_worker_that_runs_two_nodes_at_a_time_gets_two_lanes() -> None:
    spans = [("w", 0.0, 2.0), ("w", 1.0, 3.0), ("v", 1.0, 2.0), ("w", 2.0, 4.0)]
    runs = [Attempt("n", 1, worker, start, end, Outcome.DONE) for worker, start, end in spans]
    assert lanes_of(runs) == ["w", "w (2)", "v", "w"]
