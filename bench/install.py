"""An environment of its own for each peer, made once and kept: `.bench/<peer>`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.processes import ROOT, BenchError
from bench.systems import System

CACHE: Final = ROOT / ".bench"
LIMIT_SECONDS: Final = 900.0
_STAMP: Final = "requirements.installed"


def interpreter(system: System) -> Path:
    """The Python that runs the system, installed first if it has to be. Raises BenchError with pip's reason."""
    if not system.requirements:
        return Path(sys.executable)
    folder = CACHE / system.name
    python, stamp = folder / "bin" / "python", folder / _STAMP
    wanted = "\n".join(system.requirements) + "\n"
    if not stamp.exists() or stamp.read_text() != wanted or not python.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        _run(system, sys.executable, "-m", "venv", str(folder))
        _run(system, str(python), "-m", "pip", "install", "--quiet", *system.requirements)
        stamp.write_text(wanted)
    return python


def _run(system: System, *command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{system.name} was not installed within {LIMIT_SECONDS:g} s") from None
    except (subprocess.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", "") or str(error)
        reasons = [line for line in said.splitlines() if "error" in line.lower()] or said.splitlines() or ["no reason"]
        raise BenchError(f"{system.name} could not be installed: {reasons[-1][:300]}") from None
