"""Two beats: one ticks, the other stands by and takes over when the first is killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from orchestrator.store.upkeep import Beat
from orchestrator.wiring import Chordal
from support.servers import Fleet, until

LOCK_SECONDS = 6.0


def who(chordal: Chordal) -> dict[bool, list[Beat]]:
    """Beats, by whether they tick."""
    beats = chordal.store.upkeep.beats()
    return {ticks: [beat for beat in beats if beat.ticks == ticks] for ticks in (True, False)}


def test_one_ticks_the_other_stands_by_and_takes_over_after_a_kill(fleet: Callable[..., Fleet]) -> None:
    one = fleet()
    chordal = one.chordal()
    first = one.beat()
    second = one.start("beat", "-l", "INFO")
    until(lambda: who(chordal)[False], 20, "the second says that it stands by")
    (leader,), (standby,) = who(chordal)[True], who(chordal)[False]
    assert leader.name.endswith(f":{first.process.pid}")
    assert standby.name.endswith(f":{second.process.pid}")
    assert {tick["beat"] for tick in chordal.store.fleet.ticks().values()} == {leader.name}
    killed = time.monotonic()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(10)
    until(lambda: standby.name in [beat.name for beat in who(chordal)[True]], 20, "the second ticks")
    assert time.monotonic() - killed < LOCK_SECONDS + 4
    until(lambda: chordal.store.fleet.ticks()["reap"]["beat"] == standby.name, 10, "its tick is recorded")
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(20) == 0
    assert standby.name not in [beat.name for beat in chordal.store.upkeep.beats()], "it says that it goes"


def test_a_beat_that_stands_by_ends_at_once_when_it_is_told_to(fleet: Callable[..., Fleet]) -> None:
    one = fleet()
    chordal = one.chordal()
    one.beat()
    second = one.start("beat", "-l", "INFO")
    until(lambda: who(chordal)[False], 20, "the second says that it stands by")
    begun = time.monotonic()
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(20) == 0
    assert time.monotonic() - begun < 5
    assert who(chordal)[False] == []
