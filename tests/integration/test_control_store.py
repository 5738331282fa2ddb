"""Commands are taken in once, answered once, and held in a trail; holds of the fleet are set once."""

from __future__ import annotations

import json

from orchestrator.store.control import digest_of
from orchestrator.store.store import Store

DAY = 86_400_000


def test_a_command_is_new_once_then_open_then_done(store: Store) -> None:
    control = store.control
    assert control.open("c1", "{}", "d", None, DAY, now_ms=1000) == ("new", "")
    assert control.open("c1", "{}", "d", None, DAY, now_ms=1001) == ("open", "")
    assert control.close("c1", '{"first": 1}', 100, {"command_id": "c1"}) == '{"first": 1}'
    assert control.close("c1", '{"second": 1}', 100, {"command_id": "c1"}) == '{"first": 1}', "the first answer stands"
    assert control.open("c1", "{}", "d", None, DAY) == ("done", '{"first": 1}')
    assert control.command("c1") is None, "its arguments are kept no longer than it needs them"
    assert len(control.audit()) == 1, "one that lost the race writes no second entry"


def test_an_id_stands_for_one_command(store: Store) -> None:
    one, other = digest_of({"command": "PAUSE", "goal": "g"}), digest_of({"command": "CANCEL", "goal": "g"})
    assert one == digest_of({"command": "PAUSE", "goal": "g", "id": "x", "sender": "y", "door": "cli"})
    assert store.control.open("c1", "{}", one, None, DAY)[0] == "new"
    assert store.control.open("c1", "{}", other, None, DAY) == ("taken", "")


def test_the_expiry_counts_from_the_first_time(store: Store) -> None:
    assert store.control.open("c1", "{}", "d", 500, DAY, now_ms=1000) == ("new", "1500")
    assert store.control.open("c1", "{}", "d", 500, DAY, now_ms=1400) == ("open", "1500")


def test_what_is_open_is_found_by_its_age_until_it_is_answered(store: Store) -> None:
    control = store.control
    for index in range(3):
        control.open(f"c{index}", json.dumps({"n": index}), "d", None, DAY, now_ms=1000 + index)
    assert control.open_since(1001, 10) == ["c0", "c1"]
    control.put_off("c0", 5000)
    assert control.open_since(1002, 10) == ["c1", "c2"]
    assert json.loads(control.command("c1") or "") == {"n": 1}
    control.close("c1", "{}", 100, {"command_id": "c1"})
    assert control.open_since(1002, 10) == ["c2"]


def test_the_trail_is_read_forwards_and_backwards_and_bounded(store: Store) -> None:
    control = store.control
    for index in range(500):
        control.close("", "", 100, {"command_id": f"c{index}"}, now_ms=1000 + index)
    first = control.audit(most=2)
    assert [entry.fields["command_id"] for entry in control.audit(after=first[0].id, most=1)] == [
        first[1].fields["command_id"]
    ]
    newest = control.audit(most=2, newest=True)
    assert [entry.fields["command_id"] for entry in newest] == ["c499", "c498"]
    assert newest[0].at == 1.499
    assert len(control.audit(most=1000)) < 300, "the old ones go"


def test_a_hold_acts_once_for_its_command(store: Store) -> None:
    control = store.control
    for name in ("c1", "c2", "c3"):
        control.open(name, "{}", name, None, DAY)
    assert control.hold("c1", ["queue:gpu"], '{"by": "cli"}') == "held"
    assert control.holds() == {"queue:gpu": {"by": "cli"}}
    assert control.release("c2", ["queue:gpu"]) == "released"
    assert control.hold("c1", ["queue:gpu"], '{"by": "cli"}') == "repeated held", (
        "a late repetition holds nothing again"
    )
    assert control.holds() == {}
    assert control.release("c3", ["*"]) == "unchanged"
