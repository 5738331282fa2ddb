"""Slots of llm workers among accounts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.gate.slots import share


def test_who_wants_little_gets_it_and_the_others_share_the_rest() -> None:
    assert share(10, {"a": 1, "b": 100, "c": 100}) == {"a": 1, "b": 5, "c": 4}


def test_what_nobody_wants_is_spread_so_that_idle_accounts_need_not_wait() -> None:
    assert share(8, {"a": 0, "b": 2}) == {"a": 3, "b": 5}
    assert share(3, {"a": 0, "b": 0}) == {"a": 2, "b": 1}


@given(st.integers(0, 500), st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 200), min_size=1))
def test_all_slots_are_given_and_none_twice(slots: int, wanted: dict[str, int]) -> None:
    given_out = share(slots, wanted)
    assert sum(given_out.values()) == slots
    assert min(given_out.values()) >= 0
    short = [name for name, want in wanted.items() if given_out[name] < want]
    rich = [name for name, want in wanted.items() if given_out[name] > want]
    assert not (short and rich), "nobody has more than it wants while another has less"
    if short:
        most = max(given_out.values())
        assert all(given_out[name] >= most - 1 for name in short), "who has too little has as much as anybody"
