"""What may happen and looks odd: none of it is taken for a fault."""

from __future__ import annotations

import json

import pytest

from orchestrator.domain.events import Event
from orchestrator.events.check import check_history, check_permits, examine_history, saved_events
from orchestrator.events.plan import Plan
from support.tale import broken_by, plan, tale

CHAIN = plan(["a", "b", "c"], [("a", "b"), ("b", "c")])
RESCUE = plan(
    ["a", "b", "c"], [{"source": "a", "target": "b", "on": "failed"}, {"source": "a", "target": "c", "on": "finished"}]
)
PICK = plan(["a", "b", "c", {"id": "any", "join": "any"}, {"id": "two", "join": 2}],
            [(source, target) for source in "abc" for target in ("any", "two")])  # fmt: skip
WHEN = plan(["a", "b"], [{"source": "a", "target": "b", "when": "score > 1"}])
LANE = plan([{"id": "x", "lane": "l"}, {"id": "y", "lane": "l"}])
FAILED = ("node.claimed a 1", 'node.failed a 1 {"reason": "error"}')

LEGAL: dict[str, tuple[tuple[str, ...], Plan | None]] = {
    "a chain": (("node.claimed a 1", "node.done a 1", "node.claimed b 2", "node.done b 2"), CHAIN),
    "nodes that ran ahead under reserved tokens": (
        ("node.claimed a 1", "node.claimed x 4", "node.done a 1", "node.claimed b 2", "node.done b 2", "node.claimed c 3"),
        CHAIN,
    ),
    "reserved tokens, taken in any order": (
        ("node.claimed a 9", *(f"node.claimed n{token} {token}" for token in (4, 6, 5, 1, 8, 7, 2, 3)), "node.claimed b 10"),
        None,
    ),
    "a retry at once": (("node.claimed a 1 attempt=1", "node.retry a 1", "node.claimed a 2 attempt=2", "node.done a 2"), None),
    "a retry after a back-off": (
        ("node.claimed a 1 attempt=1", "node.retry a 1", "node.woken a", "node.claimed a 2 attempt=2"), None,
    ),
    "a lost lease": (("node.claimed a 1 attempt=1", "node.lost a 1", "node.claimed a 2 attempt=2", "node.fenced a 1"), None),
    "a node that was lost too often": (
        ("node.claimed a 1", "node.lost a 1", 'node.failed a 1 {"reason": "lost"}'), None,
    ),
    "a node that is handed back": (
        ("node.claimed a 1 attempt=1", "node.released a 1", "node.claimed a 2 attempt=1", "node.done a 2"), None,
    ),
    "an answer that ends a parked node": (("node.claimed a 1", "node.waiting a 1", "node.woken a", "node.done a"), None),
    "an answer that fails a parked node": (
        ("node.claimed a 1", "node.waiting a 1", "node.woken a", 'node.failed a {"reason": "rejected"}'), None,
    ),
    "a parked node that goes on": (
        ("node.claimed a 1 attempt=1", "node.waiting a 1", "node.woken a", "node.claimed a 2 attempt=1", "node.done a 2"),
        None,
    ),
    "a user's task that claims its parked node": (
        ("node.claimed a 1 attempt=1", "node.waiting a 1", "node.claimed a 2 attempt=1", "node.done a 2"), None,
    ),
    "a map": (
        (
            "node.claimed a 1", 'node.expanded a 1 {"items": 1}', "node.waiting a 1", "node.claimed a.0 2",
            "node.done a.0 2", "node.woken a", "node.claimed a 3", "node.done a 3",
        ),
        None,
    ),
    "a rescue and a finally": ((*FAILED, "node.claimed b 2", "node.claimed c 3"), RESCUE),
    "a rescue that is not needed": (("node.claimed a 1", "node.done a 1", "node.skipped b", "node.claimed c 3"), RESCUE),
    "the first of any": (("node.claimed a 1", "node.claimed b 2", "node.done b 2", "node.claimed any 3"), PICK),
    "two of three": (
        (*FAILED, "node.claimed b 2", "node.done b 2", "node.claimed c 3", "node.done c 3", "node.claimed two 4"), PICK,
    ),
    "two of three that cannot be": (
        (*FAILED, "node.claimed b 2", 'node.failed b 2 {"reason": "error"}', "node.skipped two"), PICK,
    ),
    "a condition that may have held": (("node.claimed a 1", "node.done a 1", "node.claimed b 2"), WHEN),
    "a condition that may not have held": (("node.claimed a 1", "node.done a 1", "node.skipped b"), WHEN),
    "a command that acts on the goal and on its nodes": (
        tuple(f'command.applied {node} {{"command": "c", "expires": 2000}}' for node in ("", "a", "b")), None,
    ),
    "a node that is stopped and runs again": (
        (
            "node.claimed a 1 attempt=1", "goal.paused", "node.stopped a 1", "node.fenced a 1", "goal.resumed",
            "node.claimed a 2 attempt=2", "node.done a 2",
        ),
        None,
    ),
    "a hold that has ended": (
        ('goal.held {"node": "a"}', "node.claimed b 1", 'goal.released {"node": "a"}', "node.claimed a 2"), None,
    ),
    "what runs when it is held": (("node.claimed a 1", 'goal.held {"node": "a"}', "node.done a 1"), None),
    "a node of another agent, as it was handed on": (
        ('goal.held {"agent": "w"}', "node.reassigned a", "node.claimed a 1"),
        plan([{"id": "a", "kind": "agent", "agent": "w"}]),
    ),
    "a failure that is retried while its goal runs": (
        (*FAILED, "node.skipped b", "node.skipped c", "node.reopened a", "node.reopened b", "node.reopened c",
         "node.claimed a 2", "node.done a 2", "node.claimed b 3", "node.done b 3", "node.claimed c 4"),
        CHAIN,
    ),
    "a rescue that began before its parent was retried": (
        (*FAILED, "node.claimed b 2", "node.reopened a", "node.claimed a 3", "node.lost b 2", "node.claimed b 4", "node.done b 4"),
        RESCUE,
    ),
    "what is done runs again with the node before it": (
        (*FAILED, "node.claimed c 2", 'node.done c 2 {"output": "aaa"}', "goal.failed", "node.reopened c", "goal.retried",
         "node.claimed a 3", "node.done a 3", "node.skipped b", "node.claimed c 4", 'node.done c 4 {"output": "bbb"}', "goal.done"),
        RESCUE,
    ),
    "a drop as failed": (('node.dropped a {"as": "failed"}', "node.claimed b 1", "node.claimed c 2"), RESCUE),
    "a failed goal that is edited and gets a budget": (
        (*FAILED, "goal.failed", 'node.edited a {"inputs": ["x"]}', 'command.applied a {"command": "c"}', "goal.budget",
         "goal.retried", "node.claimed a 2"),
        None,
    ),
    "a lane whose node runs again": (
        ('node.claimed x 1 {"place": 1}', "node.done x 1", 'node.claimed y 2 {"place": 2}',
         'node.failed y 2 {"reason": "error"}', "goal.failed", "node.reopened x", "goal.retried",
         'node.claimed y 3 {"place": 3}', "node.done y 3", 'node.claimed x 4 {"place": 4}'),
        LANE,
    ),
    "a goal that is retried": (
        (
            "node.claimed a 1 attempt=1", 'node.failed a 1 {"reason": "error"}', "node.skipped b", "node.skipped c",
            "goal.failed", "goal.retried", "node.claimed a 2 attempt=2", "node.done a 2", "node.claimed b 3", "node.done b 3",
            "node.claimed c 4", "node.done c 4", "goal.done", "node.fenced a 1",
        ),
        CHAIN,
    ),
    "a retry that fails again": ((*FAILED, "node.skipped b", "goal.failed", "goal.retried", "node.claimed a 2",
                                  'node.failed a 2 {"reason": "error"}', "node.skipped b"), CHAIN),
    "edges that are resolved during a cancel": (
        (*FAILED, "goal.cancelling", "node.skipped b", "node.cancelled c", "goal.cancelled"), CHAIN,
    ),
    "a deadline": (("node.claimed a 1", "goal.cancelling", "node.cancelled a", "node.fenced a 1", "goal.failed"), None),
    "what runs while paused": (("node.claimed a 1", "goal.paused", "node.done a 1", "goal.resumed", "node.claimed b 2"), None),
    "a claim whose edges a later patch changed": (
        ("node.claimed b 1", "node.lost b 1", "goal.patched", "node.claimed a 2", "node.done a 2", "node.claimed b 3"), CHAIN,
    ),
    "a claimed node that a patch skips": (
        ("node.claimed c 1", "node.released c 1", "node.skipped c", "node.dropped a", "goal.patched"),
        plan(["a", "b", "c"], [("a", "c"), ("a", "b")]),
    ),
    "a lane": (
        (
            'node.claimed x 1 {"place": 1}', "node.retry x 1", 'node.claimed x 2 {"place": 1}', "node.done x 2",
            'node.claimed y 3 {"place": 2}', "node.done y 3",
        ),
        LANE,
    ),
    "a lane whose head a patch blocked": (
        ('node.claimed x 1 {"place": 1}', "node.lost x 1", "goal.patched", 'node.claimed y 2 {"place": 2}', "node.done y 2",
         'node.claimed x 3 {"place": 3}'), LANE,
    ),
    "a call with the wrong nonce": (("node.claimed a 1", "node.fenced a 1", "node.done a 1"), None),
    "an input that came too late to count": (
        ("node.claimed a 1", "node.claimed b 2", 'node.done b 2 {"output": "bbb"}', "node.claimed any 3",
         'node.done a 1 {"output": "aaa"}', 'node.done any 3 {"inputs": {"a": "000", "b": "bbb"}, "output": "ccc"}'), PICK,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_is_clean(name: str) -> None:
    lines, after = LEGAL[name]
    assert broken_by(*lines, after=after) == []


def test_a_seeming_fault_that_no_patch_can_explain_stays() -> None:
    held = ("node.claimed b 1", "goal.patched", "node.done b 1")
    assert broken_by(*held, after=CHAIN) == ["I3 b"], "a patch leaves a node alone that runs"
    assert broken_by("goal.patched", "node.claimed b 1", after=CHAIN) == ["I3 b"], "it came before"
    skipped = ("node.claimed c 1", "node.released c 1", "node.skipped c", "node.claimed a 2", "goal.patched")
    assert broken_by(*skipped, after=CHAIN) == ["I3 c", "I3 c"], "it was skipped in another step"


# -- what could not be checked --------------------------------------------------------------------------------------------


def test_a_history_without_its_head_is_not_held_against_anyone() -> None:
    events = tale(
        "node.done a 5", "node.claimed c 3", "node.lost b 4", "node.claimed b 6", "node.done b 6", "goal.done"
    )
    report = examine_history(events, CHAIN)
    assert report.violations == ()
    assert "head was trimmed" in report.notes["I1"][0].text
    assert report.verdict("I1") == "ok"
    late = [*events, *tale("node.claimed b 7 at=2000")]
    assert [one.invariant for one in check_history(late, CHAIN)] == ["I2", "I2"], "what is left is still judged"


def test_what_needs_the_store_or_other_events_is_not_applicable() -> None:
    report = examine_history(tale("goal.submitted", "goal.started", "node.claimed a 1"), CHAIN)
    verdicts = {invariant: report.verdict(invariant) for invariant in ("I1", "I4", "I6", "I7", "I9", "I10", "I12")}
    assert verdicts == {"I1": "ok", **dict.fromkeys(("I4", "I6", "I7", "I9", "I10", "I12"), "not applicable")}
    assert report.events == 3
    assert examine_history([], CHAIN).verdict("I1") == "not applicable"


def test_saved_lines_are_the_same_events() -> None:
    events = tale("goal.submitted", 'node.done a 1 {"output": "x"}')
    lines = [json.dumps(event.as_json()) for event in events]
    assert list(saved_events([*lines, "", "\n"])) == events
    with pytest.raises((TypeError, ValueError)):
        list(saved_events(['{"type": "node.done"}']))


# -- permits --------------------------------------------------------------------------------------------------------------


def permits(*lines: str) -> list[Event]:
    return tale(*lines)


GRANT = '{{"permit": "{0}", "account": "x", "tokens": 10, "limits": {{"concurrent": 1, "requests": 2, "tokens": 20, "seconds": 10}}}}'


def test_permits_that_were_settled_or_grew_old_count_no_longer() -> None:
    events = permits(
        f"llm.permit at=1 {GRANT.format('p')}", 'llm.settled at=2 {"permit": "p", "account": "x", "tokens": 10}',
        f"llm.permit at=3 {GRANT.format('q')}", 'llm.released at=4 {"permit": "q", "account": "x"}',
        f"llm.permit at=5 {GRANT.format('r')}", 'llm.settled at=6 {"permit": "r", "account": "x", "tokens": 4}',
        f"llm.permit at=12 {GRANT.format('s')}",
    )  # fmt: skip
    assert check_permits(events) == []


def test_a_window_slides_over_requests_and_over_what_was_used() -> None:
    events = permits(
        f"llm.permit at=1 {GRANT.format('p')}", 'llm.settled at=2 {"permit": "p", "account": "x", "tokens": 15}',
        f"llm.permit at=3 {GRANT.format('q')}", 'llm.settled at=4 {"permit": "q", "account": "x", "tokens": 0}',
        f"llm.permit at=5 {GRANT.format('r')}",
    )  # fmt: skip
    assert [one.text for one in check_permits(events)] == [
        "account x has 25 tokens, its limit is 20",
        "account x has 3 requests, its limit is 2",
        "account x has 25 tokens, its limit is 20",
    ]
