"""Reads one heartbeat file: what is new in it is carried out line by line, each once, and answered beside it.

A directive is written down before it is carried out and crossed out after its answer. Whoever comes after a reader that
died in between finishes it under the same id, so it acts once; and only one reads a file at a time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from orchestrator.agents.declare.files import Refused
from orchestrator.control.files.grammar import Ignored, decoded, read_directive
from orchestrator.control.files.opening import Shot, Stamp, old_files, read_file
from orchestrator.control.files.position import Cursor, Doing, Line
from orchestrator.control.files.registry import ANY_HOST, Registered
from orchestrator.control.files.replies import Replies
from orchestrator.control.files.sight import Sight, see
from orchestrator.domain.command import Answer, Command, Door, InvalidCommand, read_command
from orchestrator.domain.errors import ChordalError
from orchestrator.domain.verbs import Verb
from orchestrator.store.connection import is_away
from orchestrator.store.files import Taken
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

A_MINUTE: Final = 60
"""Directives of one file that are carried out in a minute, and at once where it was quiet before; the rest waits."""
LEASE_MS: Final = 15_000
BUSY_SECONDS: Final = 0.5
COARSE_SECONDS: Final = 0.02
"""What the clock of a file system may be behind."""
STILL_SECONDS: Final = 1.0
"""For so long nothing may have moved before a file that was written anew is believed, or a last line without its end."""
_PASSES: Final = 4
_LINES: Final = 200

CarryOut = Callable[[Command], Answer]
Complete = Callable[[Registered, Iterable[str], Mapping[str, object]], dict[str, Any]]
"""Adds to the payload of a REPARSE what the files of the agents say now, given the agents that were declared before.

