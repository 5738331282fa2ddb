"""One supervisor a data directory: a kernel lock that ends with the process that holds it, however it ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.embedded.errors import DirectoryBusy, DirectoryUnusable

#: `holder` takes a shared lock for some microseconds; whoever wants the real one tries this long (seconds).
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a data directory. Only the lock is certain; the text may not be written yet."""

    pid: int | None = None
    since: float | None = None
    command: str | None = None


class DirectoryLock:
    """The exclusive right to run a stack in a data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, command: str, pid: int, since: float) -> None:
        """Take the lock and write down who has it. Raises DirectoryBusy, DirectoryUnusable."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryUnusable(self._path.parent, error) from error
        try:
            self._take(fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(asdict(Holder(pid, since, command))).encode(), 0)
        except OSError as error:
            os.close(fd)
            raise DirectoryUnusable(self._path.parent, error) from error
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _take(self, fd: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not _try_lock(fd, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                who = _read(fd)
                raise DirectoryBusy(self._path.parent, who.pid, who.since, who.command)
            time.sleep(0.02)

    def release(self) -> None:
        """Give it up. The file stays: removing it would let two processes lock two files of one name."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def holder(path: Path) -> Holder | None:
    """Who holds the lock now, or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _try_lock(fd, fcntl.LOCK_SH) else _read(fd)
    finally:
        os.close(fd)


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _read(fd: int) -> Holder:
    try:
        return Holder(**json.loads(os.pread(fd, 4096, 0)))
    except (ValueError, TypeError):
        return Holder()
