"""A model's words and what its calls cost, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from audit_calls import call_totals, changes
from audit_markup import plain_markdown as plain
from audit_model import Prose
from audit_prose_html import NOTHING_KEPT, by
from audit_run import RunRecord, span
from audit_totals import plural, seconds

MAX_GAUGES = 40


def abstract_lines(prose: Prose) -> Iterator[str]:
    """The abstract and who wrote it."""
    yield f"> {plain(prose['abstract']['kept'] or NOTHING_KEPT)}\n"
    yield f"Written by {plain(by(prose['abstract']))}, checked against the figures below.\n"


def words_lines(prose: Prose) -> Iterator[str]:
    """What the model wrote about the worst modules, beside the facts."""
    yield "## The worst modules in words\n"
    yield f"Written by {plain(by(prose['abstract']))} from the facts beside it.\n"
    rows = [
        [plain(one["subject"]), plain(one["kept"] or NOTHING_KEPT), plain(one["facts"])] for one in prose["modules"]
    ]
    yield from rows_of(("module", "the model's words", "facts it was given"), rows)


def calls_lines(run: RunRecord) -> Iterator[str]:
    """The calls and the limiter's gauges."""
    sums = call_totals(run.calls, run.gauges)
    yield "## Model calls\n"
    yield f"- {plural(sums.calls, 'call')} by {plain(sums.models)} on {plain(sums.accounts)}, {sums.attempts} attempts"
    yield f"- {sums.input_tokens:,} tokens in, {sums.output_tokens:,} out"
    yield f"- in flight at most: {sums.used}; waiting at most: {sums.most_waiting}"
    yield f"- longest wait for a turn: {seconds(sums.longest_wait)}\n"
    rows = [
        [plain(call.node), plain(call.model), str(call.input_tokens), str(call.output_tokens), seconds(call.waited),
         seconds(call.ran), str(call.attempts)]
        for call in run.calls
    ]  # fmt: skip
    yield from rows_of(("node", "model", "tokens in", "tokens out", "waited", "ran", "attempts"), rows)
    begin = span(run)[0]
    shown = changes(run.gauges)
    yield "Gauges of the limiter, where they changed:\n"
    gauges = [
        [f"{max(0.0, gauge.at - begin):.1f} s", "–" if gauge.allowed is None else str(gauge.allowed),
         str(gauge.in_flight), str(gauge.waiting), str(gauge.calls), f"{gauge.tokens:,}"]
        for gauge in shown[:MAX_GAUGES]
    ]  # fmt: skip
    yield from rows_of(("at", "allowed", "in flight", "waiting", "calls in the window", "tokens"), gauges)


def rows_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
