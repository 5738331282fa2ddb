"""Who imports whom, when, and in which circles."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_imports import build_graph, find_cycles, strongly_connected
from audit_model import ImportGraph
from support.audit_samples import reports, write_tree


def graph(root: Path, files: dict[str, str]) -> ImportGraph:
    return build_graph(list(reports(write_tree(root, files)).values()))


def pairs(found: ImportGraph) -> set[tuple[str, str, str]]:
    return {(edge["source"], edge["target"], edge["when"]) for edge in found["edges"]}


def test_absolute_and_relative_imports_find_their_modules(tmp_path: Path) -> None:
    found = graph(
        tmp_path,
        {
            "pkg/__init__.py": "from .a import thing\n",
            "pkg/a.py": "import pkg.sub.b\nfrom pkg import sub\n",
            "pkg/sub/__init__.py": "from . import b\n",
            "pkg/sub/b.py": "from ..a import thing\nfrom ... import beyond\nfrom pkg.a import thing as other\n",
        },
    )
    assert pairs(found) == {
        ("pkg", "pkg.a", "import"),
        ("pkg.a", "pkg.sub.b", "import"),
        ("pkg.a", "pkg.sub", "import"),
        ("pkg.sub", "pkg.sub.b", "import"),
        ("pkg.sub.b", "pkg.a", "import"),
    }


def test_an_import_says_when_it_happens(tmp_path: Path) -> None:
    source = """
from typing import TYPE_CHECKING
import typing
if TYPE_CHECKING:
    import pkg.a
if typing.TYPE_CHECKING:
    from pkg import a
else:
    import pkg.b
try:
    import pkg.c
except ImportError:
    pass
def f():
    import pkg.d
    class Inner:
        import pkg.e
"""
    files = {"pkg/__init__.py": "", "pkg/main.py": source} | {f"pkg/{name}.py": "" for name in "abcde"}
    assert pairs(graph(tmp_path, files)) == {
        ("pkg.main", "pkg.a", "typing"),
        ("pkg.main", "pkg.b", "import"),
        ("pkg.main", "pkg.c", "import"),
        ("pkg.main", "pkg.d", "lazy"),
        ("pkg.main", "pkg.e", "lazy"),
    }


def test_the_earliest_of_several_imports_counts(tmp_path: Path) -> None:
    files = {"a.py": "def f():\n    import b\nimport b\n", "b.py": ""}
    assert pairs(graph(tmp_path, files)) == {("a", "b", "import")}


def test_scripts_import_their_siblings_by_bare_name_and_packages_do_not(tmp_path: Path) -> None:
    found = graph(
        tmp_path,
        {
            "scripts/run.py": "import helper\n",
            "scripts/helper.py": "",
            "pkg/__init__.py": "",
            "pkg/a.py": "import logging\n",
            "pkg/logging.py": "",
        },
    )
    assert pairs(found) == {("scripts.run", "scripts.helper", "import")}


def test_a_script_in_another_folder_is_found_by_its_bare_name_if_that_is_clear(tmp_path: Path) -> None:
    found = graph(
        tmp_path,
        {
            "scripts/helper.py": "",
            "one/twice.py": "",
            "two/twice.py": "",
            "json/json.py": "",
            "tests/test_it.py": "import helper\nimport twice\nimport json\n",
        },
    )
    assert pairs(found) == {("tests.test_it", "scripts.helper", "import")}
    assert found["third_party"] == [{"name": "twice", "count": 1}]


def test_third_party_packages_are_counted_by_module(tmp_path: Path) -> None:
    files = {"a.py": "import os, yaml\nimport yaml.nodes\n", "b.py": "from yaml import x\nimport click\nimport a\n"}
    assert graph(tmp_path, files)["third_party"] == [{"name": "yaml", "count": 2}, {"name": "click", "count": 1}]


def test_a_cycle_at_import_time_is_a_finding_and_a_lazy_one_is_not(tmp_path: Path) -> None:
    files = {"a.py": "import b\n", "b.py": "import c\n", "c.py": "import a\n", "d.py": "import e\n"}
    found = graph(tmp_path, files | {"e.py": "def f():\n    import d\n"})
    assert found["cycles"] == [["a", "b", "c", "a"]]
    assert [(item["rule"], item["path"], item["message"]) for item in found["findings"]] == [
        ("import-cycle", "a.py", "import cycle: a → b → c → a")
    ]


def test_of_a_knot_the_shortest_cycle_is_shown() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "c"), ("a", "d"), ("d", "a")]
    assert find_cycles(dict.fromkeys("abcde"), edges) == [["a", "d", "a"]]


@pytest.mark.parametrize("nodes", [1, 2, 30_000])
def test_a_long_circle_is_one_component(nodes: int) -> None:
    children = {str(node): [str((node + 1) % nodes)] for node in range(nodes)}
    (component,) = strongly_connected(children)
    assert len(component) == nodes
