"""`chordal:review`: reads a review. What did not pass goes round once more, a bounded number of times, then to a manager.

The last review of the round is a manager's: his word is final, and where it is no, the node fails with the findings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from orchestrator.agents.plan import workflow
from orchestrator.agents.plan.patching import PlanPatcher
from orchestrator.agents.plan.verdict import read_review
from orchestrator.agents.plan.workflow import ESCALATE, FIX, INTEGRATE, QA, VERDICT
from orchestrator.domain.errors import NodeFailed
from orchestrator.engine.context import current
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True)
class Reviewer:
    """The built-in function `chordal:review`."""

    store: Store
    patcher: PlanPatcher

    def review(self, review: Any, work: str, cycle: int, cycles: int, last: bool = False) -> dict[str, Any]:
        """Read the review of a piece of work: `cycle` counts from 1, at most `cycles` repairs are made.

        Raises NodeFailed with the findings where they are used up and the manager said no too.
        """
        lease = current()
        if lease is None:
            raise NodeFailed("chordal:review runs in a node only")
        found = read_review(review)
        output = {"passed": found.passed, "work": work, "cycle": cycle, "findings": list(found.findings)}
        if found.passed:
            return {**output, "accepted": _newest(work, cycle, cycles, last)}
        if last:
            listed = "\n".join(f"- {text}" for text in found.findings) or "- (no findings were given)"
            raise NodeFailed(
                f"{work!r} did not pass after {cycles} repairs, and the manager did not take it:\n{listed}"
            )
        specs = self._specs(lease.goal, work)
        more = escalation(work, cycle, cycles, specs) if cycle > cycles else repair(work, cycle, cycles, specs)
        said = f"the review of {work!r} did not pass" + (
            ", a manager decides" if cycle > cycles else f", repair {cycle}"
        )
        self.patcher.add(lease.goal, lease.node, *more, reason=said)
        return output

    def _specs(self, goal: str, work: str) -> dict[str, dict[str, Any]]:
        names = [work, work + QA, work + INTEGRATE]
        return {name: {"id": name, **json.loads(self.store.goals.spec(goal, name))} for name in names}


def repair(
    work: str, cycle: int, cycles: int, specs: Mapping[str, Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Nodes and edges of one more round: a repair, its review and the verdict on that, in front of the integration."""
    built, reviewed = specs[work], specs[work + QA]
    fix, qa, earlier = f"{work}{FIX}{cycle}", f"{work}{QA}{cycle + 1}", _newest(work, cycle, cycles, False)
    metadata = {**built.get("metadata", {}), "phase": "fix", "parent_task_id": work, "review_cycle": str(cycle)}
    mended = _like(built, fix, f"Repair {cycle}: {built.get('title') or work}", metadata)
    task = workflow.task_of(built)
    mended["expected_artifacts"] = list(built.get("expected_artifacts", ()))
    mended["inputs"] = {
        **(built.get("inputs") or {}),  # outputs of what it builds on, above all
        "task": f"A review of your work did not pass. Mend what it found, and give the whole work anew.\n\nThe task was:\n{task}",
        "findings": {"from": _verdict(work, cycle), "path": "findings"},
        "earlier": {"from": earlier, "path": "output"},
    }
    again = _like(reviewed, qa, f"Review {cycle + 1}: {built.get('title') or work}", reviewed.get("metadata", {}))
    again["metadata"] = {**again["metadata"], "review_cycle": str(cycle + 1)}
    given = {f"from {fix}": {"from": fix, "path": "output"}}
    again["inputs"] = {"task": workflow.review_task(built), "judge": "review", **given}
    verdict = workflow.verdict_node(work, cycle + 1, qa, cycles, built)
    return [mended, again, verdict], _chain(_verdict(work, cycle), fix, qa, verdict["id"], work + INTEGRATE, gives=fix)


def escalation(
    work: str, cycle: int, cycles: int, specs: Mapping[str, Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Nodes and edges of the end of the rounds: the manager is told, and his verdict is the last."""
    built, manager = specs[work], specs[work + INTEGRATE]
    name, newest = work + ESCALATE, _newest(work, cycle, cycles, False)
    told = _like(manager, name, f"Decide: {built.get('title') or work}", manager.get("metadata", {}))
    told["metadata"] = {**told["metadata"], "phase": "escalate"}
    told["inputs"] = {
        "task": f"This work did not pass its review after {cycles} repairs. Decide: passed is true if it is to be taken as it "
        f"is; else findings says why it is given up.\n\nThe task was:\n{workflow.task_of(built)}",
        "judge": "review",
        "findings": {"from": _verdict(work, cycle), "path": "findings"},
        "latest": {"from": newest, "path": "output"},
    }
    verdict = workflow.verdict_node(work, cycle + 1, name, cycles, built, last=True)
    return [told, verdict], _chain(_verdict(work, cycle), name, verdict["id"], work + INTEGRATE)


def _chain(*names: str, gives: str = "") -> list[dict[str, Any]]:
    edges = [{"source": source, "target": target} for source, target in pairwise(names)]
    return [*edges, {"source": gives, "target": names[-1]}] if gives else edges


def _like(spec: Mapping[str, Any], name: str, title: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """A node for the same agent, with the same limits."""
    kept = ("kind", "agent", "queue", "priority", "retries", "timeout_seconds", "lease_seconds", "backoff_seconds")
    made = {field: spec[field] for field in kept if field in spec}
    return {**made, "id": name, "title": title[:1000], "metadata": dict(metadata)}


def _verdict(work: str, cycle: int) -> str:
    return work + VERDICT + ("" if cycle == 1 else str(cycle))


def _newest(work: str, cycle: int, cycles: int, last: bool) -> str:
    """The node whose output a review of this cycle is about; the last one is about the same as the one before it."""
    repairs = min(cycle - 1, cycles) if last else cycle - 1
    return work if repairs < 1 else f"{work}{FIX}{repairs}"
