"""How far a file was read, and which lines of it are new: what is decided of bytes alone.

A file that only grew is read on from the offset: every line behind it is new. Whether it only grew is told by the hash of
what lies before, not by the inode, which an editor changes with every save. A file that changed otherwise is compared
line by line with those that were read: what stands there as often as before is old, whatever moved where.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Self

FILE_BYTES: Final = 1_048_576
"""The largest file that is read."""
FILE_LINES: Final = 10_000
"""The most lines."""
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on."""

    inode: int = 0
    """The file that was read; 0: none, and whatever stands there next is new."""
    offset: int = 0
    """Bytes."""
    prefix: str = ""
    """SHA-256 of the bytes before the offset."""
    line: int = 0
    """Lines before it."""
    open: bool = False
    """The last line was read without its end: what follows it up to there belongs to it."""
    compared: bool = False
    """The file was changed otherwise than at its end: its lines are compared with those that were read."""
    away_ns: int = 0
    """When the file was away, by the clock that times of modification go by; 0 while it is there."""

    def fits(self, raw: bytes) -> bool:
        """Whether the bytes go on where reading stopped."""
        return not self.compared and len(raw) >= self.offset and digest(raw[: self.offset]) == self.prefix

    @classmethod
    def at_end(cls, raw: bytes, inode: int) -> Self:
        """Behind everything that stands there."""
        open_line = bool(raw) and not raw.endswith(b"\n")
        return cls(inode, len(raw), digest(raw), raw.count(b"\n") + open_line, open_line)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that has not been read before."""

    raw: bytes
    """Without its end."""
    number: int
    """In the file, from 1."""
    after: Position
    """Where reading goes on behind it."""
    rest: bytes | None = None
    """It is no line, but what was added to one that had been read without its end: the two together."""

    @property
    def hash(self) -> str:
        """The same for the same line."""
        return line_hash(self.raw if self.rest is None else self.rest)

    @property
    def silent(self) -> bool:
        """Whether it is empty or a comment."""
        return is_silent_line(self.raw)


def digest(raw: bytes) -> str:
    """SHA-256 of bytes; empty for none."""
    return hashlib.sha256(raw).hexdigest() if raw else ""


def trimmed(raw: bytes) -> bytes:
    """A line without what does not matter: the mark that some editors put first, and blanks around it."""
    return raw.removeprefix(_BOM).strip(b" \t\r")


def line_hash(raw: bytes) -> str:
    """A line's name among those that were read."""
    return hashlib.sha256(trimmed(raw)).hexdigest()[:16]


def is_silent_line(raw: bytes) -> bool:
    """Whether a line is empty or a comment, whatever else is wrong with it."""
    line = trimmed(raw)
    return not line or line.startswith(b"#")


def lines_of(raw: bytes) -> Counter[str]:
    """The lines of a file that are neither empty nor comments: hash to how often."""
    return Counter(line_hash(line) for line in raw.split(b"\n") if not is_silent_line(line))


def added(raw: bytes, start: Position, inode: int, whole: bool) -> Iterator[Line]:
    """The lines behind a position that `fits`. The last one counts without its end only if the file is `whole`."""
    hashed = hashlib.sha256(raw[: start.offset])
    at, number, rest = start.offset, start.line, start.open
    while at < len(raw):
        end = raw.find(b"\n", at)
        cut, ends = (end + 1, True) if end >= 0 else (len(raw), False)
        if not ends and not whole:
            return
        hashed.update(raw[at:cut])
        number += not rest
        after = Position(inode, cut, hashed.hexdigest(), number, not ends)
        joined = raw[raw.rfind(b"\n", 0, at) + 1 : cut].removesuffix(b"\n") if rest else None
        yield Line(raw[at:cut].removesuffix(b"\n"), number, after, joined)
        at, rest = cut, False


def changed(raw: bytes, start: Position, inode: int, read: Mapping[str, int]) -> Iterator[Line]:
    """The lines of a file that stand there more often than they were `read`; of equal ones the last."""
    seen = Counter[str]()
    after = replace(start, inode=inode, compared=True)
    for number, line in enumerate(raw.split(b"\n"), 1):
        if is_silent_line(line):
            continue
        name = line_hash(line)
        seen[name] += 1
        if seen[name] > read.get(name, 0):
            yield Line(line, number, after)


@dataclass(frozen=True, slots=True)
class Doing:
    """A directive that was begun: whoever finds it finishes it under the same id."""

    id: str
    text: str
    number: int
    hash: str
    after: Position


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is kept of a file between looks."""

    at: Position = Position()
    ordinal: int = 0
    """Directives that were given."""
    doing: Doing | None = None
    tokens: float = 0.0
    """Directives that may be given at once."""
    filled_ms: int = 0
    """When that was so, in Redis time."""
    modified_ns: int = 0
    """When the file was modified last, as of when it was read to its end."""
    told: str = ""
    """What was said last of the file as a whole."""
    declared: tuple[str, ...] = ()
    """Agents that a REPARSE brought."""

    def as_json(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The other way. What a later version has written beside it is left out."""
        raw = _known(cls, json.loads(text))
        doing = raw.pop("doing", None)
        if doing is not None:
            doing = Doing(**_known(Doing, {**doing, "after": Position(**_known(Position, doing["after"]))}))
        declared = tuple(raw.pop("declared", ()))
        return cls(at=Position(**_known(Position, raw.pop("at", {}))), doing=doing, declared=declared, **raw)

    def refilled(self, now_ms: int, a_minute: int) -> Cursor:
        """With the directives that time has brought since."""
        brought = max(0, now_ms - self.filled_ms) * a_minute / 60_000
        return replace(self, tokens=min(float(a_minute), self.tokens + brought), filled_ms=now_ms)


def _known(cls: type[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(cls)}
    return {name: value for name, value in raw.items() if name in names}
