"""Whatever is written into a heartbeat file and done to it: no crash, each line once, and no goal is left half changed."""

from __future__ import annotations

import itertools
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.control.files.grammar import Kind, forms_of
from orchestrator.control.files.position import Cursor, Position, is_silent_line
from orchestrator.control.files.sight import see
from orchestrator.store.store import Store
from support.crew import Crew
from support.heartbeats import Watched, hurry
from support.invariants import broken, unknown_keys

FORMS = [form for kind in Kind for form in forms_of(kind)]
NAMES = st.sampled_from(["a", "b", "c", "w", "ghost", "g", "x" * 65, "..", "a b", "ä", "*"])
VALUES = st.sampled_from(
    ['{"x": 1}', "{}", "[1]", "{", '{"from": "a"}', "null", "why not", "", "1e999", '{"x": 1, "x": 2}']
)
WORDS = st.sampled_from(
    ["PAUSE", "resume", "Cancel goal", "DROP-TASK", "elevate", "RETRY", "node", "agent", "all", "stop", "b", "7", "-1", "#", ":", "\t",
     "Please", "pause", "the", "goal.", "skip", "rewire", "tokens", "٣", "\x1b[2J", "\0", "\r", "\ufeff", "\x85", "STOP", "exit"]
)  # fmt: skip


@st.composite
def filled(draw: st.DrawFn) -> str:
    """A form, filled with names that there are and others."""
    words = []
    for word in draw(st.sampled_from(FORMS)).replace("[: ", ": ").replace("]", "").split():
        name, colon, _ = word.partition(":")
        if name.startswith("<"):
            name = draw(
                st.sampled_from(["1", "5", "99999999"]) if name in ("<priority>", "<tokens>", "<micro_usd>") else NAMES
            )
        words.append(name + colon)
    if words[-1] in ("JSON", "REASON", "MESSAGE", "COMMENT"):
        words[-1] = draw(VALUES)
    return draw(st.sampled_from([" ".join(words), " ".join(words).lower()]))


LINE = st.one_of(
    filled(), filled(), st.lists(WORDS, max_size=5).map(" ".join), st.text(max_size=30), st.sampled_from(["", "# note", "  "])
).map(lambda text: text.replace("\n", " ").encode("utf-8", "replace"))  # fmt: skip
DEEP = [
    b"EDIT b: " + b'{"a":' * 600 + b"1" + b"}" * 600,
    b"SIGNAL s: " + b"[" * 900 + b"]" * 900,
    b"SIGNAL s: " + b"[" * 4000,
]
BYTES = st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b""))
RAW = st.one_of(LINE, LINE, LINE, BYTES, st.sampled_from([b"STEER w: " + b"x" * 5000, *DEEP]))
FILE = st.lists(RAW, max_size=8)


class Fuzzed:
    """One server, and a goal and a file for each case."""

    def __init__(self, store: Store, folder: Path, patch: pytest.MonkeyPatch) -> None:
        hurry(patch, 0.0)
        self.crew = Crew(store, folder / "data")
        self.store, self.folder = store, folder
        self.count = itertools.count()
        self.crew.function(self._fail, "fails")

    @staticmethod
    def _fail() -> None:
        raise RuntimeError("on purpose")

    def case(self) -> Watched:
        """A goal "g" with nodes in many states, and its file."""
        self.store.client.flushall()
        self.crew.mail.invitations.clear()
        where = self.folder / f"case{next(self.count)}"
        where.mkdir()
        nodes: list[Any] = [
            "a",
            {"id": "b", "queue": "q"},
            {"id": "c", "kind": "approval"},
            {"id": "w", "kind": "agent", "agent": "w", "queue": "q"},
        ]
        self.crew.submit([*nodes, {"id": "f", "call": "fails"}], [("a", "b"), ("f", "c")])
        one = next(one for one in self.crew.mail.invitations if one.queue == "default")
        self.crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)
        return Watched(self.store, where / "g.md").register(agent="w")

    def done(self, file: Watched) -> None:
        """The goal and all keys are sound; the folder goes."""
        assert broken(self.store, "g") == []
        assert unknown_keys(self.store) == []
        shutil.rmtree(file.path.parent)

    def contents(self) -> str:
        """What is stored but for what tells of time or of the file itself."""
        keep = {}
        for key in sorted(self.store.client.scan_iter("*{g}*", count=1000)):
            keep[key] = self.store.client.dump(key)
        return repr(keep)


