"""The parts of the page that hold a model's words, each beside the facts that it was given, and what the calls cost."""

from __future__ import annotations

from audit_calls import Call, call_totals
from audit_gauges_svg import gauges_svg
from audit_html_parts import cell, section, table, tiles
from audit_markup import Markup, name_of, tag
from audit_model import Passage, Prose
from audit_run import RunRecord, span
from audit_totals import seconds

NOTHING_KEPT = "Nothing of the model's answer held against the facts."


def abstract_of(prose: Prose) -> Markup:
    """The abstract, who wrote it, and the facts from code."""
    abstract = prose["abstract"]
    return tag(
        "div",
        tag("p", abstract["kept"] or NOTHING_KEPT, class_="said"),
        tag("p", f"Written by {by(abstract)}, checked against the figures below.", class_="note"),
        class_="abstract",
        id="abstract",
    )


def words_section(prose: Prose) -> Markup:
    """What the model wrote about the worst modules."""
    lead = (
        f"Written by {by(prose['abstract'])} from the facts beside it. Sentences stay only if they are whole and their "
        "figures and most of their words stand in the facts."
    )
    rows = [
        tag(
            "tr",
            tag("th", name_of(one["subject"]), scope="row"),
            cell(one["kept"] or tag("span", NOTHING_KEPT, class_="dim"), kind="wide"),
            cell(one["facts"], kind="wide dim"),
        )
        for one in prose["modules"]
    ]
    heads = [("Module", ""), ("The model's words", ""), ("Facts it was given", "")]
    return section("words", "The worst modules in words", lead, table("The worst modules in words", heads, rows))


def by(passage: Passage) -> str:
    """Who wrote it."""
    return f"the language model {passage['model']} (account {passage['account']})"


def calls_section(run: RunRecord) -> Markup:
    """What the calls cost, how they waited, and the limiter's gauges during the run."""
    sums = call_totals(run.calls, run.gauges)
    begin, end = span(run)
    figures = [
        ("Calls", str(sums.calls), f"{sums.attempts} attempts, {sums.models}"),
        ("Tokens", f"{sums.tokens:,}", f"{sums.input_tokens:,} in, {sums.output_tokens:,} out"),
        ("In flight", sums.used, f"at most, on {sums.accounts}"),
        ("Waiting", str(sums.most_waiting), "at most, in the account's line"),
        ("Longest wait", seconds(sums.longest_wait), "from asking to going out"),
        ("Price", f"${sums.micro_usd / 1e6:,.4f}" if sums.micro_usd else "none", "by the profile"),
    ]
    heads = [
        ("Node", ""), ("Title", ""), ("Model", ""), ("Tokens in", "n"), ("Tokens out", "n"), ("Waited", "n"), ("Ran", "n"),
        ("Attempts", "n"),
    ]  # fmt: skip
    lead = "Every call took its turn in the account's line. The gauges are the limiter's, read while the goal ran."
    picture = tag("figure", gauges_svg(run.gauges, begin, end), class_="wide") if run.gauges else None
    rows = [_call_row(call, run) for call in run.calls]
    return section("calls", "Model calls", lead, tiles(figures), picture, table("Model calls", heads, rows))


def _call_row(call: Call, run: RunRecord) -> Markup:
    return tag(
        "tr",
        tag("th", tag("code", call.node), scope="row"),
        cell(run.titles.get(call.node) or "–"),
        cell(tag("code", call.model)),
        cell(f"{call.input_tokens:,}", call.input_tokens, "n"),
        cell(f"{call.output_tokens:,}", call.output_tokens, "n"),
        cell(seconds(call.waited), call.waited, "n"),
        cell(seconds(call.ran), call.ran, "n"),
        cell(call.attempts, call.attempts, "n"),
    )
