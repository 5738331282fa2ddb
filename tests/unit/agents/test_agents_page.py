"""The programs of the page about agents are read and run as they stand there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from orchestrator.agents.agent import AGENTS
from orchestrator.agents.tools.toolbox import TOOLS
from orchestrator.domain.validate import read_goal
from support.house import ROOT

PAGE = (ROOT / "docs/how-to/agents.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's first program as the module that it says it is."""
    tools, tasks, agents = dict(TOOLS.functions), dict(TOOLS.tasks), dict(AGENTS.known)
    module = ModuleType("shop.agents")
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.agents", module)
    exec(compile(BLOCKS[0], "agents.md", "exec"), module.__dict__)
    yield module
    TOOLS.functions, TOOLS.tasks, AGENTS.known = tools, tasks, agents


def run(block: str, **names: Any) -> dict[str, Any]:
    """What a program leaves behind."""
    found: dict[str, Any] = {"__name__": "page", **names}
    exec(compile(block, "agents.md", "exec"), found)
    return found


def holding(word: str) -> str:
    """The program in which a word stands."""
    (found,) = (block for block in BLOCKS if word in block)
    return str(found)


def test_the_goal_of_the_page_is_valid(shop: ModuleType) -> None:
    block = holding("submit(goal)")
    goal = run(block.replace("submit(goal)", "").replace("from orchestrator import submit\n", ""))["goal"]
    assert [node.id for node in read_goal(goal).nodes] == ["decide", "book"]
    assert shop.support.card().limits.max_turns == 6


@pytest.mark.usefixtures("shop")
def test_the_test_of_the_page_passes() -> None:
    run(holding("def test_an_order"))["test_an_order_is_looked_up"]()


def test_every_other_declaration_of_the_page_can_be_made(shop: ModuleType) -> None:
    assert "context" not in str(run(holding("def charge")) and TOOLS.get("charge").card.parameters)
    assert run(holding("task_tool"))["search"] == "task:shop.search"
    run(holding("def refund"), tool=shop.tool)
    assert TOOLS.get("refund").card.approval
    run(
        holding("def inspect_goods"),
        tool=shop.tool,
        ToolContext=run("from orchestrator import ToolContext")["ToolContext"],
    )
    assert TOOLS.get("inspect_goods").deferred
    team = run(holding("lead = Agent"), Agent=shop.Agent, find_order=shop.find_order)
    assert team["lead"].card().tools == ("agent:clerk", "start_goal")
    AGENTS.known.pop("clerk")
    assert set(run(holding("def note"), Agent=shop.Agent)["clerk"].callbacks) == {"on_turn", "on_failed"}
