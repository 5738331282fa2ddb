"""A plan as JSON, complete."""

from __future__ import annotations

import json

from orchestrator.compile.plan import Plan
from orchestrator.domain.dag import Goal


def as_json(plan: Plan, goal: Goal) -> str:
    """One object: chains, links, chords, guards, layers, ranks and the critical path, nodes by their ids."""
    document = {
        "goal_id": goal.goal_id,
        "title": goal.title,
        "nodes": len(plan.order),
        "edges": len(plan.dag.edges),
        "chains": [{"id": chain.id, "nodes": chain.nodes} for chain in plan.chains],
        "links": [{"source": link.source, "target": link.target} for link in plan.links],
        "chords": [{"header": chord.header, "body": chord.body, "need": chord.need} for chord in plan.chords],
        "guards": [edge.model_dump(mode="json", exclude_none=True) for edge in plan.guards.values()],
        "layers": plan.layers,
        "rank": dict(plan.rank),
        "critical_path": plan.critical_path,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
