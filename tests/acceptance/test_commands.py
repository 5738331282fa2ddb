"""Each command, through each door, on a real stack: what is seen of it, its events, its line in the audit trail.

Then each is given a second time, and once more after everything was stopped and started again: nobody acts twice, with two
workers, two watchers of heartbeat files and two beats. The table of docs/how-to/commands.md is what is seen here; with
WRITE_PAGES=1 in the environment it is written.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pytest

from orchestrator.cli.answers import SENTENCES
from orchestrator.domain.command import Door
from support.doors import FILES, Stack
from support.house import ROOT
from support.invariants import broken
from support.scenes import SCENES, Scene, Seen
from support.servers import Fleet, Server, until

PAGE: Final = ROOT / "docs/how-to/commands.md"
TABLE: Final = re.compile(r"(<!-- table -->\n).*?(?=<!-- end of the table -->)", re.DOTALL)
HEAD: Final = ("heartbeat file", "command line", "what is seen then", "events", "in the audit trail")
Give = Callable[[Scene, str, str], dict[str, Any]]
"""Give a scene's command to a goal under an id; the answer."""


def stands(seen: Seen, scene: Scene) -> bool:
    return all(seen.state(node) == state for node, state in scene.plot.ready.items())


def prepare(stack: Stack) -> dict[Scene, Seen]:
    """A goal at work for each scene."""
    found = {}
    for scene in SCENES:
        goal = f"{stack.door}-{scene.title}"
        stack.chordal.submit(scene.plot.document(goal))
        stack.chordal.store.agents.remember(f"o-{goal}", "writer", '{"task": "before"}', 9)
        found[scene] = Seen(stack.chordal, goal)
    for scene, seen in found.items():
        until(lambda scene=scene, seen=seen: stands(seen, scene), 30, f"{seen.goal} at work")  # type: ignore[misc]
        for payload in scene.before:
            stack.also(payload, seen.goal)
    return found


def events_of(seen: Seen, after: str, id: str) -> list[str]:
    """What the command wrote into the goal's stream, and what became of the goal then."""
    events = list(seen.chordal.events(seen.goal, after=after, limit=10_000))
    marks = [at for at, event in enumerate(events) if event.type == "command.applied" and event.data["command"] == id]
    if not marks:
        return []
    later = ("goal.done", "goal.failed", "goal.cancelled", "node.stopped")
    return [event.type for at, event in enumerate(events) if at <= marks[0] or event.type in later]


def applied(seen: Seen) -> list[tuple[str, str]]:
    """Every command that was carried out on the goal, and at which receiver."""
    events = seen.chordal.events(seen.goal, limit=10_000)
    return [(event.data["command"], event.node) for event in events if event.type == "command.applied"]


def last_id(seen: Seen) -> str:
    return next(reversed([event.id for event in seen.chordal.events(seen.goal, limit=10_000)]), "0")


MORE: Final = (Door.PYTHON, Door.HTTP)
"""Doors that lead straight to the service; the others lead through more."""


@pytest.mark.parametrize("door", [pytest.param(one, marks=pytest.mark.slow if one in MORE else ()) for one in Door])
def test_each_command_does_what_it_says_once(
    door: Door, fleet: Callable[..., Fleet], redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(fleet(FILES, CHORDAL_IMPORTS="work"), door)
    monkeypatch.chdir(stack.fleet.folder)
    stack.start()
    give: Give = getattr(stack, door.value)
    goals = prepare(stack)
    (stack.fleet.folder / "writer.md").write_text("Be long.\n")
    ids, rows, before = {}, [], {scene: last_id(seen) for scene, seen in goals.items()}
    write_lines(stack, goals)
    for scene, seen in goals.items():
        answer = give(scene, seen.goal, f"{door}.{scene.title}")
        assert answer["code"] == 200, (scene, answer)
        assert answer["outcome"] in SENTENCES
        ids[scene] = answer["id"]
        for payload in scene.after:
            stack.also(payload, seen.goal)
        until(lambda scene=scene, seen=seen: scene.look(seen), 30, f"{scene.verb} on {seen.goal}")  # type: ignore[misc]
        rows.append(row(scene, events_of(seen, before[scene], answer["id"]), stack.audited(seen.goal, scene.verb)))
    shown(rows)
    for seen in goals.values():
        (stack.fleet.folder / f"{seen.goal}.go").touch()  # whoever is busy there may end
    once = {scene: (applied(seen), stack.done(seen.goal)) for scene, seen in goals.items()}
    write_lines(stack, goals)
    for scene, seen in goals.items():
        again = give(scene, seen.goal, f"{door}.{scene.title}")
        assert (again["id"], again["code"]) == (ids[scene], 200), (scene, again)
        assert again.get("repeated", True), again
    stack.fleet.stop()
    redis_server.stop()
    redis_server.start()
    stack.start()
    write_lines(stack, goals)
    for scene, seen in goals.items():
        give(scene, seen.goal, f"{door}.{scene.title}")
    heard_all(stack)
    for scene, seen in goals.items():
        assert stack.done(seen.goal) == once[scene][1], f"{scene.verb} was carried out again"
        assert applied(Seen(stack.chordal, seen.goal)) == once[scene][0], f"{scene.verb} was carried out again"
        assert broken(stack.chordal.store, seen.goal) == []


def write_lines(stack: Stack, goals: Mapping[Scene, Seen]) -> None:
    """Through the door of files all commands come in at once."""
    if stack.door is Door.HEARTBEAT:
        for scene, seen in goals.items():
            stack.write(scene, seen.goal)


def heard_all(stack: Stack) -> None:
    """Wait until the watchers have come to the end of every file: whatever could still act has had its time."""
    for goal in sorted(stack.written):
        with (stack.fleet.folder / f"{goal}.hb").open("a") as out:
            out.write("That was all.\n")
    for goal in sorted(stack.written):
        replies = stack.fleet.folder / f"{goal}.hb.log"
        until(lambda replies=replies: "no directive" in replies.read_text(), 20, str(replies))  # type: ignore[misc]


def row(scene: Scene, events: Sequence[str], entry: Mapping[str, str]) -> tuple[str, ...]:
    words = shlex.join(scene.argv("g1"))
    told = ", ".join(f"`{one}`" for one in dict.fromkeys(events)) or "none in the goal's stream"
    return f"`{scene.line}`", f"`chordal {words}`", scene.seen, told, f"`{entry['command']}` {entry['outcome']}"


def shown(rows: Sequence[Sequence[str]]) -> None:
    """The page shows what was seen; every door does the same."""
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in (HEAD, *rows)]
    lines.insert(1, f"|{'---|' * len(HEAD)}")
    text = PAGE.read_text("utf-8")
    wanted = TABLE.sub(lambda found: found[1] + "\n".join(lines) + "\n", text)
    if os.environ.get("WRITE_PAGES"):
        PAGE.write_text(wanted, "utf-8")
    assert PAGE.read_text("utf-8") == wanted, "set WRITE_PAGES=1 to write the table"
