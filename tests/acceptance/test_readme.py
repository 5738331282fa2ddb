"""The README's Python example does what the README says, as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

from support.house import ROOT
from support.servers import Fleet

BLOCK = re.compile(r"^```python\n(.+?)^```", re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_its_comment_says(fleet: Callable[..., Fleet]) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = BLOCK.findall(readme)
    assert len(blocks) == 1
    assert len(blocks[0].splitlines()) <= 20
    expected = re.search(r"print\(.*\)  # (.+)$", blocks[0], re.MULTILINE)
    assert expected is not None

    one = fleet({"squares.py": blocks[0]}, CHORDAL_IMPORTS="squares")
    one.beat()
    one.worker()
    done = subprocess.run(
        [sys.executable, "squares.py"],
        cwd=one.folder,
        env=one.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == (expected[1], 0), done.stderr
