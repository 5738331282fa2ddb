"""What is left out of a conversation that does not fit: oldest results first, then oldest answers, then parts of the last turn."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.agents.conversation.decide import Opening, request
from orchestrator.agents.conversation.transcript import Answered, Called, Entry, Result, Results, Steered, Told
from orchestrator.agents.conversation.trimming import Trimmed
from orchestrator.llm.messages import Request, Speaker
from orchestrator.llm.tokens import count_request, count_text
from support.talks import card, kit, round_of

START = Opening("Be exact.", "Count them.")
LEFT_OUT = "[removed: the older part of this conversation]"


def words(text: str) -> int:
    """Tokens: as a model of no known vocabulary counts them."""
    return count_text(text, None)


def ask(entries: Sequence[Entry], room: int, **limits: int) -> tuple[Request, Trimmed | None]:
    """The request of the next turn."""
    return request(card(max_turns=1000, **limits), kit(), START, entries, model="m", room_tokens=room, count=words)


def size(entries: Sequence[Entry]) -> int:
    """Tokens of the request with nothing left out."""
    return count_request(ask(entries, 10**9)[0], None)


def said(made: Request) -> list[str]:
    """The texts behind the opening."""
    return [message.text for message in made.messages[2:]]


def test_what_fits_exactly_is_sent_whole() -> None:
    entries = [*round_of(1, "x" * 900), *round_of(2)]
    assert ask(entries, size(entries))[1] is None
    assert ask(entries, size(entries) - 1)[1] is not None


def test_the_oldest_result_goes_first_and_says_its_size() -> None:
    entries = [*round_of(1, "\u20ac" * 300), *round_of(2, "b" * 900), *round_of(3, "c" * 900)]
    made, trimmed = ask(entries, size(entries) - 100)
    assert said(made) == ["", "[removed: 900 bytes]", "", "b" * 900, "", "c" * 900]
    assert trimmed == Trimmed(1, 0, size(entries), count_request(made, None))
    made, trimmed = ask(entries, size(entries) - 400)
    assert said(made) == ["", "[removed: 900 bytes]", "", "[removed: 900 bytes]", "", "c" * 900]
    assert trimmed is not None
    assert trimmed.results == 2


def test_then_the_oldest_answers_go_with_what_was_said_behind_them() -> None:
    entries = [
        Steered(id="s", text="early " * 100), *round_of(1, "r" * 900, "first " * 100), Told(why="fault", text="no " * 100),
        *round_of(2, "s" * 900, "second"),
    ]  # fmt: skip
    made, trimmed = ask(entries, size(entries) - 500)
    assert said(made) == [LEFT_OUT, "first " * 100, "[removed: 900 bytes]", "no " * 100, "second", "s" * 900]
    assert trimmed == Trimmed(1, 1, size(entries), count_request(made, None))
    made, trimmed = ask(entries, size(entries) - 800)
    assert said(made) == [LEFT_OUT, "second", "s" * 900]
    assert trimmed == Trimmed(0, 4, size(entries), count_request(made, None))


def test_the_results_of_the_last_turn_are_cut_to_one_length_and_short_ones_stay() -> None:
    calls = tuple(Called(id=f"c{at}", name="look", arguments='{"word": "x"}', node=f"n.t1.{at}") for at in range(16))
    texts = ["short", *("\u20ac" * 11_000 for _ in calls[1:])]
    found = tuple(Result(id=one.id, text=text) for one, text in zip(calls, texts, strict=True))
    entries = [*round_of(1, text="a" * 300), Answered(turn=2, text="why", calls=calls), Results(turn=2, results=found)]
    entries += [Steered(id="s", text="Hurry")]
    made, trimmed = ask(entries, 8000)
    assert 7800 < count_request(made, None) <= 8000
    assert paired(made)
    texts = said(made)
    assert (texts[0], texts[1], texts[2], texts[-1]) == (LEFT_OUT, "why", "short", "Hurry")
    assert len(set(texts[3:-1])) == 1
    kept, _, note = texts[3].partition("\n")
    assert kept == "\u20ac" * len(kept)
    assert note == f"[cut: {33_000 - len(kept.encode())} bytes]"
    assert trimmed == Trimmed(15, 2, size(entries), count_request(made, None))
    made, trimmed = ask(entries, 600)
    assert said(made)[1:] == ["why", "short", *["[removed: 33000 bytes]"] * 15, "Hurry"]
    assert trimmed == Trimmed(15, 2, size(entries), count_request(made, None))


def test_then_the_messages_of_the_last_turn_are_cut() -> None:
    entries = [*round_of(1, "r" * 900, "done"), Steered(id="s", text="s" * 9000), Told(why="fault", text="t" * 9000)]
    made, trimmed = ask(entries, 500)
    assert 450 < count_request(made, None) <= 500
    answer, result, *told = said(made)
    assert (answer, result) == ("done", "[removed: 900 bytes]")
    for letter, text in zip("st", told, strict=True):
        kept, _, note = text.partition("\n")
        assert kept == letter * len(kept)
        assert len(kept) > 300
        assert note == f"[cut: {9000 - len(kept)} bytes]"
    assert trimmed == Trimmed(1, 2, size(entries), count_request(made, None))


def test_of_more_messages_than_fit_the_oldest_go_and_the_latest_are_read() -> None:
    entries = [Steered(id=f"s{at}", text=f"{at}: " + "x" * 65_000) for at in range(1000)]
    begun = time.monotonic()
    made, trimmed = ask(entries, 8000)
    assert time.monotonic() - begun < 10
    texts = said(made)
    assert 7000 < count_request(made, None) <= 8000
    assert texts[0] == f"[removed: {1000 - len(texts) + 1} messages]"
    assert len(texts) > 100
    assert [text.partition(":")[0] for text in texts[1:]] == [str(at) for at in range(1000)][1 - len(texts) :]
    assert all(len(text) > 100 for text in texts[1:])
    assert trimmed == Trimmed(0, 1000, size(entries), count_request(made, None))


def test_then_the_arguments_and_the_text_of_the_last_answer() -> None:
    calls = (
        Called(id="a", name="look", arguments='{"word": "x"}'),
        Called(id="b", name="look", arguments=f'["{"y" * 9}"]'),
        Called(id="c", name="look", arguments=f'{{"word": "{"z" * 9000}"}}'),
    )
    entries = [Answered(turn=1, text="w" * 900, calls=calls)]
    made, trimmed = ask(entries, size(entries) - 3000)
    assert [one.arguments for one in made.messages[2].tool_calls] == ['{"word": "x"}', "{}", "{}"]
    assert made.messages[2].text == "w" * 900
    assert trimmed == Trimmed(0, 1, size(entries), count_request(made, None))
    made, _ = ask(entries, size(entries) - 3400)
    assert [one.arguments for one in made.messages[2].tool_calls] == ["{}", "{}", "{}"]
    assert 0 < made.messages[2].text.count("w") < 900
    assert made.messages[2].text.endswith(" bytes]")
    assert paired(made)


def test_where_only_the_opening_fits_it_alone_is_sent() -> None:
    entries = [*round_of(1, text="a" * 300), *round_of(2, "z" * 9000), Steered(id="s", text="Hurry")]
    bare = size([])
    note = words(LEFT_OUT) + 4
    assert said(ask(entries, bare + note)[0]) == [LEFT_OUT]
    for room in (1, bare, bare + note - 1):
        made, trimmed = ask(entries, room)
        assert [one.text for one in made.messages] == ["Be exact.", "Count them."]
        assert trimmed == Trimmed(0, 5, size(entries), bare)
    assert ask([], 1)[1] is None


def test_the_agents_own_limit_counts_where_it_is_lower() -> None:
    entries = [*round_of(1, "x" * 9000), *round_of(2)]
    assert ask(entries, 10**6)[1] is None
    assert ask(entries, 10**6, context_tokens=400)[1] is not None
    assert ask(entries, 300, context_tokens=10**6)[1] is not None


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=400) | st.sampled_from(
    ["\u20ac" * 4000, "ab " * 3000]
)


@st.composite
def transcripts(draw: st.DrawFn) -> list[Entry]:
    """Entries as they come to be, results sometimes missing or late."""
    entries: list[Entry] = []
    for turn in range(1, draw(st.integers(1, 8)) + 1):
        if draw(st.booleans()):
            entries.append(Steered(id=f"s{turn}", text=draw(TEXT), speaker=draw(st.sampled_from(["user", "system"]))))
        count = draw(st.integers(0, 3))
        calls = tuple(Called(id=f"c{turn}.{index}", name="look", arguments=draw(TEXT)) for index in range(count))
        entries.append(Answered(turn=turn, text=draw(TEXT), calls=calls))
        if not calls:
            entries.append(Told(why="fault", text=draw(TEXT)))
            continue
        if draw(st.booleans()):
            entries.append(Steered(id=f"m{turn}", text=draw(TEXT)))
        kept = draw(st.permutations(calls))[: draw(st.integers(0, count))]
        entries.append(Results(turn=turn, results=tuple(Result(id=one.id, text=draw(TEXT)) for one in kept)))
    return entries


def paired(made: Request) -> bool:
    """Every call has its result right behind it, in order, and no result is without its call."""
    due: list[str] = []
    for message in made.messages:
        if message.speaker is Speaker.TOOL:
            if not due or due.pop(0) != message.tool_call_id:
                return False
        elif due:
            return False
        due += [call.id for call in message.tool_calls]
    return not due


@settings(deadline=None)
@given(transcripts(), st.integers(0, 3000))
def test_whatever_is_left_out_the_rest_is_a_conversation(entries: list[Entry], room: int) -> None:
    made, trimmed = ask(entries, room)
    assert paired(made)
    assert (made, trimmed) == ask(entries, room)
    tokens = count_request(made, None)
    whole = size(entries)
    if trimmed is None:
        assert tokens == whole
    else:
        assert (trimmed.before_tokens, trimmed.after_tokens) == (whole, tokens)
        assert tokens < whole
    assert tokens <= max(room, size([])), "only where the opening is too long the request is"
    kept = [one.id for message in made.messages for one in message.tool_calls]
    called = [one.id for entry in entries if isinstance(entry, Answered) for one in entry.calls]
    assert kept == called[len(called) - len(kept) :]
