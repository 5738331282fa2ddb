"""What every command shares: the options that say where Redis is, the facade made from them, argument types."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from orchestrator.cli.completing import Owner

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from orchestrator.wiring import Chordal

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_GIVEN: Final = "orchestrator.cli.given"
"""Key in click's `ctx.meta`. Not `ctx.obj`: under `celery -A app goal` that one is Celery's."""


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value is not None and param.name:
        ctx.meta.setdefault(_GIVEN, {})[param.name] = value
    return value


def connection_options(command: Decorated) -> Decorated:
    """`--redis-url` and `--data-dir`, before or after the command's name; the later one wins."""
    where = click.Path(file_okay=False, resolve_path=True, path_type=Path)
    data_dir = click.option(
        "--data-dir",
        type=where,
        metavar="DIR",
        expose_value=False,
        callback=_remember,
        help="Folder of the one-machine stack.  [env: CHORDAL_DATA_DIR]",
    )
    redis_url = click.option(
        "--redis-url",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="Redis to use in place of the one-machine stack.  [env: CHORDAL_REDIS_URL, REDIS_URL]",
    )
    return redis_url(data_dir(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, errors too.")


def settings(**more: Any) -> Settings:
    """The settings: what this command line says, then the environment, then the defaults."""
    from pydantic import ValidationError

    from orchestrator.settings import Settings

    try:
        return Settings(**click.get_current_context().meta.get(_GIVEN, {}), **more)
    except ValidationError as error:
        wrong = "; ".join(
            f"CHORDAL_{'_'.join(map(str, detail['loc'])).upper().removeprefix('CHORDAL_')}: {detail['msg']}"
            for detail in error.errors()
        )
        raise click.UsageError(f"a setting is not valid: {wrong}") from None


def client(chosen: Settings | None = None) -> Chordal:
    """The facade. Its first use raises RedisNotReachable where no Redis answers."""
    from orchestrator.wiring import connect

    return connect(chosen or settings())


def again(*words: str, variables: Mapping[str, str] | None = None) -> str:
    """A command line that the user can paste: this program, where Redis is if it was given here, then the words.

    `variables` are set for it.
    """
    ctx = click.get_current_context()
    celery = "celery" in (ctx.find_root().info_name or "")
    program = ["celery", "-A", "orchestrator", "goal"] if celery else ["chordal"]
    given = dict(ctx.meta.get(_GIVEN, {}))
    if "redis_url" in given:
        from orchestrator.store.connection import hide_password

        given["redis_url"] = hide_password(given["redis_url"])
    where = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    before = "".join(f"{name}={shlex.quote(value)} " for name, value in (variables or {}).items())
    return before + shlex.join([*program, *where, *words])


PATHS: Final = ("PATH", "FILE|DIR|-")
"""What arguments are called that are file names, which need be no text."""


def must_be_text(value: str, param: click.Parameter | None = None, name: str = "") -> str:
    """The value. Raises a click error that names the parameter where its bytes were not UTF-8: no goal can hold those."""
    if any("\ud800" <= one <= "\udfff" for one in value):
        raise click.BadParameter("it is not UTF-8 text", param=param, param_hint=name or None)
    return value


def text_of(value: str, name: str) -> str:
    """The text of an argument, or of standard input where it is ``-``. Raises a click error where that is not UTF-8."""
    if value != "-":
        return value
    try:
        return must_be_text(sys.stdin.read(), name=name)
    except UnicodeDecodeError:
        raise click.BadParameter("standard input is not UTF-8 text", param_hint=name) from None


class Command(click.Command):
    """A command whose help lists its own options before those that others have too."""

    SHARED = ("--reason", "--id", "--expires")
    COMMON = ("--json", "--redis-url", "--data-dir", "--help")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if param.name == "owner" and param.type is click.STRING:
                param.type = Owner()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for param in self.get_params(ctx):
            value = ctx.params.get(param.name or "")
            if isinstance(value, str) and param.metavar not in PATHS:
                must_be_text(value, param)
        return rest

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        places = {name: place for place, name in enumerate((*self.SHARED, *self.COMMON), 1)}
        return sorted(super().get_params(ctx), key=lambda param: places.get(param.opts[-1], 0))


class Id(click.ParamType[str]):
    """The id of a goal or a node. Shell completion offers those that are stored."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from orchestrator.domain.dag import ID_PATTERN

        if not re.fullmatch(ID_PATTERN.strip("^$"), value):
            self.fail(f"{value!r} is not an id: 1 to 64 letters, digits, dots, underscores or hyphens", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from orchestrator.cli.completing import offered

        return offered(ctx, param, incomplete)


class StreamId(click.ParamType[str]):
    """The id of an event or an entry, as their JSON has it."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value and not re.fullmatch("[0-9]{1,19}(-[0-9]{1,19})?", str(value)):
            self.fail(f"{value!r} is no such id: they look like 1795283738605-0", param, ctx)
        return str(value)


goal_argument = click.argument("goal", type=Id(), metavar="GOAL")
node_argument = click.argument("node", type=Id(), metavar="NODE")


def _parse_values(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    from orchestrator.domain.document import parse_json
    from orchestrator.domain.errors import InvalidGoal

    values: dict[str, Any] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals or not key.isidentifier():
            raise click.BadParameter(f"{one!r} is not KEY=VALUE", ctx, param)
        try:
            values[key] = parse_json(text)
        except InvalidGoal:
            values[key] = text
    return values


set_option = click.option(
    "--set",
    "values",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_parse_values,
    help="A setting for goal.py's goal(): JSON, or text where it is not JSON. Repeatable.",
)


def example(*lines: str) -> str:
    """An epilog with command lines, which click must not rewrap."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
