"""The example's goals are valid documents, and the committed random DAG is what its script writes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from audit_record import titles_of
from goal import PROJECT, goal
from orchestrator.domain.dag import NodeKind
from orchestrator.domain.graph import depth, successors, topological_order
from orchestrator.domain.validate import read_goal
from support.audit_samples import audit_of, write_tree

RANDOM = PROJECT / "examples" / "random"


def test_the_goal_is_valid_and_fans_out_twice(tmp_path: Path) -> None:
    made = read_goal(goal(str(tmp_path), str(tmp_path / "out")))
    assert [node.id for node in made.nodes if node.kind is NodeKind.MAP] == ["modules", "packages"]
    report = made.nodes[-1]
    assert report.inputs is not None
    assert report.inputs["out"] == str(tmp_path / "out")


def test_the_defaults_are_this_project_and_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = {node["id"]: node["inputs"] for node in goal()["nodes"]}
    assert nodes["scan"]["source"] == str(PROJECT)
    assert nodes["report"]["out"] == str(tmp_path / "audit-report")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source": "/nowhere/at/all"}, "there is no folder /nowhere/at/all"),
        ({"limit": "many"}, "limit: 'many' is not a positive number"),
        ({"limit": 0}, "is not a positive number"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        goal(**settings)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'[project]\nname = "my-thing"\n', "my-thing"),
        (b'[project]\nname = "<script>"\n', "tree"),
        (b"[project]\nname = [1]\n", "tree"),
        (b"project = 1\n", "tree"),
        (b"[[[", "tree"),
        (b"\xff", "tree"),
        (None, "tree"),
    ],
)
def test_a_tree_is_called_what_it_calls_itself(tmp_path: Path, content: bytes | None, name: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    if content is not None:
        (tree / "pyproject.toml").write_bytes(content)
    assert goal(str(tree))["title"] == f"Audit of {name}"


def test_items_are_called_by_what_they_are_about(tmp_path: Path) -> None:
    audit = audit_of(write_tree(tmp_path, {"pkg/__init__.py": "", "pkg/a.py": ""}))
    scan = {"source": "", "modules": audit["modules"], "skipped": [], "findings": []}
    assert titles_of(scan, audit) == {  # type: ignore[arg-type]
        "modules.0": "pkg/__init__.py",
        "modules.1": "pkg/a.py",
        "packages.0": "pkg",
    }


def test_the_random_dag_is_what_its_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("random_make", RANDOM / "make.py")
    assert spec
    assert spec.loader
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    text = (RANDOM / "dag-1000.json").read_text(encoding="utf-8")
    assert text == make.written(make.layered(make.NODES, make.LAYERS, make.SEED))
    made = read_goal(json.loads(text))
    children = successors([node.id for node in made.nodes], [(edge.source, edge.target) for edge in made.edges])
    assert len(made.nodes) == 1000
    assert depth(children, topological_order(children)) == 20
