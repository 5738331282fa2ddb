"""The pages on commands and policies show what the command line says, line by line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import giving
from orchestrator.cli.main import chordal
from orchestrator.control.policy import read_policy
from orchestrator.domain.command import Door
from support.crew import Crew
from support.house import ROOT

HOW_TO = ROOT / "docs/how-to"
OURS = re.compile(r"(?P<policy>CHORDAL_POLICY=(?P<what>\w+) )?(?:chordal|celery -A orchestrator goal) (?P<words>.+)")


def shown(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """The lines of a page that are ours: the policy, the words, and what is said."""
    for block in re.findall(r"^```console\n(.+?)^```", (HOW_TO / page).read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *said = part.splitlines()
            if found := OURS.fullmatch(line):
                yield found["what"] or "development", found["words"], said


@pytest.mark.parametrize("page", ["commands.md", "policies.md"])
def test_a_page_shows_what_is_said(page: str, crew: Crew, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @crew.function
    def fetch(url: str = "") -> str:
        if not url:
            raise ValueError("no url")
        return url

    crew.submit([{"id": "fetch", "call": "fetch", "inputs": {}}, {"id": "gate", "kind": "approval"}], (), "g1")
    crew.work()
    monkeypatch.setattr(giving, "sender", lambda: "ann@desk")
    count = 0
    for policy, words, said in shown(page):
        crew_of = Crew(crew.store, tmp_path, policy=policy)
        monkeypatch.setattr(giving, "client", lambda wired=crew_of.wired: wired)
        result: Result = CliRunner().invoke(chordal, shlex.split(words), prog_name="chordal")
        assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
        assert (result.stdout + result.stderr).splitlines() == said, words
        count += 1
    assert count


def test_the_policy_of_the_page_says_what_the_page_says(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.+?)^```", (HOW_TO / "policies.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    policy = read_policy("", file)
    assert policy.allowed(Door.HTTP, "x") == frozenset()
    assert "STOP" in policy.allowed(Door.CLI, "ann@desk")
    assert policy.allowed(Door.CLI, "root@desk") == frozenset()
    assert policy.allowed(Door.CELERY, "deploy-7") == {"CANCEL", "RETRY"}
    assert policy.allowed(Door.HEARTBEAT, "/tmp/x") == {"PAUSE", "RESUME"}
    assert "STEER" in policy.allowed(Door.HEARTBEAT, "/srv/goals/g1.md")
