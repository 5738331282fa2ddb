"""Files below one folder, opened so that nothing outside of it can be read: component by component, no links.

What a declaration names comes from a file that others may have written. So a path is taken apart, each part is opened
relative to the one before it and never followed if it is a symbolic link, and only regular files of a bounded size are
read (a FIFO would hang the reader, a device would never end).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

DOCUMENT_BYTES: Final = 1_048_576
"""The largest INSTRUCTIONS file."""
FILE_BYTES: Final = 262_144
"""The largest file that it names."""
TOTAL_BYTES: Final = 16_777_216
"""All files of one declaration together."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Refused(Exception):
    """A file is not read; the text says why, and `line` where in it, if that is known."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.line = line


class Folder:
    """Reads files below `root` and remembers the SHA-256 of each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._texts: dict[str, str] = {}
        self._bytes = 0
        self.files: dict[str, str] = {}
        """Path below the folder -> 64 hexadecimal digits."""

    def read(self, path: str, limit: int = FILE_BYTES) -> str:
        """The text of the file at a path below the folder. Raises Refused with the reason why it is not read."""
        path = normal(path)
        if path not in self._texts:
            with opened(self._root, path) as descriptor:
                raw = _bounded(descriptor, limit)
            self.hold(path, raw)
        return self._texts[path]

    def hold(self, path: str, raw: bytes) -> None:
        """Take `raw` as what the file has. Raises Refused if it is no text, or if the files are too large together."""
        self._bytes += len(raw)
        if self._bytes > TOTAL_BYTES:
            raise Refused(f"the files of the declaration have more than {TOTAL_BYTES:,} bytes together")
        self._texts[path] = _decoded(raw)
        self.files[path] = hashlib.sha256(raw).hexdigest()

    def look(self, path: str) -> str | None:
        """Why the file at a path could not be opened, `MISSING` included; None if it could."""
        try:
            with opened(self._root, normal(path)):
                return None
        except Refused as refusal:
            return str(refusal)


MISSING: Final = "there is no such file"


@contextmanager
def opened(root: Path, path: str) -> Iterator[int]:
    """A descriptor of the file at a `normal` path below a folder. Raises Refused with the reason why it is not opened."""
    *folders, name = path.split("/")
    current = -1
    try:
        current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in folders:
            _must_be(current, part, stat.S_ISDIR, "folder")
            current = _step(current, os.open(part, _FOLDER, dir_fd=current))
        _must_be(current, name, stat.S_ISREG, "regular file")
        current = _step(current, os.open(name, _FILE, dir_fd=current))
        if not stat.S_ISREG(os.fstat(current).st_mode):
            raise Refused(f"{name!r} is no regular file")
        yield current
    except FileNotFoundError:
        raise Refused(MISSING) from None
    except OSError as error:
        raise Refused(f"it cannot be opened: {error.strerror}") from None
    finally:
        if current >= 0:
            os.close(current)


def normal(path: str) -> str:
    """The path without ``.`` and doubled slashes. Raises Refused for a path that is not below a folder by its looks."""
    if not path or len(path) > 1000 or re.search("[\0\ud800-\udfff]", path):
        raise Refused("this is no path")
    if path.startswith(("/", "~")):
        raise Refused("the path must be relative to the folder of the instructions")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused("the path leads out of its folder with '..'")
    if not parts or path.endswith("/"):
        raise Refused("this is a folder, not a file")
    return "/".join(parts)


def _step(before: int, after: int) -> int:
    os.close(before)
    return after


def _must_be(folder: int, name: str, kind: object, word: str) -> None:
    """Look before opening: opening a FIFO or a device may already have an effect."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        raise Refused(f"{name!r} is a symbolic link, which is not followed")
    if not kind(mode):  # type: ignore[operator]
        raise Refused(f"{name!r} is no {word}")


def _bounded(descriptor: int, limit: int) -> bytes:
    """The bytes of an open file; its size is found by reading, because it may grow meanwhile."""
    raw = b""
    while chunk := os.read(descriptor, 65_536):
        raw += chunk
        if len(raw) > limit:
            raise Refused(f"it has more than {limit:,} bytes")
    return raw


def _decoded(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Refused(f"line {line} is not UTF-8 text", line) from None
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise Refused(f"line {line} has a NUL character; this is no text", line)
    return text.replace("\r\n", "\n").replace("\r", "\n")
