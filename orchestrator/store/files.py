"""Heartbeat files: which are read, how far each was read, and who reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from orchestrator.store.keys import Keys
from orchestrator.store.scripts import Scripts

VERSION: Final = "*"
"""The field that is another one after each change of the registry."""
Put = Literal["put", "lost", "changed"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that may be read now."""

    cursor: str
    """JSON."""
    now_ms: int
    """Redis time."""


class FileStore:
    """Operations on heartbeat files. A file is named by its key; its epoch changes with every registration."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts

    def version(self) -> str:
        """Another text whenever the registry has changed; empty for one without a file."""
        found = self._client.hget(self._keys.control("files"), VERSION)
        return "" if found is None else str(found)

    def all(self) -> tuple[str, dict[str, str]]:
        """The registry's version, and file to registration (JSON)."""
        found = dict(self._client.hgetall(self._keys.control("files")))
        return found.pop(VERSION, ""), found

    def register(self, file: str, registration: str, cursor: str, lines: Mapping[str, int]) -> str:
        """Read a file from the cursor on; `lines` are those before it. 'registered', or 'known' if it is for that already."""
        return str(
            self._scripts.run("control/file_register", self._of(file), (file, registration, "", cursor, *_flat(lines)))
        )

    def forget(self, file: str, epoch: str = "") -> str:
        """Read a file no more, if it is still that registration: 'forgotten' or 'gone'."""
        return str(self._scripts.run("control/file_register", self._of(file), (file, "", epoch, "")))

    def take(self, file: str, epoch: str, reader: str, lease_ms: int, now_ms: int | None = None) -> Taken | str:
        """Take a file up for reading; else 'busy' or 'changed'."""
        args = ("" if now_ms is None else now_ms, file, epoch, reader, lease_ms)
        outcome, cursor, now = self._scripts.run("control/file_take", self._of(file)[:3], args)
        return Taken(str(cursor), int(now)) if outcome == "taken" else str(outcome)

    def put(
        self, file: str, epoch: str, reader: str, lease_ms: int, cursor: str = "", lines: Mapping[str, int] | None = None,
        anew: bool = False,
    ) -> Put:  # fmt: skip
        """Note how far a file was read, and the lines that were; `anew` forgets those before. `lease_ms` 0 lets go of it."""
        args = (file, epoch, reader, lease_ms, cursor, "1" if anew else "0", *_flat(lines or {}))
        outcome: Put = self._scripts.run("control/file_put", self._of(file), args)
        return outcome

    def lines(self, file: str) -> dict[str, int]:
        """Lines that were read and still stand in the file: hash to how often."""
        found = self._client.hgetall(self._keys.control(f"lines:{file}"))
        return {name: int(count) for name, count in found.items()}

    def gone(self, goals: Iterable[str]) -> set[str]:
        """Those of the goals that are stored no more."""
        names = list(goals)
        with self._client.pipeline(transaction=False) as pipe:
            for goal in names:
                pipe.exists(self._keys.goal(goal))
            return {goal for goal, there in zip(names, pipe.execute(), strict=True) if not there}

    # -- who is told of changes --------------------------------------------------------------------------------------

    def watch(self, host: str, name: str, lease_ms: int) -> bool:
        """Whether `name` is the one that watches the files of a host, for the next `lease_ms`.

        Two that believe it do no harm: files are taken up for reading one by one.
        """
        key = self._keys.control(f"watcher:{host}")
        holder = self._client.get(key)
        if holder is None:
            return bool(self._scripts.put("SET", key, name, "NX", "PX", lease_ms))
        return holder == name and bool(self._client.pexpire(key, lease_ms))

    def watcher(self, host: str) -> str | None:
        """Who watches the files of a host."""
        found = self._client.get(self._keys.control(f"watcher:{host}"))
        return None if found is None else str(found)

    def leave(self, host: str, name: str) -> None:
        """Watch no more, so that another one can at once."""
        key = self._keys.control(f"watcher:{host}")
        if self._client.get(key) == name:
            self._client.delete(key)

    def _of(self, file: str) -> tuple[str, str, str, str]:
        control = self._keys.control
        return control("files"), control("cursors"), control(f"reading:{file}"), control(f"lines:{file}")


def _flat(lines: Mapping[str, int]) -> list[Any]:
    return [part for pair in lines.items() for part in pair]
