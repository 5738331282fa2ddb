"""`dead`: failed nodes and messages that nobody could read: look at them, run them again, or hear no more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli import output
from orchestrator.cli.context import Command, Id, client, connection_options, example, json_option
from orchestrator.cli.giving import sender

if TYPE_CHECKING:
    from orchestrator.operate.dead import Letter

ERROR: Final = 160
"""Characters of an error in a list."""


class LetterId(click.ParamType[str]):
    """The id of a dead letter. Shell completion offers those that there are."""

    name = "letter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        goal, slash, node = str(value).partition("/")
        for part in (goal, *((node,) if slash else ())):
            Id().convert(part, param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str  # noqa: ARG002 (click's signature)
    ) -> list[click.shell_completion.CompletionItem]:  # fmt: skip
        from click.shell_completion import CompletionItem

        try:
            with ctx.scope(cleanup=False):
                found = client().operator.letters()
        except Exception:
            return []
        return [CompletionItem(one.id, help=one.reason) for one in found if one.id.startswith(incomplete)]


letter_argument = click.argument("letter", type=LetterId(), metavar="LETTER")
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit trail.")


@click.group(name="dead", context_settings={"help_option_names": ["-h", "--help"]})
@connection_options
def dead() -> None:
    """Dead letters: nodes whose attempts are used up, and broker messages that no worker could read.

    A node is called GOAL/NODE, a message m- and twelve hex digits.
    """


@dead.command(
    name="list",
    cls=Command,
    epilog=example("chordal dead list", "chordal dead list --goal g1 --json", "chordal dead list --all"),
)
@click.option("--goal", type=Id(), metavar="GOAL", help="Only the nodes of this goal.")
@click.option("--all", "seen", is_flag=True, help="Those that somebody dropped, too.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), metavar="N", default=100, show_default=True, help="At most so many."
)
@json_option
@connection_options
def list_letters(goal: str | None, seen: bool, limit: int, as_json: bool) -> None:
    """List dead letters: messages first, then nodes, those of the newest goal first."""
    found = client().operator.letters(goal, seen=seen)
    if as_json:
        output.json_line([one.as_json() for one in found[:limit]])
        return
    if not found:
        click.echo("no dead letters", err=True)
        return
    rows = [
        (one.id, output.one_line(one.owner or "-"), output.one_line(one.reason, 40), output.one_line(one.seen) or "-", _error(one))
        for one in found[:limit]
    ]  # fmt: skip
    output.columns(("letter", "owner", "reason", "dropped by", "error"), rows)
    if len(found) > limit:
        click.echo(f"... and {len(found) - limit:,} more (--limit)", err=True)


def _error(one: Letter) -> str:
    text = one.error if one.kind == "node" else f"queue {one.queue}: {one.body}"
    return output.one_line(text, ERROR)


@dead.command(cls=Command, epilog=example("chordal dead show g1/fetch", "chordal dead show m-0f3a9c2b7d11 --json"))
@letter_argument
@json_option
@connection_options
def show(letter: str, as_json: bool) -> None:
    """Show one dead letter: why, the error with its trace, or the message as it came."""
    one = client().operator.letter(letter)
    if as_json:
        output.json_line(one.as_json())
        return
    click.echo(f"{click.style(one.id, bold=True)}: {output.one_line(one.reason)}")
    for label, value in (("owner", one.owner), ("queue", one.queue), ("dropped by", one.seen)):
        if value:
            click.echo(f"  {label:<10}  {output.one_line(value)}")
    if one.at is not None:
        click.echo(f"  {'set aside':<10}  {output.clock(one.at)}")
    for label, text in (
        ("headers" if one.kind == "message" else "error", one.error),
        ("body", one.body),
        ("trace", one.trace),
    ):
        if text:
            click.echo(f"  {label}")
            click.echo("\n".join(f"    {line}" for line in output.safe(text).splitlines()))


@dead.command(
    cls=Command,
    epilog=example(
        "chordal dead requeue g1/fetch", "chordal dead requeue m-0f3a9c2b7d11 --reason 'its encoding is known now'"
    ),
)
@letter_argument
@reason_option
@json_option
@connection_options
def requeue(letter: str, reason: str, as_json: bool) -> None:
    """Run it again: a node as by RETRY, a message by sending it to its queue once more.

    A message that was too long to be kept whole cannot be sent again. Exits with 2 where it cannot be done.
    """
    door = client()
    goal, slash, node = letter.partition("/")
    if slash:
        from orchestrator.cli.giving import give

        give("RETRY", {"goal": goal, "node": node, "reason": reason}, {}, as_json)
        return
    _allowed("RETRY")
    queue = door.operator.requeue_message(letter, f"cli:{sender()}", reason)
    _tell(letter, "requeued", f"sent to the queue {queue} again", as_json)


@dead.command(
    cls=Command,
    epilog=example("chordal dead drop g1/fetch --reason 'known, fixed in 1.4'", "chordal dead drop m-0f3a9c2b7d11"),
)
@letter_argument
@reason_option
@json_option
@connection_options
def drop(letter: str, reason: str, as_json: bool) -> None:
    """Hear no more of it: a message is forgotten, a node stays FAILED and its letter is marked as seen.

    `doctor` and `dead list` leave it out then. A retry of the node makes a new letter should it fail again.
    """
    operator = client().operator
    _allowed("DROP-TASK")
    goal, slash, node = letter.partition("/")
    by = f"cli:{sender()}"
    outcome = operator.acknowledge(goal, node, by, reason) if slash else operator.drop_message(letter, by, reason)
    _tell(letter, outcome, "was dropped before" if outcome == "known" else "dropped", as_json)


def _allowed(verb: str) -> None:
    """Raises Denied where the policy does not let this door do what is like this command."""
    from orchestrator.cli.context import settings
    from orchestrator.control.policy import read_policy
    from orchestrator.domain.command import Denied, Door

    chosen = settings()
    policy = read_policy(chosen.policy, chosen.policy_file)
    wanted: Any = verb
    if wanted not in policy.allowed(Door.CLI, sender()):
        raise Denied(f"cli:{sender()} may not do this: it needs {verb} by the policy ({policy.said})")


def _tell(letter: str, outcome: str, words: str, as_json: bool) -> None:
    if as_json:
        output.json_line({"letter": letter, "outcome": outcome})
    else:
        click.echo(f"{letter}: {words}")
