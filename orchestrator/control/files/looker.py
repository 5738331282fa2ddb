"""Which of many files must be read now: those that changed, and those that had more to do."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from orchestrator.agents.declare.files import Refused
from orchestrator.control.files.opening import Shot, Stamp, read_file, stamp_of
from orchestrator.control.files.reader import STILL_SECONDS, Read, Reader
from orchestrator.control.files.registry import Registered
from orchestrator.store.connection import is_away

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How long the reading of one file goes on before the others have their turn."""
_NEVER: Final = math.inf
_UNSEEN: Final = (-1, -1, -1)
_FAULT_SECONDS: Final = 30.0
COARSE_SECONDS: Final = 0.1
"""Two changes may have the same time of modification, where the file system's clock is coarse."""


@dataclass(slots=True)
class _Known:
    """What was seen of a file."""

    epoch: str
    reader: Reader
    stamp: Stamp | None = _UNSEEN
    since: float = 0.0
    """When it was first seen like this."""
    due: float = 0.0
    """When to read it even if it does not change."""
    content: bytes = b""
    """Hash of what was read to its end."""


class Looker:
    """Looks at files. For one thread."""

    def __init__(self, reader: Callable[[Registered], Reader]) -> None:
        self._reader = reader
        self._known: dict[str, _Known] = {}

    def look(self, files: Iterable[Registered]) -> tuple[int, float]:
        """Read what has changed: (directives that were carried out, seconds until there is more to do, else infinite).

        Raises what the connection raises when Redis is away. A file that cannot be handled keeps no other from being read.
        """
        files = list(files)
        self._known = {file.key: known for file in files if (known := self._known.get(file.key))}
        done = 0
        for file in files:
            known = self._known.get(file.key)
            if known is None or known.epoch != file.epoch:
                known = self._known[file.key] = _Known(file.epoch, self._reader(file))
            done += self._one(file, known)
        soonest = min((known.due for known in self._known.values()), default=_NEVER)
        return done, max(0.0, soonest - time.monotonic())

    def _one(self, file: Registered, known: _Known) -> int:
        now, stamp = time.monotonic(), stamp_of(file.where)
        if stamp != known.stamp:
            known.stamp, known.since, known.due = stamp, now, now
        if now < known.due:
            return 0
        try:
            read = self._read(file, known, still=now - known.since >= STILL_SECONDS)
        except Exception as error:
            if is_away(error):
                raise  # none of the others can be read either
            log.exception("the heartbeat file %s could not be read; again in %g s", file.where.path, _FAULT_SECONDS)
            read = Read(again_seconds=_FAULT_SECONDS)
        known.due = _NEVER if read.again_seconds is None else time.monotonic() + read.again_seconds
        return read.done

    def _read(self, file: Registered, known: _Known, still: bool) -> Read:
        shot: Shot | Refused | None
        try:
            shot = read_file(file.where)
        except Refused as refusal:
            shot = refusal
        content = _hash(shot)
        if content == known.content:
            return Read()
        read = known.reader.read(known.stamp if still else _UNSEEN, LOOK_SECONDS)
        if read.again_seconds is None:
            known.content = content
            if isinstance(shot, Shot) and abs(time.time() - shot.stamp[2] / 1e9) < COARSE_SECONDS:
                return Read(read.done, COARSE_SECONDS)
        return read


def _hash(shot: Shot | Refused | None) -> bytes:
    if isinstance(shot, Shot):
        return hashlib.sha256(f"{shot.inode} ".encode() + shot.raw).digest()
    return str(shot).encode()
