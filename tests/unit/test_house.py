"""The house rules hold, and each of them is able to fail."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from support import house


def test_no_rule_is_broken() -> None:
    assert house.faults() == []


def test_the_list_of_packages_is_complete() -> None:
    config = tomllib.loads((house.ROOT / "pyproject.toml").read_text("utf-8"))
    declared = config["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(house.ROOT).parts) for path in house.ROOT.glob("orchestrator/**/*.py")}
    assert set(declared) == found | {"orchestrator.tasks", "orchestrator.beat"}


def test_nothing_in_orchestrator_imports_tasks_or_beat_by_their_installed_names() -> None:
    # import-linter sees the two folders under their names in the checkout, so it cannot notice these.
    wrong = [
        str(path.relative_to(house.ROOT))
        for path in (house.ROOT / "orchestrator").rglob("*.py")
        if any(
            line.lstrip().startswith(("import orchestrator." + name, "from orchestrator." + name))
            for line in path.read_text("utf-8").splitlines()
            for name in ("tasks", "beat")
        )
    ]
    assert wrong == []


def test_a_long_file_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text("x = 1\n" * (house.MOST_LINES + 1))
    assert len(list(house.size_faults([path]))) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("return 1\n", "no header"),
        ("-- move: moves.\n-- KEYS  1 a\n-- ARGV  1 b\nreturn 1\n", "does not say Returns"),
        ("-- wrong: moves.\n-- KEYS  1 a\n-- ARGV  1 b\n-- Returns x\nreturn 1\n", "its own name"),
        ("-- move: moves.\n-- KEYS  1 a\n-- ARGV  1 b\n-- Returns x\n" + "\n" * house.LUA_LINES, "the most is"),
    ],
)
def test_a_lua_operation_without_its_contract_is_a_fault(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "move.lua"
    path.write_text(text)
    assert [said in fault for fault in house.lua_faults([path])] == [True]


@pytest.mark.parametrize("text", ["see /ro" + "ot/notes", "# TO" + "DO later", "    assert Tr" + "ue\n"])
def test_words_that_do_not_belong_are_faults(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.md"
    path.write_text(text)
    assert len(list(house.word_faults([path]))) == 1
