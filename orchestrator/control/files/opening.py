"""Opening of heartbeat files and of what lies beside them: below their folder only, and never through a link."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.agents.declare.files import MISSING, Refused, normal, opened
from orchestrator.control.files.position import FILE_BYTES, FILE_LINES

OLD_MOST: Final = 10
"""Rotated files that are looked at."""
_OLD: Final = re.compile(r"[.-](\d{1,4}|\d{8}([-.T]?\d{2,6})*|\d{4}-\d\d-\d\d([-T.]?\d\d([-:.]?\d\d){0,2})?)")
"""What rotation puts behind a name, or before its suffix: ``.1``, ``-20260131``, ``.2026-01-31``."""

Stamp = tuple[int, int, int]
"""Inode, size and time of modification (ns)."""


@dataclass(frozen=True, slots=True)
class Where:
    """A file below a folder."""

    root: Path
    """The folder, without links in its path when it was registered."""
    name: str
    """The path below it."""

    @property
    def path(self) -> Path:
        """The whole path."""
        return self.root / self.name

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.path.parent


@dataclass(frozen=True, slots=True)
class Shot:
    """A file as it was at a moment."""

    stamp: Stamp
    raw: bytes

    @property
    def inode(self) -> int:
        """Which file it is."""
        return self.stamp[0]

    @property
    def modified_ns(self) -> int:
        """When it was modified last, by the file system's clock."""
        return self.stamp[2]


def stamp_of(where: Where) -> Stamp | None:
    """How a file looks from outside; None where there is none. A hint only: what is read is looked at again."""
    try:
        return _stamp(where.path.lstat())
    except OSError:
        return None


def _stamp(seen: os.stat_result) -> Stamp:
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


class FolderAway(Refused):
    """The folder of a file is not there, so that nothing can be said of the file: a volume may not be mounted."""


def read_file(where: Where) -> Shot | None:
    """What the file has; None where there is none. Raises Refused with the reason why it is not read."""
    try:
        with opened(where.root, normal(where.name)) as descriptor:
            return _read(descriptor)
    except Refused as refusal:
        if str(refusal) != MISSING:
            raise
        if not where.folder.is_dir():
            raise FolderAway("its folder is not there") from None
        return None


def _read(descriptor: int) -> Shot:
    seen = _stamp(os.fstat(descriptor))  # before reading: what comes while it is read shows at the next look
    pieces, length = [], 0
    while piece := os.read(descriptor, 65_536):
        pieces.append(piece)
        length += len(piece)
        if length > FILE_BYTES:
            raise Refused(f"it has more than {FILE_BYTES:,} bytes")
    raw = b"".join(pieces)
    if raw.count(b"\n") > FILE_LINES:
        raise Refused(f"it has more than {FILE_LINES:,} lines")
    return Shot(seen, raw)


def old_files(where: Where, modified_ns: int = 0, inode: int | None = None) -> Iterator[Shot]:
    """What rotation may have made of the file, the latest first: the one with this inode, or all modified behind that time.

    A copy of what was written after the file was read is younger than what was read, whether or not it keeps the time; what
    was put aside earlier is not, though it may begin with the same lines. What cannot be read is left out.
    """
    name = where.path.name
    try:
        with os.scandir(where.folder) as entries:
            found = [one.name for one in entries if _is_old(name, one.name) and one.is_file(follow_symlinks=False)]
    except OSError:
        return
    below = where.name.removesuffix(name)
    places = [Where(where.root, below + one) for one in found]
    stamps = {
        place: stamp
        for place in places
        if (stamp := stamp_of(place)) and (stamp[0] == inode if inode is not None else stamp[2] > modified_ns)
    }
    for place in sorted(stamps, key=lambda place: -stamps[place][2])[:OLD_MOST]:
        with suppress(Refused):
            shot = read_file(place)
            if shot is not None:
                yield shot


def _is_old(name: str, other: str) -> bool:
    stem, dot, suffix = name.rpartition(".")
    if other.startswith(name) and _OLD.fullmatch(other[len(name) :]):
        return True
    inner = other.removeprefix(stem).removesuffix(dot + suffix) if stem else ""
    return bool(inner and other == stem + inner + dot + suffix and _OLD.fullmatch(inner))


@contextmanager
def folder_of(where: Where) -> Iterator[int]:
    """A descriptor of the folder that the file lies in. Raises OSError, also where a link is in the way."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    current = os.open(where.root, flags)
    try:
        for part in normal(where.name).split("/")[:-1]:
            before, current = current, os.open(part, flags | os.O_NOFOLLOW, dir_fd=current)
            os.close(before)
        yield current
    finally:
        os.close(current)


def is_plain(descriptor: int) -> bool:
    """Whether it is a regular file that has no second name, which may lie elsewhere."""
    seen = os.fstat(descriptor)
    return stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1
