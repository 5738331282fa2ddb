"""What is written into a heartbeat file, and what is answered, as it happens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from orchestrator.agents.declare.files import Refused
from orchestrator.cli import output
from orchestrator.control.files.opening import Stamp, Where, read_file, stamp_of
from orchestrator.control.files.position import Position, added, changed, lines_of
from orchestrator.control.files.replies import SUFFIX

if TYPE_CHECKING:
    from orchestrator.control.files.registry import Registered
    from orchestrator.wiring import Chordal

PAUSE_SECONDS: Final = 0.1
REGISTER_SECONDS: Final = 2.0
"""How often it is looked whether the file is still read."""


class Tail:
    """The lines that a file gets."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._at = Position()
        self._seen: Counter[str] = Counter()
        self._stamp: Stamp | None = None
        for _ in self.new():
            pass

    def new(self) -> Iterator[str]:
        """Those since the last time; the last one once it has its end."""
        stamp = stamp_of(self._where)
        if stamp is not None and stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            shot = read_file(self._where)
        except Refused:
            return
        if shot is None:
            self._at, self._seen = Position(), Counter()
            return
        if self._at.fits(shot.raw):
            for line in added(shot.raw, self._at, shot.inode, whole=False):
                self._at = line.after
                yield line.raw.decode("utf-8", "replace")
        else:
            for line in changed(shot.raw, self._at, shot.inode, self._seen):
                yield line.raw.decode("utf-8", "replace")
            whole = shot.raw[: shot.raw.rfind(b"\n") + 1]
            self._at = Position.at_end(whole, shot.inode)
        self._seen = lines_of(shot.raw[: self._at.offset])


class Following:
    """A file and its answers from now on."""

    def __init__(self, door: Chordal, file: Registered) -> None:
        self._door, self._file = door, file
        where = file.where
        self._lines, self._answers = Tail(where), Tail(replace(where, name=where.name + SUFFIX))

    def run(self, as_json: bool) -> None:
        """Show both until Ctrl-C, or until the file is read no more."""
        looked = time.monotonic()
        while True:
            for line in self._lines.new():
                _show("line", line, as_json)
            for answer in self._answers.new():
                _show("answer", answer, as_json)
            if time.monotonic() - looked >= REGISTER_SECONDS:
                looked = time.monotonic()
                if not self._is_read():
                    return click.echo("the file is read no more", err=True)
            time.sleep(PAUSE_SECONDS)

    def _is_read(self) -> bool:
        with self._door.reachable():
            return any(one.key == self._file.key for one in self._door.files.registry.all())


def _show(what: str, text: str, as_json: bool) -> None:
    if as_json:
        output.json_line({what: text})
    else:
        click.echo(f"{'>' if what == 'line' else '<'} {output.one_line(text)}")
