"""The command line with a stand-in for the facade behind it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import chordal as chordal_group
from support.door import Door, Run


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    """The facade that every command gets."""
    made = Door()
    monkeypatch.setitem(sys.modules, "orchestrator.wiring", SimpleNamespace(connect=lambda _settings=None: made))
    return made


@pytest.fixture
def chordal(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `chordal` with these words."""
    for name in ("CHORDAL_REDIS_URL", "REDIS_URL", "CHORDAL_DATA_DIR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, text: str | None = None) -> Result:
        return CliRunner().invoke(chordal_group, words, input=text, prog_name="chordal")

    return run
