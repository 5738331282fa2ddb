"""References to upstream outputs."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.errors import BadReference
from orchestrator.domain.refs import MISSING, is_reference, member, references, resolve


@pytest.mark.parametrize("value", [{"from": "a"}, {"from": "a", "path": ""}, {"from": "a", "path": "x.0"}])
def test_what_is_a_reference(value: Any) -> None:
    assert is_reference(value)


@pytest.mark.parametrize(
    "value",
    [{"from": 1}, {"from": "a", "path": 0}, {"from": "a", "other": 1}, {"from": "a", "path": "x", "z": 1}, "a", []],
)
def test_what_is_plain_data(value: Any) -> None:
    assert not is_reference(value)


def test_references_are_found_anywhere_in_order() -> None:
    inputs = {"x": [{"from": "a"}, {"y": {"from": "b", "path": "p"}}], "z": {"from": "a"}, "w": ({"from": "c"},)}
    assert list(references(inputs)) == ["a", "b", "a", "c"]


def test_references_in_deep_inputs_need_no_recursion() -> None:
    inputs: Any = {"from": "a"}
    for _ in range(50_000):
        inputs = [inputs]
    assert list(references(inputs)) == ["a"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", {"a": [{"b": 1}, 2], "0": "text key"}),
        ("a.0.b", 1),
        ("a.-1", 2),
        ("0", "text key"),
        ("a.2", MISSING),
        ("a.-3", MISSING),
        ("a.x", MISSING),
        ("a.0.b.c", MISSING),
        ("a.--1", MISSING),
        ("nope", MISSING),
    ],
)
def test_members(path: str, expected: Any) -> None:
    assert member({"a": [{"b": 1}, 2], "0": "text key"}, path) == expected


def test_a_strange_digit_is_no_index() -> None:
    """`"²".isdigit()` holds, and `int("²")` raises."""
    assert member([1, 2, 3], "²") is MISSING


def test_resolve_puts_outputs_in_place() -> None:
    inputs = {"x": {"from": "a", "path": "n"}, "y": [{"from": "b"}, 3], "z": {"from": "a", "other": 1}}
    assert resolve(inputs, {"a": {"n": 1}, "b": None}) == {"x": 1, "y": [None, 3], "z": {"from": "a", "other": 1}}


def test_a_member_that_is_not_there_is_named() -> None:
    with pytest.raises(BadReference, match=r"node 'a' has no member 'x\.y'"):
        resolve({"v": {"from": "a", "path": "x.y"}}, {"a": {"x": 1}})
