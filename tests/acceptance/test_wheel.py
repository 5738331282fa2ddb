"""The installed wheel, in an environment of its own, without the checkout on its path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import house
from support.house import ROOT
from support.servers import until

TUTORIAL = """
from celery import Celery
app = Celery('tasks', broker='pyamqp://guest@nowhere//')

@app.task
def add(x, y):
    return x + y
"""
GOAL = {
    "nodes": [
        {"id": "sum", "kind": "task", "call": "tasks.add", "inputs": {"x": 2, "y": 3}},
        {"id": "note", "title": "n"},
    ],
    "edges": [{"source": "sum", "target": "note"}],
}


@dataclass
class Installed:
    """A virtual environment with the wheel, and a user's folder with Celery's tutorial names in it."""

    prefix: Path
    folder: Path
    wheel: Path

    def run(self, program: str, *argv: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.prefix / "bin" / program), *argv], cwd=self.folder, env=self.env(), text=True, capture_output=True,
            timeout=seconds, check=False,
        )  # fmt: skip

    def env(self) -> dict[str, str]:
        # Dependencies come from the environment that runs the tests. PYTHONPATH does not process .pth files, so the
        # checkout that is installed there as editable stays out of reach.
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CHORDAL_", "REDIS_URL"))}
        data = {"CHORDAL_DATA_DIR": str(self.folder / "data"), "CHORDAL_IMPORTS": "tasks"}
        return {**clean, **data, "PYTHONPATH": sysconfig.get_paths()["purelib"]}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    # A copy of the project's own files, so that nothing left over in the checkout gets into the wheel.
    for path in house.files():
        copy = base / "src" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    built = subprocess.run(
        [*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", str(base / "dist"), str(base / "src")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    wheel = next((base / "dist").glob("chordal-*.whl"))
    venv.create(base / "env", with_pip=False, symlinks=True)
    subprocess.run([*pip, "--python", str(base / "env"), "install", "--no-deps", str(wheel)], check=True)
    celery = base / "env" / "bin" / "celery"
    celery.write_text(f"#!{base}/env/bin/python\nfrom celery.__main__ import main\nraise SystemExit(main())\n")
    celery.chmod(0o755)
    folder = base / "user"
    folder.mkdir()
    (folder / "tasks.py").write_text(TUTORIAL)
    (folder / "beat.py").write_text("raise SystemExit('this is the beat.py of the user')")
    (folder / "goal.json").write_text(json.dumps(GOAL))
    return Installed(base / "env", folder, wheel)


def test_the_wheel_claims_no_top_level_name_but_its_own(installed: Installed) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(installed.wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"orchestrator"}
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert "orchestrator/tasks/node.py" in names
    assert "orchestrator/beat/scheduler.py" in names
    assert any(name.endswith("commit.lua") for name in names)


def test_the_checkout_is_out_of_reach(installed: Installed) -> None:
    found = installed.run("python", "-c", "import orchestrator; print(orchestrator.__file__)").stdout.strip()
    assert found.startswith(str(installed.prefix))


def test_up_and_run_in_a_folder_with_the_tutorials_names(installed: Installed) -> None:
    up = subprocess.Popen(
        [str(installed.prefix / "bin" / "chordal"), "up", "--workers", "1"], cwd=installed.folder, env=installed.env(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        until(lambda: len(json.loads(installed.run("chordal", "ps", "--json").stdout or "[]")) >= 3, 30, "the stack")
        ran = installed.run("chordal", "run", "goal.json", "--json")
        assert ran.returncode == 0, ran.stderr + ran.stdout
        result = json.loads(ran.stdout.splitlines()[-1])
        assert result["state"] == "DONE"
        assert result["nodes"]["sum"]["output"] == 5
        inspected = installed.run("celery", "-A", "orchestrator", "inspect", "registered", "--json")
        assert "tasks.add" in inspected.stdout
        assert "tasks.node.run" in inspected.stdout
    finally:
        down = installed.run("chordal", "down")
        out, _ = up.communicate(timeout=30)
    assert down.returncode == 0, down.stderr
    assert up.returncode == 0, out


def test_the_same_commands_under_celery(installed: Installed) -> None:
    shown = installed.run("celery", "-A", "orchestrator", "goal", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "submit" in shown.stdout
