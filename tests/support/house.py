"""House rules that no linter knows: sizes of files, headers of Lua scripts, words and paths that do not belong here.

Run as a script it prints the tree with the number of lines of each file and exits with 1 if a rule is broken.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MOST_LINES: Final = 400
MANY_LINES: Final = 250
LUA_LINES: Final = 80
LUA_PART_LINES: Final = 120
"""A part that several operations include may hold a few functions that belong together."""
SIZED: Final = frozenset({".py", ".lua", ".js", ".css", ".html"})
TEXT: Final = SIZED | {".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".sh", ""}

# Put together here so that this file does not break its own rule.
FORBIDDEN: Final = {
    "an absolute path of one machine": re.compile(r"(?<![\w.$}])/(?:work|root|home/\w+|Users/\w+)" + r"/"),
    "a note to oneself": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b"),
    "a loose assertion": re.compile(r"^\s*assert Tr" + r"ue$", re.MULTILINE),
}


def files(root: Path = ROOT) -> list[Path]:
    """What belongs to the project: files that git tracks, and new ones that it does not ignore."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sorted(path for name in set(listed.split("\0")) if name and (path := root / name).is_file())


def lines(path: Path) -> int:
    """Lines of a file."""
    return path.read_bytes().count(b"\n")


def size_faults(paths: Iterable[Path]) -> Iterator[str]:
    """Files too long to be one idea."""
    for path in paths:
        if path.suffix in SIZED and (count := lines(path)) > MOST_LINES:
            yield f"{_name(path)}: {count} lines, the most is {MOST_LINES}; split it by idea"


def long_files(paths: Iterable[Path]) -> list[tuple[int, str]]:
    """(lines, name) of files that are allowed but worth a look, longest first."""
    sizes = ((lines(path), _name(path)) for path in paths if path.suffix in SIZED)
    return sorted((size for size in sizes if size[0] > MANY_LINES), reverse=True)


def lua_faults(paths: Iterable[Path]) -> Iterator[str]:
    """Operations without their contract, and scripts too long."""
    for path in paths:
        if path.suffix != ".lua":
            continue
        part = path.parent.name == "lib"
        most = LUA_PART_LINES if part else LUA_LINES
        if (count := lines(path)) > most:
            yield f"{_name(path)}: {count} lines, the most is {most}"
        text = path.read_text("utf-8")
        header = re.match(r"(?:--.*\n)*", text)
        said = header[0] if header else ""
        if not said:
            yield f"{_name(path)}: it has no header that says what it is for"
        elif not part:
            wanted = {
                "its own name": f"-- {path.stem}",
                "KEYS": "-- KEYS ",
                "ARGV": "-- ARGV ",
                "Returns": "-- Returns ",
            }
            missing = [what for what, mark in wanted.items() if mark not in said]
            if missing:
                yield f"{_name(path)}: its header does not say {', '.join(missing)}"


def word_faults(paths: Iterable[Path]) -> Iterator[str]:
    """Words and paths that do not belong in the project."""
    for path in paths:
        if path.suffix not in TEXT:
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for what, pattern in FORBIDDEN.items():
            for found in pattern.finditer(text):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{_name(path)}:{line}: {what}: {found[0].strip()}"


def faults(root: Path = ROOT) -> list[str]:
    """Every broken rule."""
    paths = files(root)
    return [*size_faults(paths), *lua_faults(paths), *word_faults(paths)]


def tree(paths: Iterable[Path]) -> Iterator[str]:
    """One line a folder and file, indented, with the lines of each file."""
    shown: set[Path] = set()
    for path in paths:
        relative = path.relative_to(ROOT)
        for folder in reversed(relative.parents[:-1]):
            if folder not in shown:
                shown.add(folder)
                yield f"{'  ' * (len(folder.parts) - 1)}{folder.name}/"
        yield f"{'  ' * (len(relative.parts) - 1)}{relative.name}  {lines(path)}"


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def main() -> int:
    """Print the tree, the long files and the faults. Returns the exit code."""
    paths = files()
    print("\n".join(tree(paths)))
    for count, name in long_files(paths):
        print(f"long: {name} has {count} lines (more than {MANY_LINES})")
    broken = faults()
    for fault in broken:
        print(f"house: {fault}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
