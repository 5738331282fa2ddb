"""The corpus of hostile answers: what each got is as it is written down, nothing ran that must not, and nobody is harmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli.main import chordal as command_line
from orchestrator.store.store import Store
from support import hostile
from support.hostile import GOT, HARMFUL, PAGE, PASSWORD, Item, items, page, shown, sound

KNOWN: dict[str, Any] = json.loads(GOT.read_text("utf-8"))
MOST_BYTES = 4_000_000
"""What a goal may keep of an answer of 20 MB."""
COMMANDS = (["transcript", "g", "{node}"], ["status", "g"], ["show", "g", "{node}"], ["events", "g"])


@pytest.mark.parametrize("item", items(), ids=lambda item: item.id)
def test_a_hostile_answer_gets_what_is_written_down(store: Store, tmp_path: Path, item: Item) -> None:
    got, _, deeds = hostile.run(store, tmp_path, item)
    assert {"verdict": got.verdict, "text": shown(got.text), "state": got.state} == KNOWN[item.id]
    assert {name for name, *_ in deeds.done} <= {"look", "count", "anything"}, "what it was not given, or needs a yes"
    assert PASSWORD not in str(deeds.done)
    assert sound(store) == []
    assert int(store.client.info("memory")["used_memory_dataset"]) < MOST_BYTES + 20_000_000
    assert sum(store.client.memory_usage(key, samples=0) for key in store.client.scan_iter()) < MOST_BYTES
    _shows_nothing_harmful(store, tmp_path, "plan" if "plan" in item.spec else "n")


def _shows_nothing_harmful(store: Store, folder: Path, node: str) -> None:
    runner = CliRunner(env={"CHORDAL_REDIS_URL": store.url, "CHORDAL_DATA_DIR": str(folder)})
    for words in COMMANDS:
        done = runner.invoke(command_line, [word.format(node=node) for word in words])
        assert done.exit_code == 0, (words, done.output, done.exception)
        found = HARMFUL.search(done.output)
        assert found is None, (words, repr(done.output[max(0, found.start() - 50) : found.end() + 20]))


def test_the_page_is_as_the_corpus_makes_it() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make docs`"


def test_every_item_has_its_place() -> None:
    names = [item.id for item in items()]
    assert sorted(names) == sorted(set(names)) == sorted(KNOWN)
