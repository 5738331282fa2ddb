"""One log file a process: appended to, quoted when something fails, and kept from growing without end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: Bytes after which a log is moved aside, keeping one older file.
LIMIT = 32_000_000


def open_log(path: Path) -> int:
    """A descriptor to hand to a child. In append mode, so that `trim` may cut the file while it is in use."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def tail(path: Path, since: int = 0, lines: int = 12) -> str:
    """The last lines that were written after byte `since`, each indented by two blanks."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since, size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def trim(path: Path, limit: int = LIMIT) -> None:
    """Copy a long log to `<name>.1` and cut it. The writer keeps its descriptor; a line written meanwhile may go."""
    try:
        if path.stat().st_size > limit:
            shutil.copyfile(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)
    except OSError:
        return  # a full disk must not end the supervisor; the next round tries again
