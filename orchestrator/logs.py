"""Log lines of workers and beat: what they say of the node that runs, in three styles, and what they never say.

Every line that is logged while a node runs, by us, by user's code or by a library, carries the goal, the node, the
attempt, the worker and the goal's trace id. Passwords, keys and tokens are masked in all of them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import structlog

Style = Literal["concise", "event", "json"]
Fields = Mapping[str, str | int]
Line = MutableMapping[str, Any]

MASK: Final = "***"
SECRET_CHARACTERS: Final = 8
"""A known secret that is shorter is not looked for: it would be found in ordinary words."""
ENDINGS: Final = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_PASSWD")
"""Variables of the environment with such names hold secrets."""

_NAMED: Final = (
    r"(?:password|passwd|pwd|secret|api[_-]?key|apikey|secret[_-]?key|access[_-]?key|private[_-]?key|credentials?"
    r"|(?:access|refresh|auth|bearer|id|session|api)[_-]?token|x-api-key)"
)
_RULES: Final = (
    # scheme://user:password@host
    (("://",), re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']*:)[^\s/@\"']+(?=@)", re.IGNORECASE)),
    # Authorization: Basic abc; elsewhere not the word behind "basic", but what looks like no word: a digit, =, mixed case.
    (
        ("bearer", "basic"),
        re.compile(
            r"(?P<keep>\bauthorization\W{1,8}(?:bearer|basic)\s+"
            r"|\b(?:bearer|basic)\s+(?=[A-Za-z0-9._~+/=-]*(?:\d|=|(?-i:[a-z][A-Z]))))[A-Za-z0-9._~+/=-]{8,}",
            re.IGNORECASE,
        ),
    ),
    # password=abc, "api_key": "abc", --token abc
    (
        ("pass", "pwd", "secret", "key", "credential", "token"),
        re.compile(
            rf"(?P<keep>{_NAMED}\\*[\"']?\s*(?:[:=]|%3[ad])\s*(?:\\*[\"'])?)(?!{re.escape(MASK)})[^\s\"',;&\\}})\]]{{3,}}",
            re.IGNORECASE,
        ),
    ),
    # Keys that are known by their form: OpenAI and its like, Standard Webhooks, GitHub, Slack, AWS, Google, JSON Web Tokens.
    (
        ("sk-", "whsec_", "gh", "xox", "akia", "aiza", "eyj"),
        re.compile(
            r"(?P<keep>)\b(?:sk-[A-Za-z0-9_-]{12,}|whsec_[A-Za-z0-9+/=]{12,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
            r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}"
            r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)"
        ),
    ),
)
"""Words without one of which a rule need not be tried, in lower case, and the rule. A line is logged often."""

_known: tuple[str, ...] = ()
_running: Callable[[], Fields] = dict


def hide(secrets: Iterable[str]) -> None:
    """Mask these values, too, wherever they stand in a line."""
    global _known
    found = {form for one in secrets if len(one) >= SECRET_CHARACTERS for form in (one, quote(one, safe=""))}
    _known = tuple(sorted({*_known, *found}, key=len, reverse=True))


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """The values of variables that hold secrets, by their names."""
    return [value for name, value in environment.items() if name.upper().endswith(ENDINGS)]


def redact(text: str) -> str:
    """The text with passwords, keys and tokens masked: those that look like ones, and those that are known."""
    low = text.lower()
    for signs, rule in _RULES:
        if any(sign in low for sign in signs):
            text = rule.sub(rf"\g<keep>{MASK}", text)
    for secret in _known:  # behind the rules: one that is a word like "password" must not hide their signs from them
        text = text.replace(secret, MASK)
    return text


def tell_running(fields: Callable[[], Fields]) -> None:
    """What says which node the calling thread or greenlet runs: its names and values stand in every line."""
    global _running
    _running = fields


class saying:
    """``with saying(fields): ...`` puts fields into every line that is logged in the block, by this thread or greenlet."""

    __slots__ = ("_fields", "_tokens")

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._tokens = structlog.contextvars.bind_contextvars(**self._fields)

    def __exit__(self, *_: object) -> None:
        structlog.contextvars.reset_contextvars(**self._tokens)


def dress(handlers: Iterable[logging.Handler], style: Style, colours: bool = True) -> None:
    """Give handlers our format; `colours` are for terminals only.

    structlog, where the program did not configure it, goes the same way as the standard library's loggers.
    """
    for handler in handlers:
        handler.setFormatter(formatter(style, colours and _is_terminal(handler)))
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )


def formatter(style: Style, colours: bool = False) -> logging.Formatter:
    """A formatter for the standard library's records, for logging set-ups of your own."""
    ends: Mapping[Style, Callable[[Any, str, Line], Any]] = {
        "json": structlog.processors.JSONRenderer(default=str),
        "event": structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event"), bool_as_flag=False),
        "concise": _Concise(colours),
    }
    return _Formatter(ends[style], flat=style == "event")


