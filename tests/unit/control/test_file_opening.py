"""What lies beside a heartbeat file: what rotation made of it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.control.files.opening import Where, old_files


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("g.md.1", True), ("g.md.12", True), ("g.md-20260131", True), ("g.md-20260131-1200", True), ("g.md.2026-01-31", True),
        ("g.md.2026-01-31T12:00", True), ("g-20260131.md", True), ("g.1.md", True), ("g.md", False), ("g.md~", False), ("g.md.bak", False),
        ("g.md.log", False), ("g.md.log.1", False), (".g.md.swp", False), ("g.md.1.gz", False), ("h.md.1", False), ("g.md.12345", False),
        ("gg.md", False), ("xg.md.1", False),
    ],
)  # fmt: skip
def test_names_that_rotation_gives(tmp_path: Path, name: str, old: bool) -> None:
    (tmp_path / name).write_text("PAUSE\n")
    assert bool(list(old_files(Where(tmp_path, "g.md")))) == old


def test_the_latest_first_and_links_not_at_all(tmp_path: Path) -> None:
    for name in ("g.1", "g.2"):
        (tmp_path / name).write_text(name)
    (tmp_path / "g.3").symlink_to(tmp_path / "g.1")
    newer = (tmp_path / "g.1").stat().st_mtime_ns + 10**9
    os.utime(tmp_path / "g.2", ns=(newer, newer))
    assert [shot.raw for shot in old_files(Where(tmp_path, "g"))] == [b"g.2", b"g.1"]
    assert [shot.raw for shot in old_files(Where(tmp_path, "g"), newer - 1)] == [b"g.2"]
    inode = (tmp_path / "g.1").stat().st_ino
    assert [shot.raw for shot in old_files(Where(tmp_path, "g"), inode=inode)] == [b"g.1"]


def test_in_a_folder_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "beats").mkdir()
    (tmp_path / "beats" / "g.md.1").write_text("x")
    assert [shot.raw for shot in old_files(Where(tmp_path, "beats/g.md"))] == [b"x"]
