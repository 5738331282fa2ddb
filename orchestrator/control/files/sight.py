"""What a look at a file shows: lines that are new, and where reading goes on behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.control.files.opening import Shot
from orchestrator.control.files.position import Line, Position, added, changed, lines_of


@dataclass(frozen=True, slots=True)
class Sight:
    """What is to be done with a file now."""

    lines: Iterable[Line] = ()
    """In their order."""
    then: Position | None = None
    """Where reading goes on once all were read, where that is elsewhere than behind the last one."""
    anew: Mapping[str, int] | None = None
    """The lines that count as read from then on, in place of those before."""
    again: bool = False
    """There is more to see then."""
    wait: bool = field(default=False)
    """Somebody may still be writing: look again once nothing has moved for a while."""


Old = Callable[[int | None], Iterator[Shot]]
"""The files that rotation may have made of it; only the one with this inode, if it is given."""
NOTHING = Sight()
LATER = Sight(wait=True)


def see(
    at: Position, shot: Shot | None, still: bool, old: Old, read: Callable[[], Mapping[str, int]], away_ns: int = 0
) -> Sight:  # fmt: skip
    """What is new in a file that was read up to `at`. `shot` is what stands there, None where nothing does.

    `still`: it has not changed for a while. A file that only grew is read at once, every other change only then: what a
    program writes anew is empty or half there for a moment. `old` are files that rotation may have made of it, `read` the
    lines that were read; both cost a look elsewhere and are asked only where it matters. `away_ns` is a time at which a file
    that is not there was away for certain; 0 where that another machine has it cannot be excluded.
    """
    if at.inode and (shot is None or shot.inode != at.inode):
        for one in old(at.inode):
            if at.compared or at.fits(one.raw):
                return Sight(_rest(one, at, read), Position(), {}, again=shot is not None)
    if shot is None:
        if not at.inode or at.away_ns or not away_ns:
            return NOTHING
        return Sight(then=replace(at, away_ns=away_ns)) if still else LATER
    if at.away_ns:
        return _returned(at, shot)
    if not at.inode or at.fits(shot.raw):
        return _grown(at, shot, still)
    if not still:
        return LATER
    return _rewritten(at, shot, old, read)


def _returned(at: Position, shot: Shot) -> Sight:
    """It is there again. What was written while it was away was made anew, all else came back: a folder, a volume, a copy."""
    if shot.modified_ns >= at.away_ns:
        return Sight(then=Position(), anew={}, again=True)
    return Sight(then=replace(at, away_ns=0), again=True)


def _grown(at: Position, shot: Shot, still: bool) -> Sight:
    lines = list(added(shot.raw, at, shot.inode, still))
    end = lines[-1].after.offset if lines else at.offset
    moved = replace(at, inode=shot.inode) if not lines and shot.inode != at.inode else None
    return Sight(lines, moved, wait=end < len(shot.raw))


def _rewritten(at: Position, shot: Shot, old: Old, read: Callable[[], Mapping[str, int]]) -> Sight:
    """It was emptied, cut, or written anew: a copy may hold what was not read of it before."""
    for one in old(None) if at.offset and not at.compared else ():
        if one.inode != shot.inode and len(one.raw) > at.offset and at.fits(one.raw):
            return Sight(added(one.raw, at, at.inode, True), again=True)
    if not shot.raw:
        return Sight(then=Position(), anew={})
    lines = changed(shot.raw, at, shot.inode, read())
    return Sight(lines, Position.at_end(shot.raw, shot.inode), lines_of(shot.raw))


def _rest(one: Shot, at: Position, read: Callable[[], Mapping[str, int]]) -> Iterator[Line]:
    """What was not read of a file before it was moved away."""
    return changed(one.raw, at, one.inode, read()) if at.compared else added(one.raw, at, one.inode, True)
