"""Functions by name, and what is said of those that are not known."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from orchestrator.domain.errors import UnknownFunction
from orchestrator.engine.registry import REGISTRY, Registry, default_name, node


def add(a: int, b: int = 0) -> int:
    return a + b


def total(upstream: dict[str, int]) -> int:
    return sum(upstream.values())


def message(registry: Registry, name: str) -> str:
    with pytest.raises(UnknownFunction) as caught:
        registry.get(name)
    return str(caught.value)


def test_a_function_is_found_under_module_and_name() -> None:
    registry = Registry()
    registry.add(add)
    registry.add(total, "sum")
    found = registry.get(f"{__name__}:add")
    assert found.function is add
    assert not found.wants_upstream
    assert registry.get("sum").wants_upstream


def test_an_unknown_name_says_where_was_looked_and_what_to_do() -> None:
    said = message(Registry(), "work:f")
    assert "CHORDAL_IMPORTS is empty" in said
    assert "0 functions registered" in said
    assert "name its module in CHORDAL_IMPORTS ('work') and restart the workers" in said


def test_an_unknown_name_lists_what_was_imported() -> None:
    assert "imported: work, other" in message(Registry(imported=["work", "other"]), "missing:f")


def test_a_slip_is_met_with_a_suggestion() -> None:
    registry = Registry(imported=["work"])
    registry.add(add, "work:normalise")
    assert "did you mean 'work:normalise'?" in message(registry, "work:normalize")


def test_a_function_without_the_decorator_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("unmarked_work")
    vars(module)["secret"] = add
    monkeypatch.setitem(sys.modules, "unmarked_work", module)
    assert "put @node on it" in message(Registry(imported=["unmarked_work"]), "unmarked_work:secret")
    assert "knows no function" in message(Registry(imported=["unmarked_work"]), "unmarked_work:absent")


def test_the_decorator_leaves_the_function_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "functions", {})
    assert node(add) is add
    assert node(name="plus")(add) is add
    assert set(REGISTRY.functions) == {f"{__name__}:add", "plus"}


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        (SimpleNamespace(__spec__=SimpleNamespace(name="pkg.work"), __file__="/x/work.py"), "pkg.work:add"),
        (SimpleNamespace(__spec__=None, __file__="/x/flow.py"), "flow:add"),
        (SimpleNamespace(), "__main__:add"),
    ],
)
def test_a_function_of_a_script_has_the_name_that_workers_import(
    main: SimpleNamespace, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", main)
    function = SimpleNamespace(__module__="__main__", __qualname__="add")
    assert default_name(function) == expected  # type: ignore[arg-type]
