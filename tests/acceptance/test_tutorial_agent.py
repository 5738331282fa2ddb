"""The tutorial on agents does what it says, file by file as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.house import ROOT
from support.servers import Fleet, until

PAGE = (ROOT / "docs/tutorial/first-agent.md").read_text("utf-8")
FILES = ("garden.py", "llm.yaml", "script.yaml", "goal.yaml")


def test_the_first_agent_says_what_the_page_shows(fleet: Callable[..., Fleet]) -> None:
    blocks = re.findall(r"^```(?:python|yaml)\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
    one = fleet(dict(zip(FILES, blocks, strict=False)), CHORDAL_IMPORTS="garden", CHORDAL_LLM_FILE="llm.yaml")
    one.beat()
    one.worker()
    one.worker("calls", "-Q", "llm")

    def chordal(*words: str) -> str:
        line = [str(Path(sys.executable).with_name("chordal")), *words]
        done = subprocess.run(
            line, cwd=one.folder, env=one.environment(), capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert chordal("submit", "goal.yaml") == "beans"
    until(lambda: "check     WAITING" in chordal("status", "beans"), 30, what="an agent that has answered")
    shown = re.search(r"^\$ chordal transcript beans ask\n(.+?)^\$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert chordal("transcript", "beans", "ask") == shown[1].strip()
    assert chordal("approve", "beans", "check") in PAGE
    until(lambda: chordal("status", "beans").startswith("beans: DONE"), 30, what="the end")
