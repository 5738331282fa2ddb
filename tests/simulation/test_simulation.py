"""The simulation in small: seeds are clean, everything that matters came about, a run repeats, planted bugs are found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator.domain.events import EventType
from orchestrator.store.scripts import OPERATIONS
from simulation import plants
from simulation.faults import MESSAGE, OPERATION
from simulation.plants import PLANTS, planted

TESTS: Final = Path(__file__).resolve().parents[1]
MODELS: Final = {"put", "use", "node.chunk", "node.reassigned", "node.stuck"}
"""Of calls of models, which simulated goals do not make; and what few seeds come to: a queue that nobody serves."""
EVENTS: Final = {kind.value for kind in EventType} - MODELS
RULE: Final = {
    "fence": "I1", "token": "I5", "repeat": "I1", "double-count": "I3", "lost-ready": "I4", "cancel": "I8",
    "pause": "[TI][62]", "lane": "I6", "ahead": "T6",
    "order": "(I9|T10)", "held": "I8", "stop": "I[145]", "reopen": "I2:",
}  # fmt: skip
"""The rule that each planted bug breaks; a claim that looks at no state of the goal is also one after its end."""


def simulate(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation in a process of its own, as `make soak` does."""
    environment = os.environ | {"PYTHONPATH": str(TESTS), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-P", "-m", "simulation", *argv]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=110)


def report(*argv: str) -> dict[str, Any]:
    """What many seeds came to."""
    run = simulate("--json", *argv)
    assert run.stdout, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def first_failure(plant: str, seeds: int) -> dict[str, Any]:
    """The first seed that breaks the rule of a planted bug."""
    failed = report("--plant", plant, "--seeds", str(seeds), "--stop", "1")["failed"]
    assert failed, f"{seeds} seeds did not find the bug"
    one: dict[str, Any] = failed[0]
    return one


def test_seeds_are_clean_and_nothing_is_left_out() -> None:
    found = report("--seeds", "150", "--stop", "1")
    assert found["failed"] == []
    counts = found["counts"]
    missing = {
        "operation": set(OPERATIONS) - MODELS - set(counts["operation"]),
        "fault": {*OPERATION, *MESSAGE} - set(counts["fault"]),
        "verdict": {"accepted", "repeated", "fenced"} - set(counts["verdict"]),
        "event": EVENTS - set(counts["event"]),
        "goal": {"DONE", "FAILED", "CANCELLED"} - set(counts["goal"]),
    }
    assert missing == {what: set() for what in missing}, "the simulation never comes to these"


def test_a_seed_repeats_itself() -> None:
    """On another server, in another process, alone or behind others: the same operations, order and replies."""
    among = report("--seeds", "20", "--processes", "1")["traces"]
    assert len(set(among.values())) == 20
    for seed in ("7", "20"):
        assert re.findall(r"trace (\w+),", simulate("--seed", seed).stdout) == [among[seed]]


def test_a_commit_without_its_fence_is_found_and_found_again() -> None:
    one = first_failure("fence", 400)
    assert any("I1 " in fault for fault in one["faults"]), one
    again = simulate("--seed", str(one["seed"]), "--plant", "fence")
    assert again.returncode == 1
    assert one["faults"][0] in again.stdout
    sound = simulate("--seed", str(one["seed"]))
    assert (sound.returncode, "0 violations" in sound.stdout) == (0, True), sound.stdout


@pytest.mark.slow
@pytest.mark.parametrize("plant", sorted(set(PLANTS) - {"fence"}))
def test_a_planted_bug_is_found(plant: str) -> None:
    one = first_failure(plant, 600)
    assert any(re.search(rf"{RULE[plant]} ", fault) for fault in one["faults"]), one
    assert simulate("--seed", str(one["seed"])).returncode == 0


def test_the_replay_command_names_the_seed_and_the_bug() -> None:
    printed = simulate("--plant", "token", "--seeds", "30", "--stop", "1")
    assert printed.returncode == 1
    assert re.search(r"replay: make soak SEED=\d+ PLANT=token", printed.stdout), printed.stdout


def test_a_plant_whose_text_is_gone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = plants.Plant("nothing", ("commit",), "text that no script holds", "")
    monkeypatch.setitem(plants.PLANTS, "lost", lost)
    with pytest.raises(AssertionError, match="plant 'lost'"), planted("lost"):
        pass
