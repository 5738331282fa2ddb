"""Functions that every worker knows, for the nodes that plans and workflows are made of."""

from __future__ import annotations

from orchestrator.agents.plan.applying import PlanApplier
from orchestrator.agents.plan.approval import APPLY
from orchestrator.agents.plan.declined import UNCHANGED, Declined
from orchestrator.agents.plan.patching import Patching, PlanPatcher
from orchestrator.agents.plan.review import Reviewer
from orchestrator.agents.plan.workflow import REVIEW
from orchestrator.engine.registry import Registry
from orchestrator.store.store import Store


def register(registry: Registry, store: Store, patcher: Patching) -> None:
    """Let nodes call `chordal:apply_plan`, `chordal:review` and `chordal:unchanged`."""
    patching = PlanPatcher(store, patcher)
    registry.add(PlanApplier(store, patching).apply_plan, APPLY)
    registry.add(Reviewer(store, patching).review, REVIEW)
    registry.add(Declined(store).unchanged, UNCHANGED)
