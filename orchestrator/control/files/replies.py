"""Answers to directives, in a file beside the one that they stand in."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import suppress
from typing import Final

from orchestrator.control.files.opening import Where, folder_of, is_plain

log = logging.getLogger(__name__)

SUFFIX: Final = ".log"
LOG_BYTES: Final = 262_144
"""A log is put aside as `<file>.log.1` before it gets larger; the one put aside before goes."""
_TAIL: Final = 65_536
_SHOWN: Final = 200
_STEERING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd]")


def shown(text: str, most: int = _SHOWN) -> str:
    """A text on one line, without anything that a terminal would obey."""
    flat = _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


class Replies:
    """The answers beside one file. Where they cannot be written, the log of the process says so once."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._name = where.path.name + SUFFIX
        self._trouble = ""

    def answer(self, at_ms: int, number: int, line: str, answer: str, mark: str = "") -> None:
        """Answer a line; `at_ms` is Redis time. An answer with a `mark` that the log has near its end is not written again."""
        place = f"line {number}: {shown(line)} -> " if number else ""
        self._write(
            f"{_clock(at_ms)} {place}{shown(answer, 2000)}{f' [{mark}]' if mark else ''}\n".encode(), mark.encode()
        )

    def _write(self, text: bytes, mark: bytes) -> None:
        try:
            with folder_of(self._where) as folder:
                self._append(folder, text, mark)
            self._trouble = ""
        except OSError as error:
            self._complain(str(error.strerror))

    def _append(self, folder: int, text: bytes, mark: bytes) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._name, flags, 0o640, dir_fd=folder)
        try:
            if not is_plain(descriptor):
                return self._complain("it is no regular file, or has a second name")
            size = os.fstat(descriptor).st_size
            if mark and mark in os.pread(descriptor, _TAIL, max(0, size - _TAIL)):
                return None
            if size + len(text) > LOG_BYTES:
                with suppress(FileNotFoundError):
                    os.rename(self._name, f"{self._name}.1", src_dir_fd=folder, dst_dir_fd=folder)
                before, descriptor = descriptor, os.open(self._name, flags, 0o640, dir_fd=folder)
                os.close(before)
            os.write(descriptor, text)  # one call, so that lines of two writers do not mix
        finally:
            os.close(descriptor)
        return None

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("answers to %s are not written beside it: %s", self._where.path, trouble)
        self._trouble = trouble


def _clock(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms / 1000)) + f".{at_ms % 1000:03d}Z"
