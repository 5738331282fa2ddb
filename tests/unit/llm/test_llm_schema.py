"""Answers against a JSON schema that is given as such."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from orchestrator.llm import schema
from orchestrator.llm.failures import MissingExtra
from orchestrator.llm.schema import BadSchema, check_schema, read_schema, schema_faults

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}


def test_an_answer_that_follows_passes() -> None:
    read_schema({"name": "Ann", "age": 3}, PERSON)
    read_schema([1, 2], {"$schema": "http://json-schema.org/draft-07/schema#", "items": {"type": "integer"}})


@pytest.mark.parametrize(
    "value", [{"age": 3}, {"name": "secret", "age": -1}, {"name": "secret", "x": 1}, "secret", None]
)
def test_one_that_does_not_is_a_fault_that_says_nothing_of_it(value: Any) -> None:
    with pytest.raises(ValueError, match=r"the answer has \d faults against its schema") as caught:
        read_schema(value, PERSON)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "thing"},
        {"properties": {"a": 5}},
        {"pattern": "("},
        {"$ref": "https://example.com/x"},
        {"$ref": "#/$defs/y"},
    ],
)
def test_a_schema_that_is_none_or_leads_outside_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="the response schema"):
        read_schema({"a": "secret"}, wrong)


def test_a_schema_can_be_checked_before_a_call_is_made() -> None:
    check_schema(PERSON)
    with pytest.raises(BadSchema, match="at properties/a"):
        check_schema({"properties": {"a": {"type": 5}}})


def test_a_schema_without_end_is_a_fault() -> None:
    with pytest.raises(ValueError, match="too deep"):
        read_schema({}, {"$ref": "#"})


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    schema._validator.cache_clear()
    with pytest.raises(MissingExtra, match=r"chordal\[llm\]"):
        read_schema({}, {"type": "object"})


def test_faults_have_a_place_and_say_what_is_wanted() -> None:
    shape = {
        "type": "array",
        "items": PERSON
        | {"required": ["name", "age"], "properties": PERSON["properties"] | {"kind": {"enum": ["a", "b"]}}},
        "$defs": PERSON["$defs"],
    }
    assert schema_faults([{"name": "Ann", "age": 1}], shape) == []
    assert schema_faults({}, shape) == ["the answer: must be of type array"]
    value = [{}, {"name": 3, "age": -1, "kind": "SECRET"}, {"name": "x", "age": 1, "y": 2}]
    assert sorted(schema_faults(value, shape)) == [
        "0: 'name', 'age' missing",
        "1/age: does not follow the schema's minimum 0",
        '1/kind: does not follow the schema\'s enum ["a", "b"]',
        "1/name: must be of type string",
        "2: there is no field 'y'",
    ]  # fmt: skip
    assert len(schema_faults([{}] * 1000, shape)) == 10


def test_faults_quote_little_of_the_answer_and_raise_as_the_check_does() -> None:
    strange = {f"{index}" + "x" * 5000: 1 for index in range(100)}
    (fault,) = schema_faults({"name": "Ann", **strange}, PERSON)
    assert len(fault) < 120
    with pytest.raises(BadSchema):
        schema_faults(1, {"$ref": "https://example.org/elsewhere"})
    with pytest.raises(BadSchema):
        schema_faults(1, {"type": 3})
    deep: Any = 1
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    assert schema_faults(deep, {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}) == [
        "it is too deep for its schema"
    ]
