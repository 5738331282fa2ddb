"""A goal is read from a file, standard input or a folder; what is wrong is said where it is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli import load
from orchestrator.cli.load import read_source
from orchestrator.domain.errors import InvalidGoal
from orchestrator.domain.limits import Limits

GOAL = {"goal_id": "g", "nodes": [{"id": "a", "call": "steps:work"}, {"id": "b", "call": "json:dumps"}]}


@pytest.fixture(autouse=True)
def _path_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name in ("goal", "steps"):
            del sys.modules[name]


def test_json_yaml_and_python_mean_the_same(tmp_path: Path) -> None:
    folders = {
        "goal.json": json.dumps(GOAL),
        "goal.yaml": "goal_id: g\nnodes: [{id: a, call: 'steps:work'}, {id: b, call: 'json:dumps'}]",
        "goal.py": f"def goal():\n    return {GOAL!r}",
    }
    found = []
    for name, text in folders.items():
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_text(text)
        found.append(read_source(str(folder), {}).goal)
        assert read_source(str(folder / name), {}).goal == found[-1]
    assert found[0] == found[1] == found[2]


def test_modules_beside_the_goal_are_imported_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    (folder / "pkg").mkdir(parents=True)
    (folder / "goal.json").write_text(
        json.dumps({
            "nodes": [
                *GOAL["nodes"],
                {"id": "c", "kind": "map", "call": "pkg.inner:work", "inputs": {"items": [1]}},
                {"id": "d", "kind": "goal", "goal": {"nodes": [{"id": "x", "call": "nested:work"}]}},
                {"id": "e", "call": "..steps:work"},
                {"id": "f", "kind": "task", "call": "steps.add"},
            ]
        })
    )  # fmt: skip
    for name in ("steps.py", "nested.py", "pkg/inner.py", "other.py"):
        (folder / name).touch()
    source = read_source(str(folder), {})
    assert sorted(source.imports) == ["nested", "pkg.inner", "steps"]
    assert source.folder == folder


def test_settings_reach_goal_py_as_json_or_text(tmp_path: Path) -> None:
    (tmp_path / "goal.py").write_text(
        "def goal(root, deep=False):\n    return {'nodes': [{'id': 'a', 'inputs': {'root': root, 'deep': deep}}]}"
    )
    goal = read_source(str(tmp_path), {"root": "src", "deep": True}).goal
    assert goal.nodes[0].inputs == {"root": "src", "deep": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def goal(root): ...", "settings it takes, with --set: root"),
        ("x = 1", "it has no function goal()"),
        ("def goal():\n    return 1 / 0", "line 2: ZeroDivisionError"),
        ("def goal(:", "line 1: SyntaxError"),
        ("def goal():\n    return [1]", "a goal is an object, this is a list"),
    ],
)
def test_a_goal_py_that_does_not_work_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "goal.py").write_text(text)
    with pytest.raises(InvalidGoal, match="fault") as caught:
        read_source(str(tmp_path), {})
    assert said in str(caught.value)


def test_goal_py_is_told_of_a_setting_that_it_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "goal.py").write_text("def goal(root='.'): ...")
    with pytest.raises(InvalidGoal, match="unexpected keyword argument 'rot'"):
        read_source(str(tmp_path), {"rot": 1})


def test_a_folder_with_two_goals_or_none_is_not_guessed_at(tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match=r"has none of goal\.json"):
        read_source(str(tmp_path), {})
    for name in ("goal.json", "goal.py"):
        (tmp_path / name).touch()
    with pytest.raises(click.BadParameter, match=r"goal\.json and goal\.py; name the one"):
        read_source(str(tmp_path), {})


def test_settings_for_a_plain_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "goal.json").write_text(json.dumps(GOAL))
    with pytest.raises(click.BadParameter, match=r"only a goal\.py takes settings"):
        read_source(str(tmp_path), {"a": 1})


def test_a_document_that_is_too_large_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "DEFAULT_LIMITS", Limits(document_bytes=100))
    (tmp_path / "goal.json").write_text(" " * 101)
    with pytest.raises(InvalidGoal, match="more than 100 bytes"):
        read_source("goal.json", {})


@pytest.mark.parametrize(("name", "text"), [("goal.json", "{"), ("goal.yaml", "a: [")])
def test_a_fault_names_its_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidGoal) as caught:
        read_source(name, {})
    assert caught.value.__notes__ == [f"in {name}"]
