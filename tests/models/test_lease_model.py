"""The Spin model of a lease: its properties hold, and each fails when the rule that it rests on is taken away."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

MODEL: Final = Path(__file__).with_name("lease.pml")
MISSING: Final = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
SAFE: Final = ("once", "holder", "final", "cancelled", "rising")

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian: apt install spin gcc)"
)


def build(folder: Path, *rules: str) -> Path:
    """The verifier of the model without these rules."""
    subprocess.run(["spin", "-a", *(f"-D{rule}=0" for rule in rules), str(MODEL)], cwd=folder, check=True, timeout=30)
    subprocess.run(["gcc", "-O2", "-w", "-DNFAIR=3", "-o", "pan", "pan.c"], cwd=folder, check=True, timeout=60)
    return folder / "pan"


def errors(pan: Path, claim: str) -> tuple[int, int]:
    """(violations found, states visited) for one property."""
    how = ["-a", "-f"] if claim == "ends" else []  # of a safety property the bare search is enough
    command = [str(pan), *how, "-m100000", "-N", claim]
    said = subprocess.run(command, cwd=pan.parent, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "max search depth too small" not in said, said
    found, states = re.search(r"errors: (\d+)", said), re.search(r"(\d+) states, stored", said)
    assert found, said
    assert states, said
    return int(found[1]), int(states[1])


def test_every_property_holds(tmp_path: Path) -> None:
    pan = build(tmp_path)
    found = {claim: errors(pan, claim) for claim in (*SAFE, "ends")}
    print({claim: states for claim, (_, states) in found.items()})
    assert [claim for claim, (violations, _) in found.items() if violations] == []
    assert all(states > 1000 for _, states in found.values())


@pytest.mark.parametrize(
    ("rule", "claims"),
    [
        ("FENCE", ["once", "holder", "final"]),
        ("NONCE", ["holder"]),
        ("CANCEL", ["cancelled"]),
        ("RISE", ["rising"]),
        ("REAP", ["ends"]),
    ],
)
def test_without_its_rule_a_property_fails(tmp_path: Path, rule: str, claims: list[str]) -> None:
    pan = build(tmp_path, rule)
    assert [claim for claim in claims if not errors(pan, claim)[0]] == []
