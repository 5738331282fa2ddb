"""Ruff's findings for one file, with one rule set for every tree: the tree's own configuration is not read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from audit_model import Finding, Severity

RULES: Final = "E4,E7,E9,F,B,PLE,ASYNC,S102,S301,S307,S602,S605"
TIMEOUT_SECONDS: Final = 60.0
_NOTES: Final = ("E4", "E7", "F401", "F841", "F541", "B007", "B9")
_ERRORS: Final = ("E9", "F82", "F7", "PLE")


def find_ruff() -> str | None:
    """Ruff beside this interpreter, else on the PATH."""
    beside = Path(sys.executable).with_name("ruff")
    return str(beside) if beside.is_file() else shutil.which("ruff")


def lint(text: str, path: str, ruff: str) -> list[Finding]:
    """Ruff's findings for a source text, reported under the name `path`. A ruff that fails is itself a finding.

    The text goes in by stdin: ruff reads UTF-8 alone, and the file may say that it is something else.
    """
    command = [ruff, "check", "--isolated", "--no-cache", "--exit-zero", "--quiet", "--output-format", "json"]
    command += ["--select", RULES, f"--stdin-filename={path}", "-"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
        return read_findings(json.loads(done.stdout or b"[]"), path)
    except subprocess.TimeoutExpired:
        reason = f"did not end within {TIMEOUT_SECONDS:.0f} s"
    except subprocess.CalledProcessError as error:
        reason = f"failed: {error.stderr.decode('utf-8', 'replace').strip()[:200]}"
    except (OSError, ValueError) as error:
        reason = f"failed: {error}"
    return [Finding(severity="note", rule="ruff", path=path, line=1, message=f"ruff {reason}")]


def read_findings(raw: list[Mapping[str, Any]], path: str) -> list[Finding]:
    """Ruff's JSON as findings. Syntax faults are left out: they are reported where the file is parsed."""
    return [
        Finding(
            severity=_severity(item["code"]),
            rule=item["code"],
            path=path,
            line=int(item["location"]["row"]),
            message=item["message"],
        )
        for item in raw
        if item.get("code") and item["code"] != "invalid-syntax"
    ]


def _severity(code: str) -> Severity:
    if code.startswith(_ERRORS):
        return "error"
    return "note" if code.startswith(_NOTES) else "warning"
