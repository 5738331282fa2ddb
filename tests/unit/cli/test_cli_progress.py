"""The tally follows the events; the views draw it; following ends when the goal does, or when the user lets go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest
from rich.console import Console

from orchestrator.cli import follow
from orchestrator.cli.follow import Follower, Parting
from orchestrator.cli.tally import Tally
from orchestrator.cli.views import JsonView, PlainView, frame, make_view
from orchestrator.domain.errors import GoalNotFound, RedisNotReachable
from orchestrator.domain.events import Event
from orchestrator.domain.states import GoalState, NodeState
from support.door import Door, make_event, make_status

N = NodeState


def tally_of(*events: Event, nodes: Sequence[str] = "abc") -> Tally:
    """A goal with these nodes after these events."""
    tally = Tally("g1")
    tally.add((name, "nodes", "") for name in nodes)
    for event in events:
        tally.apply(event)
    return tally


def test_events_move_nodes_and_counts() -> None:
    tally = tally_of(
        make_event(1, "goal.started"),
        make_event(2, "node.claimed", "a"),
        make_event(3, "node.done", "a"),
        make_event(4, "node.claimed", "b"),
        make_event(5, "node.waiting", "c", reason="approval"),
    )
    assert tally.counts == {N.DONE: 1, N.RUNNING: 1, N.WAITING: 1}
    assert list(tally.running) == ["b"]
    assert (tally.ended, tally.over) == (1, False)
    assert tally.rows["c"].remark == "approval"


def test_seeing_the_events_again_from_the_beginning_ends_in_the_same_place() -> None:
    events = [
        make_event(1, "node.claimed", "a"),
        make_event(2, "node.failed", "a", error="no"),
        make_event(3, "goal.failed", reason="a failed"),
        make_event(4, "goal.retried"),
        make_event(5, "node.claimed", "a"),
        make_event(6, "node.done", "a"),
        make_event(7, "goal.done"),
    ]
    once, twice = tally_of(*events), tally_of(*events, *events)
    assert once.rows == twice.rows
    assert twice.state is GoalState.DONE
    assert twice.counts == once.counts


def test_items_of_a_map_get_a_line_of_their_own() -> None:
    tally = tally_of(make_event(1, "node.claimed", "files.0"), make_event(2, "node.claimed", "files.1"))
    assert tally.roles["files"] == {N.RUNNING: 2}
    assert len(tally.rows) == 5


def test_a_changed_dag_asks_for_the_status_and_takes_it_over() -> None:
    tally = tally_of(make_event(1, "node.expanded", "a", items=2))
    was_stale = tally.stale
    tally.refresh(make_status(nodes={"a": N.WAITING, "a.0": N.READY, "a.1": N.RUNNING}))
    assert (was_stale, tally.stale) == (True, False)
    assert tally.counts[N.READY] == 1
    assert list(tally.running) == ["a.1"]


def test_time_left_is_not_guessed_from_too_little() -> None:
    names = [f"n{index}" for index in range(20)]
    done = [make_event(index, "node.done", name) for index, name in enumerate(names)]
    assert tally_of(*done[:4], nodes=names).eta_seconds(10.0) is None
    assert tally_of(*done[:5], nodes=names).eta_seconds(10.0) == 30.0
    assert tally_of(*done, nodes=names).eta_seconds(10.0) is None


def test_the_live_display_neutralises_what_comes_from_a_goal() -> None:
    tally = Tally("g1", "\x1b[2J[bold]title")
    tally.add([("a", "role[red]", "\x07work\n")])
    tally.apply(make_event(1, "node.claimed", "a"))
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        console.print(frame(tally, 65.0))
    text = capture.get()
    assert "\\x1b[2J[bold]title" in text
    assert "role[red]" in text
    assert "\\x07work\\n" in text
    assert "0/1 nodes, 1 min 05 s" in text
    assert not set(text) & {"\x1b", "\x07"}


def test_the_live_display_keeps_its_height(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "20")
    names = [f"n{index}" for index in range(5000)]
    tally = tally_of(*(make_event(1, "node.claimed", name) for name in names), nodes=names)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(frame(tally, 1.0))
    assert len(capture.get().splitlines()) <= 20
    assert "more running" in capture.get()


def test_plain_lines_come_when_something_changed(capsys: pytest.CaptureFixture[str]) -> None:
    view, tally = PlainView(), tally_of()
    for event in (make_event(1, "node.claimed", "a"), make_event(2, "node.failed", "a", error="no\x1b\nway")):
        tally.apply(event)
        view.draw(tally, [event], 1.0)
    view.draw(tally, [], 1.1)
    end = make_event(3, "goal.failed")
    tally.apply(end)
    view.draw(tally, [end], 2.0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [
        "g1 RUNNING: 2 BLOCKED, 1 RUNNING",
        "a FAILED: no\\x1b\\nway",
        "g1 FAILED: 2 BLOCKED, 1 FAILED",
    ]


def test_json_lines_are_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    event = make_event(1, "node.claimed", "a")
    JsonView().draw(tally_of(event), [event], 1.0)
    assert json.loads(capsys.readouterr().err) == event.as_json()


class Recorder:
    """A view that keeps what it is given."""

    def __init__(self) -> None:
        self.seen: list[Event] = []
        self.notes: list[str] = []
        self.closed = False

    def draw(self, _tally: Tally, events: Sequence[Event], _elapsed_seconds: float) -> None:
        self.seen.extend(events)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        self.closed = True


def test_following_passes_an_earlier_end_and_stops_at_the_last(door: Door) -> None:
    kinds = ["goal.started", "goal.failed", "goal.retried", *["node.fenced"] * 2000, "goal.done"]
    door.pages = [make_event(number, kind) for number, kind in enumerate(kinds, 1)]
    view = Recorder()
    assert Follower(cast(Any, door), Tally("g1"), view).run() is Parting.OVER
    assert [event.type for event in view.seen] == kinds
    assert view.closed


def test_an_end_without_an_event_is_noticed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "IDLE_SECONDS", 0.0)
    door.statuses["g1"] = make_status(state=GoalState.DONE)
    assert Follower(cast(Any, door), Tally("g1"), Recorder()).run() is Parting.OVER


def test_a_stale_tally_is_refreshed_from_the_status(door: Door) -> None:
    door.statuses["g1"] = make_status(state=GoalState.DONE, a=N.DONE)
    door.pages = [make_event(1, "node.expanded", "a", items=2)]
    tally = Tally("g1")
    follower = Follower(cast(Any, door), tally, Recorder())
    follower._checked -= 2.0
    assert follower.run() is Parting.OVER
    assert tally.counts == {N.DONE: 1}


def test_following_ends_when_the_time_is_up(door: Door) -> None:
    door.pages = [make_event(1, "goal.started")]
    assert Follower(cast(Any, door), Tally("g1"), Recorder(), timeout_seconds=0.0).run() is Parting.TIMEOUT


def test_ctrl_c_lets_go(door: Door) -> None:
    door.raises = KeyboardInterrupt()
    view = Recorder()
    assert Follower(cast(Any, door), Tally("g1"), view).run() is Parting.CTRL_C
    assert view.closed


def test_following_waits_while_redis_is_away(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.001)
    door.raises, door.pages = RedisNotReachable("away"), [make_event(1, "goal.done")]
    view = Recorder()

    def note(text: str) -> None:
        view.notes.append(text)
        if len(view.notes) == 3:
            door.raises = None

    monkeypatch.setattr(view, "note", note)
    assert Follower(cast(Any, door), Tally("g1"), view).run() is Parting.OVER
    assert "Redis does not answer" in view.notes[0]


def test_what_is_looked_at_each_second_may_fail_while_redis_is_away(door: Door) -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        follower._ticked -= 2.0
        if len(looks) == 1:
            raise RedisNotReachable("away")
        if len(looks) == 3:
            door.pages = [make_event(1, "goal.done")]

    follower = Follower(cast(Any, door), Tally("g1"), Recorder(), each_second=look)
    follower._ticked -= 2.0
    assert follower.run() is Parting.OVER
    assert looks[:3] == [0, 1, 2]


@pytest.mark.parametrize("form", ["plain", "json", "tty"])
def test_what_is_said_once_is_never_left_out(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    view = make_view(form)
    for text in ("first\x1b[2J", "second"):
        view.note("Redis does not answer")
        view.say(text)
    view.close()
    said = capsys.readouterr().err
    assert "first" in said
    assert "second" in said
    assert "\x1b[2J" not in said


def test_following_gives_up_when_redis_will_not_come_back(door: Door) -> None:
    door.raises = RedisNotReachable("away")
    with pytest.raises(RedisNotReachable):
        Follower(cast(Any, door), Tally("g1"), Recorder(), give_up=lambda: True).run()


def test_a_goal_that_was_removed_meanwhile_is_noticed(door: Door) -> None:
    door.raises = GoalNotFound("gone")
    with pytest.raises(GoalNotFound):
        Follower(cast(Any, door), Tally("g1"), Recorder()).run()
