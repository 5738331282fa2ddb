"""The pure parts of the client: headers, tokens, prices, estimates, schemas, sharing."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.estimates import UNKNOWN_TOKENS, LocalEstimates, estimate
from orchestrator.llm.failures import Failure, FailureKind, LlmRefused, of_status
from orchestrator.llm.headers import LONGEST_HOLD_SECONDS, duration, retry_after, windows
from orchestrator.llm.messages import Message, Reply, Request, Speaker, Usage
from orchestrator.llm.prices import by_library, by_table, micro_usd
from orchestrator.llm.profiles import Account, Model, Price
from orchestrator.llm.schema import read_json, read_model, strict_schema
from orchestrator.llm.scripted import Instant, Scripted, Step
from orchestrator.llm.sharing import LocalCache, LocalFlights, request_hash
from orchestrator.llm.tokens import count_request, count_text, encoding_of
from support.model_calls import ask, client
from support.servers import until

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("20ms", 0.02), ("7", 7.0), ("0.5", 0.5), ("1d", 86_400.0),
     ("", None), ("soon", None), ("6m x", None), ("-1", None), ("nan", None), ("inf", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"retry-after": "9"}, 9.0),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"retry-after": "never", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s"}, 2.0),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "2s"}, None),
        ({"anthropic-ratelimit-input-tokens-remaining": "0",
          "anthropic-ratelimit-input-tokens-reset": "2027-01-15T08:00:05Z"}, 5.0),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "99999999999999999999"}, LONGEST_HOLD_SECONDS),
        ({}, None),
    ],
)  # fmt: skip
def test_how_long_to_stay_away(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens",
                                        "x-ratelimit-remaining-tokens"]), st.text(max_size=30)))  # fmt: skip
def test_no_header_breaks_anything_or_holds_for_long(headers: dict[str, str]) -> None:
    seconds = retry_after(headers, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_HOLD_SECONDS
    windows(headers, NOW)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "", FailureKind.FATAL), (429, "insufficient_quota", FailureKind.QUOTA), (429, "", FailureKind.RATE_LIMIT),
     (409, "", FailureKind.SERVER), (529, "overloaded_error", FailureKind.SERVER), (301, "", FailureKind.FATAL)],
)  # fmt: skip
def test_classes_of_statuses(status: int, code: str, kind: FailureKind) -> None:
    assert of_status(status, [code])[0] is kind


def test_only_codes_are_shown() -> None:
    assert of_status(400, ["The prompt: hello", None, "invalid_value"])[1] == "invalid_value"
    assert of_status(400, ["sk-1"])[1] == ""


def test_tokens_are_counted_with_the_models_vocabulary() -> None:
    assert count_text("hello world", "o200k_base") == 2
    assert count_text("<|endoftext|>", "o200k_base") > 1, "special tokens are text here"
    assert count_text("\ud800", "cl100k_base") > 0
    assert encoding_of(Model(account="x"), "gpt-5-mini") == "o200k_base"
    assert encoding_of(Model(account="x", name="openai/gpt-4"), "m") == "cl100k_base"
    assert encoding_of(Model(account="x", encoding="o200k_base"), "llama") == "o200k_base"
    assert encoding_of(Model(account="x"), "llama") is None
    assert count_request(ask("hello world"), "o200k_base") == 2 + 4 + 3


@given(st.text(max_size=400))
def test_an_unknown_vocabulary_counts_high(text: str) -> None:
    sentence = "The queue lets a call go out when its turn has come, and not before. " + "word " * 20
    assert count_text(sentence, None) >= count_text(sentence, "o200k_base")
    assert count_text(text, None) >= 0
    assert count_text(text, "no_such_encoding") == count_text(text, None)


def test_prices_are_whole_micro_dollars_rounded_up() -> None:
    usage = Usage(input_tokens=1001, cached_input_tokens=1, output_tokens=10)
    assert by_table(usage, Price(input=0.25, cached_input=0.1, output=2.0)) == 271  # 250 + 0.1 + 20
    assert by_table(Usage(), Price(input=1.0, output=1.0)) == 0
    assert by_library(Usage(input_tokens=1000, cached_input_tokens=100, output_tokens=100), "gpt-5", "openai") == 2138
    assert by_library(usage, "no-such-model", "openai") is None


def test_a_price_of_the_profile_wins_and_own_servers_are_free() -> None:
    usage = Usage(input_tokens=1_000_000)
    paid, own = Account(base_url="https://h/v1"), Account(base_url="http://h/v1", kind="self-hosted")  # type: ignore[arg-type]
    assert micro_usd(usage, "gpt-5", Model(account="x"), paid) == 1_250_000
    assert micro_usd(usage, "gpt-5", Model(account="x", price=Price(input=7.0, output=0.0)), paid) == 7_000_000
    assert micro_usd(usage, "gpt-5", Model(account="x"), own) == 0
    assert micro_usd(usage, "nobody-knows", Model(account="x"), paid) is None


def test_the_95th_percentile_and_a_tenth() -> None:
    assert estimate(list(range(1, 101))) == 105  # ceil(95 * 1.1)
    assert estimate([]) == UNKNOWN_TOKENS
    assert estimate([30, 10]) == 60
    seen = LocalEstimates()
    for _ in range(300):
        seen.observe("m", "short", 10)
        seen.observe("m", "long", 1000)
    assert (seen.tokens("m", "short"), seen.tokens("m", "long")) == (11, 1100)
    for _ in range(200):
        seen.observe("m", "long", 10)
    assert seen.tokens("m", "long") == 11, "what was long ago is forgotten"


class Street(BaseModel):
    default: str = "x"


class City(BaseModel):
    name: str
    streets: list[Street] = Field(default_factory=list)


def test_schemas_are_strict_at_every_level() -> None:
    schema = strict_schema(City)
    street = schema["$defs"]["Street"]
    assert schema["required"] == ["name", "streets"]
    assert (street["required"], street["additionalProperties"]) == (["default"], False)
    assert "default" not in street["properties"]["default"]


@pytest.mark.parametrize("text", ["canary", "{", "[" * 100_000])
def test_errors_of_answers_say_nothing_of_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"^the answer is not JSON$"):
        read_json(text)
    with pytest.raises(ValueError, match=r"^the answer has 1 faults against its schema$"):
        read_model({"name": ["canary"]}, City)


def test_requests_are_strict_and_their_texts_hidden() -> None:
    with pytest.raises(ValidationError) as caught:
        Request.model_validate({"model": "a", "messages": [{"speaker": "user", "text": 7, "secret": "canary"}]})
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(ask("canary")) + repr(
        Reply(text="canary", finish_reason="stop", model="a", account="x")
    )
    with pytest.raises(ValidationError, match="tool_call_id"):
        Message(speaker=Speaker.TOOL, text="x")


def test_the_hash_is_of_what_is_asked_and_nothing_else() -> None:
    one = request_hash(ask("x"))
    assert one == request_hash(ask("x", owner="other", goal="g", role="r", priority=5, cache_seconds=9.0, stream=True))
    assert one == request_hash(Request.model_validate_json(ask("x").model_dump_json()))
    others = [ask("y"), ask("x", model="b"), ask("x", temperature=0.0), ask("x", max_output_tokens=7),
              ask("x", response_schema={})]  # fmt: skip
    assert len({one, *map(request_hash, others)}) == 6


def test_the_same_at_the_same_time_is_one_call() -> None:
    gate = threading.Event()
    replies: list[Reply] = []
    asked: list[Call] = []

    class Counting(Instant):
        def send(self, call: Call) -> Answer | Failure:
            asked.append(call)
            gate.wait(10)
            return super().send(call)

    flights = LocalFlights()
    one = client(Counting(), flights=flights)
    threads = [threading.Thread(target=lambda: replies.append(one.complete(ask()))) for _ in range(5)]
    for thread in threads:
        thread.start()
    until(lambda: len(asked) == 1, 10)
    apart = threading.Thread(target=lambda: one.complete(ask(share=False)))
    apart.start()
    until(lambda: len(asked) == 2, 10)
    gate.set()
    for thread in [*threads, apart]:
        thread.join(10)
    sources = sorted(reply.source for reply in replies)
    assert sources.count("provider") == len(asked) - 1
    assert len(replies) == 5
    assert all(reply.micro_usd == 0 for reply in replies if reply.source == "shared")


def test_what_befell_the_first_only_is_not_shared() -> None:
    flights, entered, gate = LocalFlights(), threading.Event(), threading.Event()
    done = Reply(finish_reason="stop", model="a", account="x")

    def first() -> Reply:
        entered.set()
        gate.wait(10)
        raise KeyboardInterrupt

    def run_first() -> None:
        with pytest.raises(KeyboardInterrupt):
            flights.run("k", first, 10, lambda: False)

    leader = threading.Thread(target=run_first)
    leader.start()
    assert entered.wait(10)
    gate.set()
    assert flights.run("k", lambda: done, 10, lambda: False)[0] == done
    leader.join(10)


def test_the_cache_is_opt_in_free_and_ends() -> None:
    clock = [0.0]
    script = Scripted([Step(text="one"), Step(text="two"), Step(text="three")])
    one = client(script, cache=LocalCache(clock=lambda: clock[0]))
    assert one.complete(ask(cache_seconds=10.0)).text == "one"
    again = one.complete(ask(cache_seconds=10.0))
    assert (again.text, again.source, again.micro_usd, again.attempts) == ("one", "cache", 0, 0)
    assert one.complete(ask()).text == "two", "who does not ask for the cache does not get it"
    clock[0] = 10.0
    assert one.complete(ask(cache_seconds=10.0)).text == "three"


def test_the_cache_drops_the_least_recently_used() -> None:
    cache = LocalCache(most=2, clock=lambda: 0.0)
    reply = Reply(finish_reason="stop", model="a", account="x")
    cache.put("a", reply, 9)
    cache.put("b", reply, 9)
    assert cache.get("a", 9)
    cache.put("c", reply, 9)
    assert [bool(cache.get(key, 9)) for key in "abc"] == [True, False, True]


def test_refusals_are_shared_as_errors() -> None:
    script = Scripted([])
    with pytest.raises(LlmRefused):
        client(script).complete(ask())
