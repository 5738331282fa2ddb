"""The `when` of an edge: a small test, never code."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.domain.condition import Condition


def holds(when: Any, output: Any) -> bool:
    return Condition.model_validate(when).holds(output)


@pytest.mark.parametrize(
    ("when", "output", "expected"),
    [
        ("score >= 0.5", {"score": 0.5}, True),
        ("score >= 0.5", {"score": 0.49}, False),
        ("a.b.0 == 1", {"a": {"b": [1]}}, True),
        (">= 3", 3, True),
        ("== null", None, True),
        ('name == "x y"', {"name": "x y"}, True),
        ('name != "x"', {"name": "y"}, True),
        ("n < 2", {"n": 1}, True),
        ("n > 2", {"n": 2}, False),
        ("n <= 2", {"n": 2}, True),
        ('kind in ["a", "b"]', {"kind": "b"}, True),
        ('tags contains "red"', {"tags": ["red"]}, True),
        ('text contains "ell"', {"text": "hello"}, True),
        ("flag", {"flag": 1}, True),
        ("flag", {"flag": 0}, False),
        ("flag", {}, False),
        ({"path": "x", "op": "exists"}, {"x": None}, True),
        ({"path": "x", "op": "exists"}, {}, False),
        ({"op": "truthy"}, [1], True),
        ({"op": "truthy"}, None, False),
    ],
)
def test_conditions(when: Any, output: Any, expected: bool) -> None:
    assert holds(when, output) is expected


@pytest.mark.parametrize(
    ("when", "output"),
    [
        ("score >= 0.5", {"score": "high"}),
        ("score >= 0.5", {"score": None}),
        ("score >= 0.5", {}),
        ("score != 1", {}),
        ("x in 3", {"x": 1}),
        ("x contains 1", {"x": 5}),
        ("x.y.z == 1", {"x": [1]}),
        ("x.--1 == 1", {"x": [1]}),
        ("x.² == 1", {"x": [1]}),
        ('x contains {"a": 1}', {"x": {"k": 1}}),
    ],
)
def test_what_cannot_be_compared_does_not_hold(when: Any, output: Any) -> None:
    assert holds(when, output) is False


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("score >= high", "is not JSON"),
        ("score ~ 3", "a condition reads"),
        ("", "a condition reads"),
        ("__import__('os')", "a condition reads"),
        ({"path": "x", "op": "=~"}, "unknown operator"),
        ({"path": "x", "wat": 1}, "Extra inputs"),
        (7, "valid dictionary"),
    ],
)
def test_other_texts_are_refused(when: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Condition.model_validate(when)
