"""Which process a pid means: numbers are used again, so a number alone must never be signalled."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path


def identity(pid: int) -> str | None:
    """A text that no later process with the same number has; None if there is no such process (or only its zombie)."""
    return _from_proc(pid) if sys.platform.startswith("linux") else _from_ps(pid)


def _from_proc(pid: int) -> str | None:
    """Boot id and start tick: the fields after the command's name, which may itself hold spaces and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _from_ps(pid: int) -> str | None:
    answer = subprocess.run(["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()
