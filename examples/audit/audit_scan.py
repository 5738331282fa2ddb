"""Find the Python modules of a source tree, without importing or reading any of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from audit_model import Finding, ModuleRef, Scan, Skipped

MAX_BYTES: Final = 2_000_000
NEVER: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
UNLESS_PACKAGE: Final = frozenset({"build", "dist", "env", "venv"})


def scan_tree(source: Path, limit: int) -> Scan:
    """List at most `limit` modules below `source`, in path order. Raises NotADirectoryError if it is no folder."""
    if not source.is_dir():
        raise NotADirectoryError(f"{source} is not a folder")
    scan = Scan(source=str(source), modules=[], skipped=[], findings=[])
    taken: set[str] = set()
    over = 0
    for path in _files(source, scan["skipped"]):
        shown, fault = _fault(source, path)
        if fault:
            scan["findings"].append(fault)
        elif len(scan["modules"]) >= limit:
            over += 1
        else:
            scan["modules"].append(_reference(source, path, shown, taken))
    if over:
        scan["skipped"].append(Skipped(path=".", reason=f"{over:,} modules over the limit of {limit:,}"))
    return scan


def _files(source: Path, skipped: list[Skipped]) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        place = Path(error.filename or source)
        skipped.append(Skipped(path=readable(place.relative_to(source)), reason=f"cannot be listed: {error.strerror}"))

    for folder, folders, files in os.walk(source, onerror=refused):
        here = Path(folder)
        kept = []
        for name in sorted(folders):
            reason = _left_out(here / name)
            if reason is None:
                kept.append(name)
            elif reason:
                skipped.append(Skipped(path=readable((here / name).relative_to(source)), reason=reason))
        folders[:] = kept
        yield from (here / name for name in sorted(files) if name.endswith(".py"))


def _left_out(folder: Path) -> str | None:
    """Why a folder is left out; the empty text is a reason that nobody needs to read."""
    name = folder.name
    if name == "__pycache__":
        return ""
    if folder.is_symlink():
        return "symbolic link"
    if (folder / "pyvenv.cfg").exists():
        return "virtual environment"
    if name.startswith("."):
        return "hidden"
    if name in NEVER or name.endswith(".egg-info"):
        return "installed or generated"
    if name in UNLESS_PACKAGE and not (folder / "__init__.py").exists():
        return "build output"
    return None


def _fault(source: Path, path: Path) -> tuple[str, Finding | None]:
    shown = readable(path.relative_to(source))
    if shown != path.relative_to(source).as_posix():
        return shown, _finding(shown, "file-name", "the file name is not UTF-8; it was not analysed")
    try:
        found = path.lstat()
    except OSError as error:
        return shown, _finding(shown, "unreadable", f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a regular file"
        message = f"{kind}; it was not read"
        return shown, Finding(severity="note", rule="not-a-file", path=shown, line=1, message=message)
    if found.st_size > MAX_BYTES:
        return shown, _finding(shown, "too-large", f"{found.st_size:,} bytes, more than {MAX_BYTES:,}; it was not read")
    return shown, None


def _finding(path: str, rule: str, message: str) -> Finding:
    return Finding(severity="error", rule=rule, path=path, line=1, message=message)


def _reference(source: Path, path: Path, shown: str, taken: set[str]) -> ModuleRef:
    name = dotted_name(source, path)
    if name in taken:  # two roots with a package of the same name: only the path tells them apart
        name = ".".join(Path(shown).with_suffix("").parts)
        while name in taken:
            name += "_"
    taken.add(name)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    regular = (path.parent / "__init__.py").exists()
    return ModuleRef(path=shown, name=name, package=package or "(top level)", regular=regular)


def dotted_name(source: Path, path: Path) -> str:
    """The name a module is imported by: from its outermost package, else from the tree's root (or its `src`)."""
    top = path.parent
    while (top / "__init__.py").exists() and top != top.parent:
        top = top.parent
    if top == path.parent or not top.is_relative_to(source):
        root = source if top.is_relative_to(source) else top
    else:
        root = top
    parts = list(path.relative_to(root).with_suffix("").parts)
    if len(parts) > 1 and parts[0] == "src" and not (source / "src" / "__init__.py").exists():
        parts = parts[1:]
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def readable(path: Path) -> str:
    """The path with `/`, where bytes that are not UTF-8 are written as escapes."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()
