"""Outputs: JSON in Redis, a reference where they are large."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator.domain.errors import OutputNotSerialisable
from orchestrator.engine.payload import ArtifactMissing, Payloads, preview, to_json


@dataclass
class Point:
    x: int
    y: float


class Model(BaseModel):
    name: str
    points: list[Point]


@pytest.fixture
def payloads(tmp_path: Path) -> Payloads:
    return Payloads(f"file://{tmp_path}/artifacts/", 1024, 10_000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
        ("é\x1b", '"é\\u001b"'),
        (Point(1, 2.0), '{"x":1,"y":2.0}'),
        (Model(name="m", points=[Point(1, 2.0)]), '{"name":"m","points":[{"x":1,"y":2.0}]}'),
        ({"at": datetime(2024, 1, 2, tzinfo=UTC)}, '{"at":"2024-01-02T00:00:00Z"}'),
        ((1, 2), "[1,2]"),
        ({3}, "[3]"),
    ],
)
def test_what_is_understood(value: Any, text: str) -> None:
    assert to_json(value) == text


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), {"x": float("inf")}, object(), {1, object}, "\ud800", {"\udfff": 1}, {(1, 2): 3}, deep(5000)],
    ids=range(8),
)  # fmt: skip
def test_what_is_refused_says_what_to_return(value: Any) -> None:
    with pytest.raises(OutputNotSerialisable, match="Return plain data, a dataclass or a pydantic model"):
        to_json(value)


def test_small_outputs_stay_inline(payloads: Payloads, tmp_path: Path) -> None:
    text = payloads.pack("g", "n", {"a": "é"})
    assert payloads.unpack(text) == {"a": "é"}
    assert not (tmp_path / "artifacts").exists()


def test_no_output_takes_no_room(payloads: Payloads) -> None:
    assert payloads.pack("g", "n", None) == ""
    assert payloads.unpack("") is None
    assert payloads.unpack(None) is None
    assert preview("") is None


def test_the_limit_is_one_of_bytes(payloads: Payloads) -> None:
    assert payloads.pack("g", "n", "x" * 1022).startswith('"x')
    assert payloads.pack("g", "n", "x" * 1023).startswith("@")
    assert payloads.pack("g", "n", "é" * 511).startswith('"é')
    assert payloads.pack("g", "n", "é" * 512).startswith("@")


def test_large_outputs_go_to_a_file_named_by_content(payloads: Payloads, tmp_path: Path) -> None:
    value = {"text": "y" * 5000}
    first, again, other = (payloads.pack("g", "n", one) for one in (value, value, "z" * 5000))
    assert first == again != other
    assert payloads.unpack(first) == value
    assert len(list((tmp_path / "artifacts" / "g").iterdir())) == 2
    shown = preview(first)["$ref"]
    assert shown["bytes"] == len(to_json(value))
    assert shown["url"].endswith(".json")


def test_a_text_that_looks_like_a_reference_is_none(payloads: Payloads) -> None:
    assert (
        payloads.unpack(payloads.pack("g", "n", '@{"url": "file:///etc/passwd"}')) == '@{"url": "file:///etc/passwd"}'
    )


def test_too_large_is_refused_with_the_setting(payloads: Payloads) -> None:
    with pytest.raises(OutputNotSerialisable, match="CHORDAL_OUTPUT_LIMIT_BYTES"):
        payloads.pack("g", "n", "x" * 10_000)


def test_a_file_that_is_not_there_says_what_workers_must_share(payloads: Payloads) -> None:
    text = payloads.pack("g", "n", "x" * 2000)
    payloads.forget("g")
    with pytest.raises(ArtifactMissing, match="CHORDAL_ARTIFACTS_URL"):
        payloads.unpack(text)


def test_forgetting_takes_one_goal_only(payloads: Payloads, tmp_path: Path) -> None:
    payloads.pack("g", "n", "x" * 2000)
    kept = payloads.pack("g2", "n", "x" * 2000)
    payloads.forget("g")
    payloads.forget("never stored")
    assert not (tmp_path / "artifacts" / "g").exists()
    assert payloads.unpack(kept) == "x" * 2000


@pytest.mark.parametrize("goal", [".", "..", "..."])
def test_a_goal_named_like_a_folder_stays_inside(goal: str, payloads: Payloads, tmp_path: Path) -> None:
    """Forgetting the goal ".." once meant the folder above the artifacts, with everything in it."""
    (tmp_path / "precious").write_text("kept")
    kept = payloads.pack("g", "n", "x" * 2000)
    text = payloads.pack(goal, "..", "y" * 2000)
    assert payloads.unpack(text) == "y" * 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts", "precious"]
    payloads.forget(goal)
    assert (tmp_path / "precious").read_text() == "kept"
    assert payloads.unpack(kept) == "x" * 2000
    with pytest.raises(ArtifactMissing):
        payloads.unpack(text)


def test_previews_do_not_read_files(payloads: Payloads) -> None:
    text = payloads.pack("g", "n", "x" * 2000)
    payloads.forget("g")
    assert set(preview(text)["$ref"]) == {"url", "bytes", "sha256"}
    assert preview('{"a":1}') == json.loads('{"a":1}')
