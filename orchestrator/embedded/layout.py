"""Where things are in the data directory, and where the server's socket can be.

stack.lock   flock of the supervisor; its text says who holds it
stack.json   what runs (records.py)
valkey/      append-only file of the embedded server
valkey.sock  its socket, where the path allows
logs/        one file a process
run/         one empty file for each worker that is ready
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator.embedded.errors import DirectoryUnusable

#: Every reader of the URL (redis-py, kombu, Celery's result backend, Flower) takes these characters as they are;
#: they disagree about percent-escapes.
_PLAIN = re.compile(r"[A-Za-z0-9._/-]+")
_SOCKET_NAME = "valkey.sock"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one data directory."""

    root: Path

    @classmethod
    def of(cls, data_dir: Path) -> Layout:
        """The layout of `data_dir`; `~` and relative paths are resolved."""
        return cls(Path(os.path.abspath(data_dir.expanduser())))  # noqa: PTH100 (resolve() would follow symlinks)

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.root / "stack.lock"

    @property
    def state(self) -> Path:
        """What runs."""
        return self.root / "stack.json"

    @property
    def valkey(self) -> Path:
        """The embedded server's working directory."""
        return self.root / "valkey"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Readiness marks."""
        return self.root / "run"

    def log(self, name: str) -> Path:
        """The log file of the process `name`."""
        return self.logs / f"{name}.log"

    def ready_mark(self, name: str) -> Path:
        """The file that the process `name` makes when it is ready."""
        return self.run / f"{name}.ready"

    def prepare(self) -> None:
        """Make the folders, for this user alone. Raises DirectoryUnusable."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.valkey, self.logs, self.run):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DirectoryUnusable(self.root, error) from error

    def socket(self) -> Path:
        """Where the server's unix socket goes: in the data directory, else in a short private folder below /tmp.

        A socket's path is at most 107 bytes (103 on macOS), and some shared file systems have no sockets; so it is
        tried, not computed. The answer is the same at every start. Raises DirectoryUnusable.
        """
        own = self.root / _SOCKET_NAME
        if _PLAIN.fullmatch(str(own)) and _can_bind(own.with_name("valkey.test")):
            return own
        folder = Path("/tmp") / f"chordal-{os.getuid()}"
        try:
            _private_folder(folder)
        except OSError as error:
            raise DirectoryUnusable(self.root, error) from error
        return folder / f"{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]}.sock"


def _can_bind(path: Path) -> bool:
    probe = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        probe.bind(str(path))
        path.unlink()
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _private_folder(folder: Path) -> None:
    """Make `folder`, or accept it when it is this user's alone: in /tmp anyone can be first to take a name."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(
            13, "its path does not suit a unix socket, and this folder is not ours alone", str(folder)
        )
