"""The group: help, sections, version, and the same commands under Celery."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.main import SECTIONS, celery_goal
from orchestrator.cli.main import chordal as group
from orchestrator.domain.states import NodeState
from support.door import Door, Run, make_status

HEAVY = ("pydantic", "redis", "celery", "rich", "yaml")


def names() -> list[str]:
    """Every command."""
    return [name for section in SECTIONS.values() for name in section]


@pytest.mark.parametrize("name", names())
def test_every_command_and_option_has_help(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name
    assert command.help
    for param in command.params:
        assert isinstance(param, click.Argument) or getattr(param, "help", None), param.name


@pytest.mark.parametrize("name", names())
def test_every_command_shows_its_help(chordal: Run, name: str) -> None:
    result = chordal(name, "--help")
    assert result.exit_code == 0
    assert "--data-dir" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom orchestrator.cli.main import chordal\n"
        "try: chordal(['--help'], prog_name='chordal')\nexcept SystemExit: pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_the_commands_by_section(chordal: Run) -> None:
    out = chordal("--help").stdout
    for title in SECTIONS:
        assert f"\n{title}:\n" in out


def test_version(chordal: Run) -> None:
    assert chordal("--version").stdout.startswith("chordal ")


def test_no_color_is_respected(door: Door, chordal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    door.statuses["g1"] = make_status(a=NodeState.DONE)
    monkeypatch.setenv("NO_COLOR", "1")
    result = CliRunner().invoke(group, ["status", "g1"], color=True)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b" in CliRunner().invoke(group, ["status", "g1"], color=True).stdout
    assert "\x1b" not in chordal("status", "g1").stdout


def test_the_same_commands_work_under_celery(door: Door) -> None:
    """As the entry point mounts them: a sub-group of Celery's, whose `ctx.obj` is Celery's own."""

    @click.group()
    @click.option("-A", "--app")
    @click.pass_context
    def celery(ctx: click.Context, app: str) -> None:
        ctx.obj = SimpleNamespace(app=app)

    celery.add_command(celery_goal)
    door.statuses["g1"] = make_status(a=NodeState.DONE)
    result = CliRunner().invoke(celery, ["-A", "orchestrator", "goal", "status", "g1"], prog_name="celery")
    assert result.exit_code == 0
    assert "g1" in result.stdout
    missing = CliRunner().invoke(celery, ["-A", "orchestrator", "goal", "show", "g1", "z"], prog_name="celery")
    assert missing.exit_code == 2
    assert "celery -A orchestrator goal status g1" in missing.stderr


def test_completion_offers_stored_goals(door: Door) -> None:
    from click.shell_completion import ShellComplete

    door.statuses = {"g1": make_status("g1"), "h1": make_status("h1")}
    found = ShellComplete(group, {}, "chordal", "_CHORDAL_COMPLETE").get_completions(["status"], "g")
    assert [item.value for item in found] == ["g1"]
    door.raises = RuntimeError("anything")
    assert ShellComplete(group, {}, "chordal", "_CHORDAL_COMPLETE").get_completions(["status"], "g") == []
