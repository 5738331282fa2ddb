"""Write the report: report.md, report.html and report.json. Each file appears whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TypedDict, cast

from audit_html import page
from audit_markdown import markdown
from audit_model import Audit, count
from audit_run import RunRecord


class Written(TypedDict):
    """The output of the node `report`: where the files are, and the report in figures."""

    markdown: str
    html: str
    data: str
    modules: int
    errors: int
    warnings: int
    notes: int


def write_report(audit: Audit, run: RunRecord | None, out: Path) -> Written:
    """Write the three files into `out`, which is made; with `run` they also show the run that made them.

    Raises OSError if the folder cannot be written.
    """
    data = json.dumps(audit, indent=1)
    files = {"report.md": markdown(audit, run), "report.html": page(audit, run), "report.json": data}
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        _replace(out / name, content)
    found = audit["findings"]
    return Written(
        markdown=str(out / "report.md"),
        html=str(out / "report.html"),
        data=str(out / "report.json"),
        modules=len(audit["modules"]),
        errors=count(found, "error"),
        warnings=count(found, "warning"),
        notes=count(found, "note"),
    )


def read_audit(out: Path) -> Audit:
    """What `write_report` wrote as report.json. Raises OSError or ValueError if there is no such report."""
    return cast(Audit, json.loads((out / "report.json").read_text(encoding="utf-8")))


def _replace(path: Path, content: str) -> None:
    """Write beside and rename: a worker that dies while writing leaves the old file, and two writers do not mix."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(content)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