Raises Refused with the reason why it cannot."""


@dataclass(frozen=True, slots=True)
class Read:
    """What came of a look."""

    done: int = 0
    """Directives that were carried out."""
    again_seconds: float | None = None
    """When there is more to do even if the file does not change."""


class _Lost(Exception):
    """Somebody else reads the file by now, or it is registered otherwise."""


class Reader:
    """Reads one file for as long as it is registered for the same."""

    def __init__(self, file: Registered, store: Store, carry_out: CarryOut, complete: Complete) -> None:
        self._file = file
        self._store = store
        self._carry_out = carry_out
        self._complete = complete
        self._replies = Replies(file.where)
        self._cursor = Cursor()
        self._name = secrets.token_hex(8)
        self._began = (0, 0.0)

    def read(self, stamp: Stamp | None, seconds: float) -> Read:
        """Carry out what is new, for about so long. A file that still looks like `stamp` has not changed for a while.

        Raises what the connection raises when Redis is away; then nothing is lost, and the next look goes on.
        """
        taken = self._store.files.take(self._file.key, self._file.epoch, self._name, LEASE_MS)
        if not isinstance(taken, Taken):
            return Read(again_seconds=BUSY_SECONDS if taken == "busy" else None)
        self._began = (taken.now_ms, time.monotonic())
        try:
            self._cursor = Cursor.from_json(taken.cursor).refilled(taken.now_ms, A_MINUTE)
            read = self._read(stamp, time.monotonic() + seconds)
            self._put(0)
        except _Lost:
            return Read(again_seconds=BUSY_SECONDS)
        except Exception as error:
            if not is_away(error):
                self._store.files.put(self._file.key, self._file.epoch, self._name, 0)  # another may do better
            raise
        return read

    def _read(self, stamp: Stamp | None, end: float) -> Read:
        done = 0
        if self._cursor.doing is not None:
            self._finish(self._cursor.doing)
            done += 1
        try:
            shot = read_file(self._file.where)  # now that nobody else moves the cursor
        except Refused as refusal:
            self._tell(f"the file is not read: {refusal}")
            return Read(done)
        still = stamp == (shot and shot.stamp)
        for _ in range(_PASSES):
            sight = self._see(shot, still)
            more, gave = self._through(sight, end)
            done += gave
            if more is not None:
                return Read(done, more)
            self._close(sight)
            if not sight.again:
                self._tell("")
                if sight.wait:
                    return Read(done, STILL_SECONDS)
                if shot is not None:
                    self._cursor = replace(self._cursor, modified_ns=shot.modified_ns)
                return Read(done)
        return Read(done, 0.0)

    def _see(self, shot: Shot | None, still: bool) -> Sight:
        file = self._file
        old = partial(old_files, file.where, self._cursor.modified_ns)
        # Away since before the time that it stood still for, if it is; and where others may have it, that is not said.
        away_ns = 0 if file.host == ANY_HOST else time.time_ns() - int(max(STILL_SECONDS / 2, COARSE_SECONDS) * 1e9)
        return see(self._cursor.at, shot, still, old, partial(self._store.files.lines, file.key), away_ns)

    def _through(self, sight: Sight, end: float) -> tuple[float | None, int]:
        """Take the lines: (seconds until the rest may be taken, None if there is none; how many directives)."""
        done = 0
        for count, line in enumerate(sight.lines):
            if count >= _LINES or time.monotonic() >= end:
                return 0.0, done
            if self._cursor.tokens < 1:
                self._tell(f"more than {A_MINUTE} directives in a minute; the rest waits")
                return (1 - self._cursor.tokens) * 60 / A_MINUTE, done
            done += self._take(line)
        return None, done

    def _close(self, sight: Sight) -> None:
        if sight.then is not None and sight.then != self._cursor.at:
            self._cursor = replace(self._cursor, at=sight.then)
            self._put(LEASE_MS, sight.anew or {}, anew=sight.anew is not None)

    # -- a line ------------------------------------------------------------------------------------------------------

    def _take(self, line: Line) -> bool:
        """Carry out or answer one line; whether it was a directive."""
        if line.silent:
            self._cursor = replace(self._cursor, at=line.after)  # written with the next one, or at the end
            return False
        text = decoded(line.raw)
        found = text if isinstance(text, Ignored) else self._directive(text, line)
        shown = text if isinstance(text, str) else line.raw[:200].decode("utf-8", "replace")
        if isinstance(found, Ignored):
            self._replies.answer(self._now_ms(), line.number, shown, f"ignored: {found.why}")
            self._cursor = replace(self._cursor, at=line.after)
            self._put(LEASE_MS, {line.hash: 1})
            return False
        ordinal = self._cursor.ordinal + 1
        doing = Doing(self._id(ordinal, found), found, line.number, line.hash, line.after)
        self._cursor = replace(self._cursor, doing=doing, ordinal=ordinal, tokens=self._cursor.tokens - 1)
        self._put(LEASE_MS)
        self._finish(doing)
        return True

    def _directive(self, text: str, line: Line) -> str | Ignored:
        """The text, if it is a directive."""
        if line.rest is not None:
            return Ignored("it continues a line that stood without its end for a while and was read as it was")
        found = read_directive(text, self._file.place)
        return found if isinstance(found, Ignored) else text

    def _id(self, ordinal: int, text: str) -> str:
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"file-{self._file.key}-{self._file.epoch}-{ordinal}-{name}"

    def _finish(self, doing: Doing) -> None:
        """Carry out, answer, cross out."""
        mark = doing.id.removeprefix(f"file-{self._file.key}-")
        self._replies.answer(self._now_ms(), doing.number, doing.text, self._answer(doing), mark)
        self._cursor = replace(self._cursor, doing=None, at=doing.after)
        self._put(LEASE_MS, {doing.hash: 1})

    def _answer(self, doing: Doing) -> str:
        try:
            return self._carried_out(doing)
        except InvalidCommand as error:
            return "refused: " + "; ".join(f"{fault.place}: {fault.message}" for fault in error.faults)
        except Refused as refusal:
            return f"refused: {refusal}"
        except Exception as error:
            if is_away(error):
                raise  # whoever reads on finishes it
            if isinstance(error, ChordalError):
                return f"failed: {error}"
            # A line that nobody can carry out must not keep those behind it from being read.
            log.exception("line %d of %s failed", doing.number, self._file.where.path)
            return f"failed: {type(error).__name__}; the log of process {os.getpid()} tells more"

    def _carried_out(self, doing: Doing) -> str:
        directive = read_directive(doing.text, self._file.place)
        if isinstance(directive, Ignored):
            return f"ignored: {directive.why}"
        given = {**directive.payload, "id": doing.id}
        if directive.verb is Verb.REPARSE:
            given = self._complete(self._file, self._cursor.declared, given)
            self._know(given["arguments"]["agents"])
        return sentence(self._carry_out(read_command(given, Door.HEARTBEAT, self._file.sender)))

    def _know(self, agents: Iterable[Mapping[str, Any]]) -> None:
        """Agents that are declared now are removed once they are declared no more."""
        names = {*self._cursor.declared, *(str(one["name"]) for one in agents)}
        self._cursor = replace(self._cursor, declared=tuple(sorted(names)))

    # -- the file as a whole -----------------------------------------------------------------------------------------

    def _tell(self, what: str) -> None:
        """Say something of the file as a whole, once."""
        if what == self._cursor.told:
            return
        if what:
            self._replies.answer(self._now_ms(), 0, "", what)
        self._cursor = replace(self._cursor, told=what)

    def _now_ms(self) -> int:
        """Redis time."""
        at_ms, at = self._began
        return at_ms + int((time.monotonic() - at) * 1000)

    def _put(self, lease_ms: int, lines: Mapping[str, int] | None = None, anew: bool = False) -> None:
        text = self._cursor.as_json()
        if self._store.files.put(self._file.key, self._file.epoch, self._name, lease_ms, text, lines, anew) != "put":
            raise _Lost


def sentence(answer: Answer) -> str:
    """What became of a directive, as its log tells it."""
    what = answer.outcome
    if answer.ok and answer.receivers > 1:
        what += f" ({answer.receivers:,} receivers)"
    return f"{what}: {answer.message}" if answer.message and answer.message != answer.outcome else what