@pytest.fixture(scope="module")
def fuzzed(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from orchestrator.store.keys import Keys

    store = Store(redis_server.url, Keys(), 2000)
    with pytest.MonkeyPatch.context() as patch:
        yield Fuzzed(store, tmp_path_factory.mktemp("fuzz"), patch)
    store.close()


def any_file(fuzzed: Fuzzed, lines: list[bytes], ends: bool) -> None:
    """Carry a file out, then again with all that the readers knew forgotten: the second time changes nothing."""
    file = fuzzed.case()
    file.restart(carry_out=fuzzed.crew.wired.commands.carry_out)
    before = file.store.client.hgetall("{control}:cursors")
    with file.path.open("ab") as stream:
        stream.write(b"\n".join(lines) + (b"\n" if lines and ends else b""))
    look_until_done(file)
    spoken = [line for line in lines if not is_silent_line(line)]
    assert len(file.replies()) == len(spoken)
    first, audited = fuzzed.contents(), len(file.store.control.audit(most=1000))
    file.store.client.hset("{control}:cursors", mapping=before)
    file.restart(carry_out=fuzzed.crew.wired.commands.carry_out)
    look_until_done(file)
    assert fuzzed.contents() == first, "each line acts once"
    again = file.store.control.audit(most=1000)
    assert all(entry.fields["outcome"] for entry in again), "every command was answered"
    assert len(again) == 2 * audited
    fuzzed.done(file)


def look_until_done(file: Watched) -> None:
    for _ in range(50):
        if (seconds := file.look()) > 1:
            return
        time.sleep(seconds)
    raise AssertionError("there is always more to do")


@given(lines=FILE, ends=st.booleans())
@settings(max_examples=120)
def test_any_file(fuzzed: Fuzzed, lines: list[bytes], ends: bool) -> None:
    any_file(fuzzed, lines, ends)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@given(lines=FILE, ends=st.booleans())
@settings(max_examples=5000, derandomize=False)
def test_any_of_many_files(fuzzed: Fuzzed, lines: list[bytes], ends: bool) -> None:
    any_file(fuzzed, lines, ends)


# -- what is done to a file ------------------------------------------------------------------------------------------

TEXT = st.lists(st.sampled_from([b"PAUSE", b"RESUME", b"PAUSE: x", b"# note", b"", b"a note", b"RETRY"]), max_size=4)
STEP: st.SearchStrategy[tuple[str, bytes]] = st.tuples(
    st.sampled_from(
        [
            "append",
            "append",
            "part",
            "save",
            "write",
            "insert",
            "copy",
            "rotate",
            "remove",
            "restart",
            "twin",
            "same",
            "cut",
        ]
    ),
    TEXT.map(b"\n".join),
)


class Model:
    """What acts, said once more: a file that grew gives what it grew by, any other the lines that it has more often."""

    def __init__(self) -> None:
        self.before = b""
        self.read = Counter[bytes]()
        self.acted: list[str] = []

    def look(self, now: bytes) -> None:
        """A look at what stands there; an empty file and none are the same."""
        if not now:
            self.read.clear()
        elif now.startswith(self.before):
            self._grown(now)
        else:
            lines = [line for line in now.split(b"\n") if not is_silent_line(line)]
            seen = Counter[bytes]()
            for line in lines:
                seen[line] += 1
                if seen[line] > self.read[line]:
                    self._act(line)
            self.read = Counter(lines)
        self.before = now

    def _grown(self, now: bytes) -> None:
        lines = now[len(self.before) :].split(b"\n")
        if self.before and not self.before.endswith(b"\n"):
            rest = lines.pop(0)
            if not is_silent_line(rest):
                self.read[self.before.split(b"\n")[-1] + rest] += 1
        for line in lines:
            if not is_silent_line(line):
                self.read[line] += 1
                self._act(line)

    def _act(self, line: bytes) -> None:
        name, colon, reason = line.decode().partition(":")
        if name in ("PAUSE", "RESUME", "RETRY") and bool(colon) == bool(reason.strip()):
            self.acted.append(f"{name} {reason.strip()}".strip())


def steps_on_a_file(fuzzed: Fuzzed, steps: list[tuple[str, bytes]]) -> None:
    """Do things to a file with a look behind each: exactly what is new acts, and no more after a restart."""
    file, model = fuzzed.case(), Model()
    path = file.path
    old = path.with_name("g.md.1")

    def read() -> bytes:
        return path.read_bytes() if path.exists() else b""

    def add(raw: bytes) -> None:
        with path.open("ab") as stream:
            stream.write(raw)

    acts: dict[str, Callable[[bytes], object]] = {
        "append": lambda raw: add(raw + b"\n"),
        "part": add,
        "save": lambda raw: file.save((read() + raw + b"\n").decode()),
        "write": path.write_bytes,
        "insert": lambda raw: path.write_bytes(raw + b"\n" + read()),
        "copy": lambda _: (old.write_bytes(read()), path.write_bytes(b"")),
        "rotate": lambda _: path.exists() and path.rename(old),
        "remove": lambda _: path.unlink(missing_ok=True),
        "restart": lambda _: file.restart(),
        "twin": lambda _: file.restart(readers=2),
        "same": lambda _: path.write_bytes(read()),
        "cut": lambda _: path.write_bytes(read()[: len(read()) // 2]),
    }
    for name, raw in steps:
        acts[name](raw)
        look_until_done(file)
        model.look(read())
        assert file.taken.words == model.acted, name
    assert file.taken.repeated == 0
    file.restart()
    look_until_done(file)
    assert file.taken.words == model.acted, "nothing acts again"
    cursor = Cursor.from_json(file.store.client.hvals("{control}:cursors")[0])
    assert cursor.doing is None
    fuzzed.done(file)


@given(steps=st.lists(STEP, max_size=10))
@settings(max_examples=120)
def test_whatever_is_done_to_a_file(fuzzed: Fuzzed, steps: list[tuple[str, bytes]]) -> None:
    steps_on_a_file(fuzzed, steps)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@given(steps=st.lists(STEP, max_size=12))
@settings(max_examples=5000, derandomize=False)
def test_whatever_is_done_to_many_files(fuzzed: Fuzzed, steps: list[tuple[str, bytes]]) -> None:
    steps_on_a_file(fuzzed, steps)


@given(pieces=st.lists(st.binary(max_size=12), max_size=8))
@settings(max_examples=300)
def test_a_file_that_only_grows_gives_its_lines_in_order_wherever_it_is_cut(pieces: list[bytes]) -> None:
    from orchestrator.control.files.opening import Shot

    at, raw, seen = Position(), b"", []
    for piece in pieces:
        raw += piece
        for line in see(at, Shot((1, len(raw), 0), raw), False, lambda _: iter(()), dict).lines:
            seen.append(line.raw)
            at = line.after
    assert seen == raw.split(b"\n")[:-1]
