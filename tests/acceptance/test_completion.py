"""Shell completion, as bash, zsh and fish ask for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.servers import Fleet

CHORDAL = str(Path(sys.executable).with_name("chordal"))


def offered(fleet: Fleet, line: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    variables = {"_CHORDAL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [CHORDAL], env={**fleet.environment(), **variables}, capture_output=True, text=True, timeout=30, check=True
    )
    return [name.partition(",")[2] for name in done.stdout.split()]


def test_names_are_completed_from_redis(fleet: Callable[..., Fleet]) -> None:
    one = fleet()
    chordal = one.chordal()
    for goal, owner in (("report-1", "ann"), ("report-2", "bob"), ("other", "anton")):
        nodes = [{"id": "fetch"}, {"id": "filter"}, {"id": "write", "kind": "agent", "agent": "writer"}]
        chordal.submit({"goal_id": goal, "owner": owner, "nodes": nodes})
    assert sorted(offered(one, "chordal status rep")) == ["report-1", "report-2"]
    assert offered(one, "chordal show report-1 f") == ["fetch", "filter"]
    assert offered(one, "chordal list --owner an") == ["ann", "anton"]
    assert offered(one, "chordal pause --owner b") == ["bob"]
    assert offered(one, "chordal pause report-1 --node w") == ["write"]
    assert offered(one, "chordal pause report-1 --agent w") == ["writer"]
    assert offered(one, "chordal flush-memory --agent w") == ["writer"]
    assert "pause" in offered(one, "chordal pa")
    assert "--json" in offered(one, "chordal status --j")
    assert offered(one, "chordal completion z") == ["zsh"]
    assert offered(one, "chordal show nothing-of-this-name f") == []


def test_without_redis_nothing_is_offered_and_nothing_fails(tmp_path: Path) -> None:
    one = Fleet(f"unix://{tmp_path}/nobody", tmp_path)
    assert offered(one, "chordal status g") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_takes(shell: str, tmp_path: Path) -> None:
    done = subprocess.run([CHORDAL, "completion", shell], capture_output=True, text=True, timeout=30, check=True)
    assert f"_CHORDAL_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: what it would make of the script is not known")
    script = tmp_path / "script"
    script.write_text(done.stdout)
    assert subprocess.run([shell, "-n", str(script)], timeout=30, check=False).returncode == 0
