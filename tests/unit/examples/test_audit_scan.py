"""Which files of a tree are modules, what they are called, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audit_scan import MAX_BYTES, scan_tree
from support.audit_samples import write_tree


def names(root: Path) -> list[str]:
    return [module["name"] for module in scan_tree(root, 100)["modules"]]


def test_modules_are_named_as_they_are_imported(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "src/pkg/__init__.py": "",
            "src/pkg/a.py": "",
            "src/pkg/sub/__init__.py": "",
            "src/pkg/sub/b.py": "",
            "scripts/tool.py": "",
            "setup.py": "",
            "notes.txt": "",
        },
    )
    assert names(tmp_path) == ["setup", "scripts.tool", "pkg", "pkg.a", "pkg.sub", "pkg.sub.b"]
    packages = {module["name"]: module["package"] for module in scan_tree(tmp_path, 100)["modules"]}
    assert packages["pkg"] == packages["pkg.a"] == "pkg"
    assert packages["pkg.sub.b"] == "pkg.sub"
    assert packages["setup"] == "(top level)"


def test_a_source_inside_a_package_keeps_the_packages_name(tmp_path: Path) -> None:
    write_tree(tmp_path, {"pkg/__init__.py": "", "pkg/sub/__init__.py": "", "pkg/sub/a.py": ""})
    assert names(tmp_path / "pkg" / "sub") == ["pkg.sub", "pkg.sub.a"]


def test_two_packages_of_the_same_name_stay_apart(tmp_path: Path) -> None:
    files = {f"{root}/tests/{name}.py": "" for root in ("one", "two") for name in ("__init__", "a")}
    write_tree(tmp_path, files)
    found = names(tmp_path)
    assert len(set(found)) == len(found) == 4
    assert "two.tests.a" in found


@pytest.mark.parametrize(
    ("folder", "reason"),
    [(".hidden", "hidden"), ("node_modules", "generated"), ("x.egg-info", "generated"), ("build", "build output")],
)
def test_folders_that_are_left_out_are_told(tmp_path: Path, folder: str, reason: str) -> None:
    write_tree(tmp_path, {f"{folder}/a.py": "", "b.py": ""})
    scan = scan_tree(tmp_path, 100)
    assert [module["path"] for module in scan["modules"]] == ["b.py"]
    assert [item["path"] for item in scan["skipped"]] == [folder]
    assert reason in scan["skipped"][0]["reason"]


def test_a_virtual_environment_is_left_out_under_any_name(tmp_path: Path) -> None:
    write_tree(tmp_path, {"py/pyvenv.cfg": "", "py/lib/a.py": "", "b.py": ""})
    assert names(tmp_path) == ["b"]


def test_a_package_named_build_is_kept(tmp_path: Path) -> None:
    write_tree(tmp_path, {"build/__init__.py": "", "build/a.py": ""})
    assert names(tmp_path) == ["build", "build.a"]


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    (tmp_path / "folder").symlink_to("/etc")
    scan = scan_tree(tmp_path, 100)
    assert scan["modules"] == []
    assert {(item["path"], item["rule"]) for item in scan["findings"]} == {
        ("pipe.py", "not-a-file"),
        ("link.py", "not-a-file"),
    }
    assert scan["skipped"] == [{"path": "folder", "reason": "symbolic link"}]


def test_a_name_that_is_not_utf8_and_a_huge_file_are_findings(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("")
    with (tmp_path / "huge.py").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    findings = scan_tree(tmp_path, 100)["findings"]
    assert {(item["path"], item["rule"]) for item in findings} == {
        ("caf\\udce9.py", "file-name"),
        ("huge.py", "too-large"),
    }


def test_more_modules_than_the_limit_are_told(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"m{number}.py": "" for number in range(5)})
    scan = scan_tree(tmp_path, 3)
    assert len(scan["modules"]) == 3
    assert scan["skipped"] == [{"path": ".", "reason": "2 modules over the limit of 3"}]


def test_a_source_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        scan_tree(tmp_path / "nowhere", 100)
