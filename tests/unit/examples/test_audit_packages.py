"""The joins over modules and packages."""

from __future__ import annotations

from pathlib import Path

from audit_packages import group_by_package, join_package, worst_modules
from audit_totals import figure, plural, share, totals
from support.audit_samples import audit_of, reports, write_tree

FILES = {
    "pkg/__init__.py": '"""The package."""\n',
    "pkg/a.py": "import os\n\n\ndef f(x):\n    return 1 if x else 2\n",
    "pkg/sub/__init__.py": "",
    "pkg/sub/b.py": "def g():\n    return missing\n",
}


def test_modules_join_by_package(tmp_path: Path) -> None:
    items = group_by_package(list(reports(write_tree(tmp_path, FILES)).values()))
    top, sub = (join_package(item) for item in items)
    assert (top["name"], top["modules"], top["functions"], top["notes"]) == ("pkg", 2, 1, 1)
    assert (top["documented"], top["documentable"]) == (1, 3)
    assert (top["complexity_mean"], top["complexity_max"], top["worst"]) == (2.0, 2, "pkg.a")
    assert (sub["name"], sub["errors"], sub["worst"]) == ("pkg.sub", 1, "pkg.sub.b")


def test_every_module_is_in_exactly_one_item(tmp_path: Path) -> None:
    found = reports(write_tree(tmp_path, FILES))
    items = group_by_package(list(found.values()))
    assert sorted(module["name"] for item in items for module in item["modules"]) == sorted(found)


def test_the_worst_modules_come_first_and_clean_ones_not_at_all(tmp_path: Path) -> None:
    found = reports(write_tree(tmp_path, FILES))
    assert [module["name"] for module in worst_modules(list(found.values()), 10)] == ["pkg.sub.b", "pkg.a"]


def test_totals_are_sums_and_an_empty_tree_has_dashes(tmp_path: Path) -> None:
    empty = totals(audit_of(tmp_path))
    assert (empty.modules, empty.documented, empty.complexity_mean) == (0, None, None)
    full = totals(audit_of(write_tree(tmp_path, FILES)))
    assert (full.modules, full.packages, full.functions) == (4, 2, 2)
    assert full.findings == {"error": 1, "warning": 0, "note": 1}
    assert (share(None), share(0.5), figure(None), figure(1234.56)) == ("–", "50%", "–", "1,234.6")
    assert (plural(1, "process", "processes"), plural(2, "process", "processes")) == ("1 process", "2 processes")
