"""What an operator sees when something is wrong: commands as typed, and their output as the page shows it."""

from __future__ import annotations

import getpass
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from support.servers import Fleet

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "three-am.md"
_MAIN = "from orchestrator.cli.main import main; main()"
_BLOCK = r"(<!-- shown: {name} -->\n```console\n)(.*?)(```\n)"


@dataclass
class Night:
    """A fleet and the commands that were given."""

    fleet: Fleet
    shown: dict[str, list[str]] = field(default_factory=dict)

    def says(self, name: str, *words: str, code: int | None = None) -> str:
        """Run `chordal` with these words; the output goes into the block of the page that is called so, if any is."""
        ran = subprocess.run(
            [sys.executable, "-c", _MAIN, *words], cwd=self.fleet.folder, env=self.fleet.environment() | {"COLUMNS": "200"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert code is None or ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
        quoted = " ".join(f"'{word}'" if " " in word else word for word in words)
        if name:
            told = ran.stdout if ran.returncode == 0 else ran.stdout + ran.stderr
            self.shown.setdefault(name, []).append(f"$ chordal {quoted}\n{plain(told)}")
        return ran.stdout

    def check(self, name: str, *, keep: str = "") -> str:
        """What `doctor` says that is not well, of the checks whose names match `keep`."""
        found = self.says(name, "doctor", "--quiet")
        self.shown[name][-1] = "$ chordal doctor --quiet\n" + plain(_only(found, keep))
        return found


def _only(text: str, keep: str) -> str:
    """The checks whose lines match, with their remedies."""
    kept, on = [], False
    for line in text.splitlines():
        if not line.startswith("        "):
            on = re.search(keep, line) is not None
        if on:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)


def plain(text: str) -> str:
    """Without what tells one machine from another."""
    text = text.replace(f"{getpass.getuser()}@{socket.gethostname()}", "ann@desk").replace(
        socket.gethostname(), "node1"
    )
    return re.sub(r"/tmp/\S*/", "/srv/", text)


def masked(text: str) -> str:
    """Without figures and without the words that go with them: two runs never take the same time."""
    text = re.sub(r"\b[0-9a-f]{12}\b", "#", text)
    text = re.sub(r"\d+ (?:min|h) \d+ (?:s|min)|\d[\d,.]* ?(?:ms|s|MiB)\b", "#", text)
    return re.sub(r"\d[\d,.]*", "#", text)


def on_page(name: str) -> str:
    """The block of the page that is called so."""
    found = re.search(_BLOCK.format(name=re.escape(name)), PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None, f"{PAGE.name} has no block {name!r}"
    return found[2]


def write(name: str, outputs: list[str]) -> None:
    """Put the outputs into the block."""
    text = "\n".join(outputs)
    page = PAGE.read_text("utf-8")
    pattern = re.compile(_BLOCK.format(name=re.escape(name)), re.DOTALL)
    assert pattern.search(page), f"{PAGE.name} has no block {name!r}"
    PAGE.write_text(pattern.sub(lambda found: f"{found[1]}{text}{found[3]}", page), "utf-8")
