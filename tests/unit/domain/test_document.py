"""Text to plain data, strictly: what was written is what is run."""

from __future__ import annotations

import time
from typing import Any

import pytest

from orchestrator.domain.document import parse_json, parse_yaml
from orchestrator.domain.errors import Fault, InvalidGoal


def fault(parse: Any, text: str | bytes) -> Fault:
    with pytest.raises(InvalidGoal) as caught:
        parse(text)
    assert len(caught.value.faults) == 1
    return caught.value.faults[0]


def test_json_is_read() -> None:
    assert parse_json('{"a": [1, 2.5, null, true, "é"]}') == {"a": [1, 2.5, None, True, "é"]}
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}, "a byte order mark is no fault"
    assert parse_json("-0.0") == 0


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[1, NaN]", '{"a": {"b": Infinity}}'])
def test_what_json_has_no_number_for_is_refused(text: str) -> None:
    assert "is not a JSON number" in fault(parse_json, text).message


@pytest.mark.parametrize("text", ["1e999", "-1e999", '{"a": [1e400]}'])
def test_numbers_out_of_range_are_refused(text: str) -> None:
    assert "out of range" in fault(parse_json, text).message


def test_huge_integers_are_refused_before_they_cost_time() -> None:
    assert parse_json("9" * 40) == int("9" * 40)
    assert "has 41 digits" in fault(parse_json, "9" * 41).message
    began = time.perf_counter()
    assert "has 1000000 digits" in fault(parse_json, "9" * 1_000_000).message
    assert time.perf_counter() - began < 20


def test_a_duplicate_key_is_named() -> None:
    found = fault(parse_json, '{"nodes": [{"id": "a", "title": "x", "id": "b"}]}')
    assert "'id' stands twice" in found.message
    assert "'title'" in found.place


def test_a_duplicate_key_among_many_is_found_in_linear_time() -> None:
    text = "{" + ",".join(f'"k{index}": 1' for index in range(100_000)) + ', "k7": 2}'
    began = time.perf_counter()
    assert "'k7' stands twice" in fault(parse_json, text).message
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    ("text", "place"),
    [('{"a": 1,\n "b": }', "line 2, column 7"), ("", "line 1, column 1"), ("[1] 2", "line 1, column 5")],
)
def test_json_faults_have_their_line(text: str, place: str) -> None:
    assert fault(parse_json, text).place == place


def test_bytes_that_are_no_text() -> None:
    found = fault(parse_json, b'{"a": "\xff\xfe"}')
    assert found == Fault("byte 7", "this is not UTF-8 text", "save it as UTF-8")
    assert "not YAML" in fault(parse_yaml, b"a: \xff\xfe").message


@pytest.mark.parametrize(("parse", "depth"), [(parse_json, 100_000), (parse_yaml, 400)])
def test_deep_nesting_is_a_fault_and_not_a_crash(parse: Any, depth: int) -> None:
    assert fault(parse, "[" * depth + "]" * depth).place == "document"


def test_yaml_is_read() -> None:
    assert parse_yaml("a: [1, 2.5, null, true, é]\nb: &x {c: d}\ne: *x\n") == {
        "a": [1, 2.5, None, True, "é"], "b": {"c": "d"}, "e": {"c": "d"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1", "'a' stands twice"),
        ("a:\n  b: {c: 1, c: 2}", "line 2, column 13", "'c' stands twice"),
        ("1: a", "line 1, column 1", "the key 1 is not a text"),
        ("a: {null: b}", "line 1, column 5", "is not a text"),
        ("? [a, b]\n: c", "line 1, column 3", "is not a text"),
        ("a: [1,\nb: 2", "line 2, column 5", "not YAML"),
        ("a: 1\n---\nb: 2", "line 2, column 1", "another document"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4", "could not determine a constructor"),
        ("\tb: 1", "line 1, column 1", "not YAML"),
        ("a: &x 1\nb: *y", "line 2, column 4", "undefined alias"),
    ],
)
def test_yaml_faults_have_their_line(text: str, place: str, said: str) -> None:
    found = fault(parse_yaml, text)
    assert found.place == place
    assert said in found.message


@pytest.mark.parametrize("text", ["a: .nan", "a: .inf", "a: [-.inf]"])
def test_yaml_numbers_must_be_finite(text: str) -> None:
    assert "not JSON compliant" in fault(parse_yaml, text).message


def test_a_number_of_thousands_of_digits_in_yaml() -> None:
    assert "digits" in fault(parse_yaml, "a: " + "9" * 5000).message


def test_a_hundred_aliases_and_no_more() -> None:
    text = "a: &a x\nb: [" + ", ".join(["*a"] * 100) + "{}]"
    assert parse_yaml(text.format("")) == {"a": "x", "b": ["x"] * 100}
    assert "more than 100 aliases" in fault(parse_yaml, text.format(", *a")).message


def test_aliases_of_aliases_do_not_explode() -> None:
    """ "Billion laughs" with 63 aliases, fewer than the limit: 9 ** 8 texts if it were expanded."""
    lines = ['a: &a ["lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol"]']
    for before, name in zip("abcdefg", "bcdefgh", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    began = time.perf_counter()
    assert "aliases" in fault(parse_yaml, "\n".join(lines)).message
    assert time.perf_counter() - began < 20


def test_a_value_that_contains_itself_is_refused() -> None:
    assert "Circular" in fault(parse_yaml, "a: &a [*a]").message
