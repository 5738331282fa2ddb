"""Log lines: three styles, who runs, and what is masked in all of them."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator import logs
from orchestrator.domain.lease import Lease
from orchestrator.domain.trace import trace_id
from orchestrator.engine.context import current, enter, log_fields, running

CANARIES = (
    "redis://user:c4nary-w0rd@host/0",
    "rediss://:c4nary-w0rd@host:6379",
    "https://ann:c4nary%2Dw0rd@example.org/path",
    "Authorization: Bearer c4naryw0rdc4naryw0rd",
    "authorization: basic c4naryw0rdc4naryw0rd==",
    "sent as Bearer c4naryw0rdc4naryw0rd",
    "password=c4nary-w0rd",
    "PASSWORD = 'c4nary-w0rd'",
    '{"api_key": "c4nary-w0rd", "n": 1}',
    '{\\"api_key\\": \\"c4nary-w0rd\\"}',
    "x-api-key: c4nary-w0rd",
    "https://example.org/?access_token=c4nary-w0rd&n=1",
    "client_secret=c4nary-w0rd",
    "aws_secret_access_key: c4nary-w0rd",
    "sk-c4naryw0rdc4naryw0rd",
    "sk-proj-c4naryw0rd_c4naryw0rd",
    "ghp_c4naryw0rdc4naryw0rdc4naryw0rd",
    "xoxb-123456-c4naryw0rd",
    "whsec_c4naryw0rdc4naryw0rd",
    "eyJhbGciOiJIUzI1NiJ9.c4naryw0rdc4naryw0rd.c4naryw0rd",
    "it stands anywhere: c4nary known w0rd.",
    "and in a URL: c4nary%20known%20w0rd",
)
PLAIN = (
    "the token 7 is not higher than 9",
    "token: 4 follows 7",
    "tokens=120 input_tokens: 300",
    "the secretary passed the keyboard",
    "http://example.org:8080/path@2x.png",
    "ann@example.org wrote",
    "node password-reset of goal secret-santa is READY",
    "skill-based routing sk-short",
    "Basic authentication failed for ann",
    "using basic configuration, as bearer certificates are missing",
)


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[Callable[[logs.Style], tuple[logging.Logger, io.StringIO]]]:
    made: list[logging.Logger] = []

    def make(style: logs.Style) -> tuple[logging.Logger, io.StringIO]:
        out = io.StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(logs.formatter(style))
        logger = logging.getLogger(f"shop.{request.node.name}")
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.DEBUG)
        made.append(logger)
        return logger, out

    yield make
    for logger in made:
        logger.handlers, logger.propagate = [], True


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_known", ())
    monkeypatch.setattr(logs, "_running", lambda: log_fields("w1@host/7"))
    logs.hide(["c4nary known w0rd", "short"])


@pytest.mark.parametrize("text", CANARIES)
def test_secrets_are_masked(text: str) -> None:
    said = logs.redact(text)
    assert "c4nary" not in said
    assert logs.MASK in said
    assert logs.redact(said) == said, "masking again changes nothing"


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.redact(text) == text


@pytest.mark.parametrize("style", ["concise", "event", "json"])
def test_no_style_shows_a_secret_wherever_it_stands(style: logs.Style, lines: Any) -> None:
    logger, out = lines(style)
    for text in CANARIES:
        logger.warning(text)
        logger.warning(
            "with %s", text, extra={"more": text, "deep": {"list": [text], "password": "c4nary"}, "secret": "c4nary"}
        )
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception("failed")
    assert "c4nary" not in out.getvalue()
    assert out.getvalue().count(logs.MASK) > 3 * len(CANARIES)


def test_json_is_json_with_who_runs(lines: Any) -> None:
    logger, out = lines("json")
    lease = Lease("g", "n", 4, "nonce", 2, "1700000000000")
    with running(lease):
        logger.info('a "quoted"\nline with password=c4nary-w0rd', extra={"order": 7, "goal": "not this one"})
    logger.info("outside")
    inside, outside = map(json.loads, out.getvalue().splitlines())
    assert inside["event"] == 'a "quoted"\nline with password=***'
    assert {name: inside[name] for name in ("goal", "node", "attempt", "worker", "trace", "order", "level")} == {
        "goal": "g", "node": "n", "attempt": 2, "worker": "w1@host/7", "trace": trace_id("g", 1700000000000), "order": 7,
        "level": "info",
    }  # fmt: skip
    assert inside["timestamp"].endswith("Z")
    assert "node" not in outside


def test_fields_of_the_program_do_not_replace_what_the_line_says(lines: Any) -> None:
    logger, out = lines("json")
    logger.info("sold", extra={"event": "sale", "level": 3, "logger": "till"})
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"]) == ("sold", "info")
    assert (line["event_"], line["level_"], line["logger_"]) == ("sale", 3, "till")


def test_event_style_is_one_line_of_pairs(lines: Any) -> None:
    logger, out = lines("event")
    with running(Lease("g", "n", 4, "nonce", 2, "1")):
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logger.exception("it is over", extra={"order": {"n": 1}})
    (line,) = out.getvalue().splitlines()
    assert 'event="it is over"' in line
    assert " goal=g node=n attempt=2 worker=w1@host/7 " in line
    assert r"ValueError: two\nlines" in line


def test_concise_style_is_for_people(lines: Any) -> None:
    logger, out = lines("concise")
    with running(Lease("g", "n", 4, "nonce", 2, "1")):
        logger.error("it is over", extra={"note": "two words"})
    assert "ERROR   " in out.getvalue()
    assert out.getvalue().endswith(
        f'it is over  note="two words" goal=g node=n attempt=2 worker=w1@host/7 trace={trace_id("g", 1)}\n'
    )


def test_arguments_of_tasks_that_celery_attaches_are_left_out(lines: Any) -> None:
    _, out = lines("json")
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.formatter("json"))
    record = logging.LogRecord("celery.worker.strategy", 20, "f", 1, "Task received", (), None)
    record.data = {"args": "(my prompt)"}
    handler.handle(record)
    assert "my prompt" not in out.getvalue()


def test_saying_puts_fields_into_the_lines_of_a_block(lines: Any) -> None:
    logger, out = lines("json")
    with logs.saying({"callback": "ear", "token_of": "password=c4nary"}):
        logger.info("in")
    logger.info("out")
    inside, outside = map(json.loads, out.getvalue().splitlines())
    assert (inside["callback"], "callback" in outside) == ("ear", False)
    assert inside["token_of"] == "password=***"


def test_secrets_of_the_environment_are_known_by_their_names() -> None:
    found = logs.secrets_in({"OPENAI_API_KEY": "k", "db_password": "p", "HOME": "h", "KEYBOARD": "b", "GH_TOKEN": "t"})
    assert sorted(found) == ["k", "p", "t"]


def test_a_lease_is_told_from_begin_to_end_of_work_that_is_called_apart() -> None:
    enter(Lease("g", "n", 1, "x", 1))
    try:
        assert log_fields("w") == {"goal": "g", "node": "n", "attempt": 1, "worker": "w"}
    finally:
        enter(None)
    assert (current(), log_fields("w")) == (None, {})


def test_colours_only_where_asked_for() -> None:
    record = logging.LogRecord("shop", logging.ERROR, "f", 1, "text", (), None)
    assert "\x1b" not in logs.formatter("concise").format(record)
    assert "\x1b[31m" in logs.formatter("concise", colours=True).format(record)
    assert not logs._is_terminal(logging.StreamHandler(io.StringIO()))
    assert logs._is_terminal(logging.StreamHandler(sys.stdout)) == sys.stdout.isatty()


def test_a_password_that_is_a_word_does_not_hide_the_others() -> None:
    logs.hide(["password"])
    assert "c4nary" not in logs.redact("password=c4nary-w0rd")
