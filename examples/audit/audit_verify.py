"""Prove from the events that a run lost nothing: what must hold after a worker was killed, each with what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from audit_calls import call_totals
from audit_model import Audit, Scan
from audit_run import Kill, RunRecord
from audit_totals import plural
from audit_totals import seconds as seconds_text

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold (`ok` True or False) or is only told (`ok` None)."""

    ok: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """After a kill: the nodes that were lost with the worker, and the seconds until each was claimed again."""

    kill: Kill
    again: dict[str, float | None]
    next_claim: float | None
    """Seconds from the kill to the next claim of any node: the work did not stop."""


def verify(record: RunRecord, scan: Scan, audit: Audit) -> list[Check]:
    """All checks of a finished run."""
    return [*_node_checks(record), *_result_checks(scan, audit), *_call_checks(record, audit), *_kill_checks(record)]


def _node_checks(record: RunRecord) -> Iterator[Check]:
    total = len(record.states)
    undone = [node for node, state in record.states.items() if state != "DONE"]
    yield Check(record.state == "DONE", f"the goal is {record.state}")
    yield Check(not undone, f"{total - len(undone):,} of {total:,} nodes are DONE{_names(undone)}")
    commits = Counter(event.node for event in record.events if event.type == "node.done")
    odd = [node for node in record.states if commits[node] != 1]
    text = f"{total - len(odd):,} of {total:,} nodes have exactly one accepted commit in the event stream"
    yield Check(not odd, text + _names([f"{node} has {commits[node]}" for node in odd]))


def _result_checks(scan: Scan, audit: Audit) -> Iterator[Check]:
    wanted = Counter(module["path"] for module in scan["modules"])
    missing = wanted - Counter(module["path"] for module in audit["modules"])
    more = Counter(module["path"] for module in audit["modules"]) - wanted
    text = f"{len(wanted) - len(missing):,} of {len(wanted):,} modules are in the report once"
    yield Check(not missing and not more, text + _names([*missing, *more]))


def _call_checks(record: RunRecord, audit: Audit) -> Iterator[Check]:
    prose = audit.get("prose")
    if prose is None:
        return
    passages = [prose["abstract"], *prose["modules"]]
    sums = call_totals(record.calls, record.gauges)
    told = sum(one["input_tokens"] + one["output_tokens"] for one in passages)
    text = f"{plural(sums.calls, 'model call')} by {sums.models}: {told:,} tokens in the outputs, {sums.tokens:,} in the events"
    yield Check(sums.calls == len(passages) and told == sums.tokens > 0, text)
    if record.gauges:
        last = record.gauges[-1]
        held = f"{last.tokens:,} tokens counted, {last.in_flight} in flight, {last.waiting} waiting"
        yield Check((last.tokens, last.in_flight, last.waiting) == (told, 0, 0), f"the limiter's books balance: {held}")
        over = [one for one in record.gauges if one.allowed is not None and one.in_flight > one.allowed]
        yield Check(not over, f"at most {sums.used} calls in flight, {sums.most_waiting} waiting")
    dropped = sum(one["kept"] != " ".join(one["said"].split()) for one in passages)
    yield Check(
        None, f"{dropped} of {len(passages)} answers had sentences that did not hold against the facts; left out"
    )


def _kill_checks(record: RunRecord) -> Iterator[Check]:
    for kill in record.kills:
        found = recovery(record, kill)
        never = [node for node, seconds in found.again.items() if seconds is None]
        waits = sorted(seconds for seconds in found.again.values() if seconds is not None)
        if not found.again:
            yield Check(None, f"{kill.name} held no node when it was killed: nothing had to be run again")
        else:
            names = _names([record.titles.get(node) or node for node in found.again])
            lost = plural(len(found.again), "node")
            yield Check(not never, f"{lost} lost with {kill.name}, {len(waits)} run again{names}")
        if waits:
            yield Check(None, f"from the kill to the claim of a lost node: {_range(waits)}")
        if found.next_claim is not None:
            yield Check(None, f"from the kill to the next claim of any node: {seconds_text(found.next_claim)}")
    fenced = sum(event.type == "node.fenced" for event in record.events)
    if fenced:
        yield Check(None, f"{plural(fenced, 'late commit')} fenced off; nothing was changed")


def _range(waits: Sequence[float]) -> str:
    return seconds_text(waits[0]) if len(waits) == 1 else f"{seconds_text(waits[0])} to {seconds_text(waits[-1])}"


def recovery(record: RunRecord, kill: Kill) -> Recovery:
    """What happened after a kill: lost nodes are those with a `node.lost` event after it."""
    after = [event for event in record.events if event.at >= kill.at]
    claims = [event for event in after if event.type == "node.claimed"]
    again: dict[str, float | None] = {}
    for place, event in enumerate(after):
        if event.type == "node.lost":
            rest = (later for later in after[place:] if later.type == "node.claimed" and later.node == event.node)
            claim = next(rest, None)
            again[event.node] = claim.at - kill.at if claim else None
    return Recovery(kill, again, claims[0].at - kill.at if claims else None)


def _names(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f": {', '.join(names[:_SHOWN])}{more}"
