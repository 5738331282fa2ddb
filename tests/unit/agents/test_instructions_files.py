"""Only regular, small text files below the declaration's folder are opened, whatever a path looks like."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.declare import files as instructions_files
from orchestrator.agents.declare.files import DOCUMENT_BYTES, FILE_BYTES, MISSING, Folder, Refused
from orchestrator.agents.declare.instructions import InvalidInstructions, read_instructions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with traps in it, and a secret beside it."""
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.md").write_text("secret")
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "real" / "a.md").write_text("fine")
    (root / "link.md").symlink_to(root / "real" / "a.md")
    (root / "out.md").symlink_to("../secret.md")
    (root / "dangling.md").symlink_to("nowhere")
    (root / "linked").symlink_to("../outside")
    os.mkfifo(root / "fifo.md")
    (root / "huge.md").write_bytes(b"x" * (FILE_BYTES + 1))
    (root / "binary.md").write_bytes(b"fine\n\xff\xfe\x00")
    (root / "nul.md").write_bytes(b"a\n\x00")
    return root


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../secret.md", "leads out of its folder"),
        ("real/../../secret.md", "leads out of its folder"),
        ("real/../real/a.md", "leads out of its folder"),
        ("/etc/hostname", "must be relative"),
        ("~/a.md", "must be relative"),
        ("link.md", "'link.md' is a symbolic link"),
        ("out.md", "'out.md' is a symbolic link"),
        ("dangling.md", "'dangling.md' is a symbolic link"),
        ("linked/a.md", "'linked' is a symbolic link"),
        ("fifo.md", "'fifo.md' is no regular file"),
        ("real", "'real' is no regular file"),
        ("real/", "this is a folder"),
        ("./", "this is a folder"),
        ("real/a.md/b.md", "'a.md' is no folder"),
        ("huge.md", f"it has more than {FILE_BYTES:,} bytes"),
        ("binary.md", "line 2 is not UTF-8 text"),
        ("nul.md", "line 2 has a NUL character"),
        ("gone.md", MISSING),
        ("gone/a.md", MISSING),
        ("x" * 300, "it cannot be opened: File name too long"),
        ("a\0b", "this is no path"),
        ("", "this is no path"),
    ],
)
def test_what_is_not_read(folder: Path, path: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        Folder(folder).read(path)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value).replace("secret.md", "")


@pytest.mark.parametrize("path", ["real/a.md", "./real//a.md", "real/./a.md"])
def test_what_is_read_is_remembered_by_its_normal_path(folder: Path, path: str) -> None:
    found = Folder(folder)
    assert found.read(path) == "fine"
    assert list(found.files) == ["real/a.md"]
    assert len(found.files["real/a.md"]) == 64


def test_a_socket_is_not_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.md")
        with pytest.raises(Refused, match="no regular file"):
            Folder(folder).read("s.md")


def test_a_link_that_takes_the_files_place_after_the_look_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.stat

    def swap(name: Any, **how: Any) -> os.stat_result:
        seen = look(name, **how)
        if name == "a.md":
            (folder / "real" / "a.md").unlink()
            (folder / "real" / "a.md").symlink_to("../../secret.md")
        return seen

    monkeypatch.setattr(os, "stat", swap)
    with pytest.raises(Refused, match="cannot be opened"):
        Folder(folder).read("real/a.md")


def test_no_descriptor_is_left_open(folder: Path) -> None:
    lowest = os.open(folder, os.O_RDONLY)
    os.close(lowest)
    for path in ("real/a.md", "linked/a.md", "huge.md", "gone/a.md", "real/a.md/b.md", "fifo.md"):
        Folder(folder).look(path)
    again = os.open(folder, os.O_RDONLY)
    os.close(again)
    assert again == lowest


def test_files_are_bounded_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions_files, "TOTAL_BYTES", 5)
    found = Folder(folder)
    assert found.read("real/a.md") == "fine"
    (folder / "b.md").write_text("more")
    with pytest.raises(Refused, match="together"):
        found.read("b.md")


@pytest.mark.parametrize(
    "name", ["../secret.md", "out.md", "linked/a.md", "fifo.md", "/etc/hostname", "huge.md", "binary.md"]
)
def test_a_declaration_reads_none_of_them(folder: Path, name: str) -> None:
    (folder / "INSTRUCTIONS.md").write_text(f"## Agents\n### a\n- Instructions: {name}\n")
    with pytest.raises(InvalidInstructions, match=r"INSTRUCTIONS\.md:3: "):
        read_instructions(folder / "INSTRUCTIONS.md")


@pytest.mark.parametrize("name", ["../secret.md", "out.md", "linked/a.md", "fifo.md", "/etc/hostname", "real"])
def test_a_heartbeat_that_could_not_be_read_is_refused(folder: Path, name: str) -> None:
    (folder / "INSTRUCTIONS.md").write_text(f"## Agents\n### a\n- Heartbeat: {name}\n")
    with pytest.raises(InvalidInstructions, match=r"INSTRUCTIONS\.md:3: heartbeat "):
        read_instructions(folder / "INSTRUCTIONS.md")


def test_the_declaration_itself_is_bounded_and_no_link(folder: Path) -> None:
    (folder / "INSTRUCTIONS.md").symlink_to("real/a.md")
    with pytest.raises(InvalidInstructions, match="symbolic link"):
        read_instructions(folder / "INSTRUCTIONS.md")
    (folder / "big.md").write_bytes(b"x" * (DOCUMENT_BYTES + 1))
    with pytest.raises(InvalidInstructions, match="more than 1,048,576 bytes"):
        read_instructions(folder / "big.md")
    with pytest.raises(InvalidInstructions, match=MISSING):
        read_instructions(folder / "gone.md")
    with pytest.raises(InvalidInstructions, match="is no regular file"):
        read_instructions(folder / "fifo.md")