class _Formatter(logging.Formatter):
    """Makes a line of a record: ours rather than structlog's, which takes ten times as long for each."""

    def __init__(self, render: Callable[[Any, str, Line], Any], flat: bool) -> None:
        super().__init__()
        self._render = render
        self._flat = flat

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.processName,
        }
        said = self._said(record)
        if said:
            line.update(_masked(said))
        if bound := structlog.contextvars.get_contextvars():
            line.update(_masked(bound))
        line.update(_running())
        return str(self._render(None, "", _flatten(line) if self._flat else line))

    def _said(self, record: logging.LogRecord) -> dict[str, Any]:
        """What the program said: the message, fields, an exception."""
        own = record.__dict__
        if isinstance(record.msg, dict) and "_logger" in own:  # it comes by way of structlog
            said = dict(structlog.processors.format_exc_info(None, "", dict(record.msg)))
        else:
            said = {"event": record.getMessage()}
        if len(own) > _USUAL:
            said.update(
                (f"{name}_" if name in _BODY else name, value)
                for name, value in own.items()
                if name not in _PLAIN and name[0] != "_"
            )
            if record.name.startswith("celery."):
                said.pop("data", None)  # what its text says already, and the arguments of tasks
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            said["stack"] = record.stack_info
        return said


_USUAL: Final = len(vars(logging.makeLogRecord({})))
_PLAIN: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
"""What every record has."""


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: MASK if _names_secret(name) else _masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


def _names_secret(name: object) -> bool:
    return isinstance(name, str) and re.search(rf"(?:^|[_.-]){_NAMED}$", name, re.IGNORECASE) is not None


def _flatten(line: Line) -> Line:
    """One line is one event: an exception's lines are written with `\\n`."""
    flat = {
        name: value if isinstance(value, str | int | float | None) else json.dumps(value)
        for name, value in line.items()
    }
    return {re.sub(r"[^\w.-]", "_", name): value for name, value in flat.items()}  # fmt: skip


_BODY: Final = ("timestamp", "level", "logger", "process", "event", "exception", "stack")
_SHADES: Final = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}


class _Concise:
    """One line for people: time, level, message, then who; an exception below."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _: object, __: str, line: Line) -> str:
        level = str(line.get("level", "info"))
        head = (
            f"{line['timestamp']} {level.upper():<8}{line.get('process', '')} {line.get('logger', '')}: {line['event']}"
        )
        rest = " ".join(f"{name}={_plain(value)}" for name, value in line.items() if name not in _BODY)
        below = "".join(f"\n{line[name]}" for name in ("exception", "stack") if line.get(name))
        shade = _SHADES.get(level) if self._colours else None
        text = f"\x1b[{shade}m{head}\x1b[0m" if shade else head
        return f"{text}  {rest}{below}" if rest else text + below


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return json.dumps(text) if re.search(r"[\s\"=]", text) and isinstance(value, str) else text


def _is_terminal(handler: logging.Handler) -> bool:
    return bool(getattr(getattr(handler, "stream", sys.stderr), "isatty", bool)())
