"""The part of the page on the run that made the report: figures, proof, Gantt, critical path."""

from __future__ import annotations

from typing import Final

from audit_gantt_svg import gantt_svg, legend
from audit_html_parts import cell, section, table, tiles
from audit_markup import Child, Markup, tag
from audit_run import RunRecord, Step, attempts, critical_path, facts, span
from audit_totals import plural, seconds
from audit_verify import Recovery, recovery

MAX_NAMED: Final = 4


def run_section(run: RunRecord) -> Markup:
    """The section, with the kill and what came after it where there was one."""
    found = facts(run)
    busy = found.busy_seconds / found.seconds if found.seconds else 0.0
    figures = [
        ("Nodes done", f"{found.done:,} of {found.nodes:,}", f"goal {run.state}"),
        ("Length", seconds(found.seconds), f"{found.busy_seconds:.1f} s of work, {busy:.1f} at a time"),
        ("Worker processes", str(found.workers), "that ran at least one node"),
        ("Kills survived", str(found.kills), f"{plural(found.lost, 'node')} lost and run again"),
        ("Retries", str(found.retries), f"{plural(found.attempts, 'claim')} in all"),
    ]
    lead = ["Goal ", tag("code", run.goal), ", drawn from its event stream. Times are Redis's."]
    path = critical_path(run)
    return section(
        "run",
        "The run",
        lead,
        tiles(figures),
        _story(run),
        tag("figure", gantt_svg(run), class_="wide"),
        legend(run, attempts(run)),
        tag("h3", "Critical path"),
        tag("p", "The nodes that set the run's length: each waited for the one above it.", class_="lead"),
        _path(run, path),
    )


def _story(run: RunRecord) -> Markup | None:
    begin = span(run)[0]
    told = [tag("li", _told(run, recovery(run, kill), kill.at - begin)) for kill in run.kills]
    return tag("ul", told, class_="plain story") if told else None


def _told(run: RunRecord, found: Recovery, at: float) -> list[Child]:
    words: list[Child] = [
        tag("b", found.kill.name),
        f" was killed with SIGKILL {seconds(max(0.0, at))} after the start. ",
    ]
    names = [tag("code", run.titles.get(node) or node) for node in found.again]
    if names:
        shown = Markup(", ".join(names[:MAX_NAMED]))
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        words += ["It held ", shown, more, ": "]
        waits = [wait for wait in found.again.values() if wait is not None]
        latest = f", at the latest {seconds(max(waits))} after the kill. " if waits else ". "
        words.append(f"{len(waits)} of {len(names)} claimed again{latest}")
    else:
        words.append("It held no node at that moment. ")
    if found.next_claim is not None:
        words.append(f"The next claim by any worker came {seconds(found.next_claim)} after the kill.")
    return words


def _path(run: RunRecord, path: list[Step]) -> Markup:
    heads = [("Node", ""), ("Title", ""), ("Waited", "n"), ("Ran", "n"), ("Ended at", "n")]
    begin = path[0].ready if path else 0.0
    rows = [
        tag(
            "tr",
            tag("th", tag("code", step.node), scope="row"),
            cell(run.titles.get(step.node) or "–"),
            cell(seconds(step.waited), step.waited, "n"),
            cell(seconds(step.ran), step.ran, "n"),
            cell(seconds(step.end - begin), step.end, "n"),
        )
        for step in path
    ]
    return table("Critical path", heads, rows)
