"""A real stack, and the doors to it: how a scene's command is given through each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner

from orchestrator.cli.main import chordal as group
from orchestrator.control.files.parts import this_host
from orchestrator.control.files.registry import Registered
from orchestrator.domain.command import Door, read_command
from orchestrator.domain.verbs import Verb
from support.plots import WORK
from support.scenes import Scene
from support.servers import Fleet, until

INSTRUCTIONS: Final = "## Agents\n### planner\n- Role: planner\n- Queue: nowhere\n### writer\n- Queue: nowhere\n- Instructions: writer.md\n"
FILES: Final = {"work.py": WORK, "INSTRUCTIONS.md": INSTRUCTIONS, "writer.md": "Be brief.\n"}


@dataclass
class Stack:
    """Two workers and two beats, and the doors to them."""

    fleet: Fleet
    door: Door
    written: set[str] = field(default_factory=set)
    """Goals with a heartbeat file."""

    def start(self) -> None:
        quiet = ("--without-gossip", "--without-mingle", "-l", "INFO")
        for name in ("w1", "w2"):
            self.fleet.start("worker", "-n", f"{name}@test", "-P", "threads", "-c", "2", *quiet)
        for _ in range(2):
            self.fleet.start("beat", "-l", "INFO")
        self.chordal = self.fleet.chordal()
        until(lambda: self.chordal.live_workers() == 2, 60, "two workers")
        until(lambda: any("Acquired lock" in one.text() for one in self.fleet.procs), 60, "a beat")

    def also(self, payload: Mapping[str, Any], goal: str) -> None:
        """A command that is none of those that are looked at."""
        given = dict(payload)
        self.chordal.command(given.pop("command"), goal=goal, **given)

    def python(self, scene: Scene, goal: str, id: str) -> dict[str, Any]:
        payload = scene.command(goal, id)
        return self.chordal.command(payload.pop("command"), **payload).as_json()

    def http(self, scene: Scene, goal: str, id: str) -> dict[str, Any]:
        command = read_command(scene.command(goal, id), Door.HTTP, "service")
        return self.chordal.commands.carry_out(command).as_json()

    def celery(self, scene: Scene, goal: str, id: str) -> dict[str, Any]:
        payload = {**scene.command(goal, id), "full": True, "sender": "ann"}
        name = payload.pop("command")
        found: dict[str, Any] = self.chordal.app.send_task("tasks.control.command", [name], payload).get(timeout=20)
        return found

    def cli(self, scene: Scene, goal: str, id: str) -> dict[str, Any]:
        return self.line(*scene.argv(goal), "--id", id)

    def line(self, *words: str) -> dict[str, Any]:
        """A command line, in this process."""
        where = ("--redis-url", self.fleet.url, "--data-dir", str(self.fleet.folder / "data"), "--json")
        result = CliRunner().invoke(group, [*words, *where], prog_name="chordal")
        assert result.exit_code == 0, (words, result.output, result.exception)
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def write(self, scene: Scene, goal: str) -> None:
        """Append the scene's line to the goal's heartbeat file; where it is there, save the file anew, as editors do."""
        file = self.fleet.folder / f"{goal}.hb"
        if goal in self.written:
            again = file.with_suffix(".tmp")
            again.write_text(file.read_text())
            again.replace(file)
            return
        file.write_text("# what was here before is not read\nCANCEL\n")
        self.register(file, goal, scene)
        with file.open("a") as out:
            out.write(f"{scene.line}\n")
        self.written.add(goal)

    def heartbeat(self, scene: Scene, goal: str, id: str) -> dict[str, Any]:  # noqa: ARG002 (the file gives it one)
        """What became of the line that was written."""
        entry = until(lambda: self.audited(goal, scene.verb), 20, f"{scene.line} for {goal}")
        return {"id": entry["command_id"], "outcome": entry["outcome"], "code": int(entry["code"])}

    def register(self, file: Path, goal: str, scene: Scene) -> None:
        """By the command, but where it comes with declared agents: those that `chordal run` registers."""
        if scene.verb is not Verb.REPARSE:
            self.line("heartbeat", str(file), "--goal", goal)
            return
        declared = str(file.parent / "INSTRUCTIONS.md")
        self.chordal.files.registry.register(
            Registered(
                str(file.parent), file.name, this_host(), goal, instructions=declared, declared=("planner", "writer")
            )
        )

    def done(self, goal: str) -> list[str]:
        """The commands that the trail says were carried out through this door."""
        return [
            one.fields["command"] for one in self.chordal.store.control.audit(most=100_000)
            if one.fields["door"] == self.door and one.fields["target"].endswith(f"goal {goal}")
            and one.fields["outcome"] != "repeated"
        ]  # fmt: skip

    def audited(self, goal: str, verb: Verb) -> dict[str, str]:
        """The first line of the trail on this command."""
        return next(
            (
                dict(one.fields) for one in self.chordal.store.control.audit(most=100_000)
                if (one.fields["command"], one.fields["door"]) == (verb, self.door)
                and one.fields["target"].endswith(f"goal {goal}")
            ),
            {},
        )  # fmt: skip
