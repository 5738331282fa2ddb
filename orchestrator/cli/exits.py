"""Exit codes, and how an error leaves the command: one message, or one JSON object, and never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import click

from orchestrator.cli import output
from orchestrator.domain.errors import ChordalError, RedisFull, RedisNotReachable, RedisRefuses
from orchestrator.domain.states import GoalState


class ExitCode(IntEnum):
    """What `chordal` tells its caller."""

    DONE = 0  # the goal is DONE, or the command did what was asked
    FAILED = 1  # the goal, a check of `doctor` or a part of the stack failed
    USAGE = 2  # bad input or usage: mend it and try again
    CANCELLED = 3  # the goal was CANCELLED
    NO_REDIS = 4  # Redis is not reachable
    DETACHED = 130  # Ctrl-C or --timeout: the command let go of a goal that goes on
    PIPE = 141  # the reader of stdout went away


def of_outcome(state: GoalState) -> ExitCode:
    """The exit code of a command that followed a goal; DETACHED where the goal has not ended."""
    ended = {
        GoalState.DONE: ExitCode.DONE,
        GoalState.FAILED: ExitCode.FAILED,
        GoalState.CANCELLED: ExitCode.CANCELLED,
    }
    return ended.get(state, ExitCode.DETACHED)


def of_error(error: ChordalError) -> ExitCode:
    """The exit code of a command that could not do what was asked."""
    from orchestrator.embedded.errors import ServerNotFound, StackNotReady

    if isinstance(error, RedisNotReachable | ServerNotFound):
        return ExitCode.NO_REDIS
    return ExitCode.FAILED if isinstance(error, StackNotReady | RedisFull | RedisRefuses) else ExitCode.USAGE


@contextmanager
def one_handler(as_json: bool) -> Iterator[None]:
    """Turn what is expected to go wrong into a message and an exit code. Anything else keeps its traceback."""
    try:
        yield
    except ChordalError as error:
        message = "\n".join([str(error), *getattr(error, "__notes__", ())])
        refuse(type(error).__name__, message, as_json, faults=_faults(error))
        raise SystemExit(of_error(error)) from None
    except click.ClickException as error:
        if not as_json:
            raise
        refuse("UsageError", error.format_message(), as_json)
        raise SystemExit(ExitCode.USAGE) from None
    except BrokenPipeError:
        # Python flushes stdout once more at exit; without somewhere to go that would print the very message we avoid.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.PIPE) from None
    except KeyboardInterrupt:
        click.echo(err=True)  # closes the terminal's ^C
        raise SystemExit(ExitCode.DETACHED) from None
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        refuse(type(error).__name__, what, as_json)
        raise SystemExit(ExitCode.USAGE) from None


def _faults(error: ChordalError) -> list[dict[str, Any]]:
    faults = getattr(error, "faults", ())
    return [{"place": fault.place, "message": fault.message, "remedy": fault.remedy} for fault in faults]


def refuse(kind: str, message: str, as_json: bool, faults: list[dict[str, Any]] | None = None) -> None:
    """Say that something could not be done, and why; the exit code is the caller's."""
    if as_json:
        output.json_line({"error": {"type": kind, "message": message, "faults": faults or []}})
    else:
        click.echo(f"{click.style('Error:', fg='red')} {output.safe(message)}", err=True)
