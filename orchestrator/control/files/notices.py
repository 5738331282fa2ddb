"""Waiting for changes of files: told by the system where it can, else by looking often."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

log = logging.getLogger(__name__)

STEP_MS: Final = 25
"""How often changes that the system told are collected."""
GATHER_MS: Final = 100
"""The longest that changes which follow one another are waited for."""
POLL_SECONDS: Final = 0.25
"""Between two looks, where the system tells nothing."""


class Notices:
    """Tells when something happens in folders. For one thread; it keeps one watch open."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._watch: RustNotify | None = None
        self._folders: frozenset[tuple[Path, int]] = frozenset()
        self._polls = (
            _in_greenlets()
        )  # the system is asked by a thread of its own, which a greenlet would be blocked by

    def wait(self, folders: Collection[Path], seconds: float) -> None:
        """Return when something has happened in one of the folders, after `seconds`, or when it is to stop."""
        if seconds <= 0:
            return
        self._open(folders)
        if self._watch is None:
            self._stop.wait(min(seconds, POLL_SECONDS) if folders and self._polls else seconds)
            return
        try:
            self._watch.watch(GATHER_MS, STEP_MS, max(1, int(seconds * 1000)), self._stop)
        except (OSError, RuntimeError) as error:
            self._fall_back(error)

    def _open(self, folders: Collection[Path]) -> None:
        """Watch these folders from now on; one that was made anew is another one."""
        there = frozenset((folder, inode) for folder in folders if (inode := _inode(folder)))
        if self._polls or there == self._folders:
            return
        self.close()
        self._folders = there
        if not there:
            return
        try:
            from watchfiles._rust_notify import RustNotify

            self._watch = RustNotify([str(folder) for folder, _ in there], False, False, 0, False, True)
        except (ImportError, OSError) as error:
            self._fall_back(error)

    def _fall_back(self, error: Exception) -> None:
        log.warning(
            "the system does not tell of changed files (%s); they are looked at every %g s", error, POLL_SECONDS
        )
        self.close()
        self._polls = True
        self._stop.wait(POLL_SECONDS)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._watch is not None:
            self._watch.close()
        self._watch, self._folders = None, frozenset()


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except OSError:
        return 0


def _in_greenlets() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return bool(monkey is not None and monkey.is_module_patched("threading"))
