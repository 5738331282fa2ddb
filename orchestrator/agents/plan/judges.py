"""What decides whether the final answer of a node counts, beyond its schema: plans, changes of plans, reviews, recoveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from orchestrator.agents.conversation.decide import WholeJudge
from orchestrator.agents.plan import form as plan_form
from orchestrator.agents.plan import proposal, workflow
from orchestrator.agents.plan.proposal import Proposal, Revision, Scene
from orchestrator.agents.plan.recovery import ASKED_FOR, RecoveryDecision
from orchestrator.agents.plan.scene import read_scene, workers
from orchestrator.agents.plan.verdict import Review
from orchestrator.agents.plan.workflow import CYCLES, MOST_CYCLES
from orchestrator.domain.agent import AgentCard
from orchestrator.engine.patch import MOST_NODES
from orchestrator.store.store import Store

Judge = Callable[[Any], list[str]]
PLAN, REPLAN, REVIEW, RECOVERY = "plan", "replan", "review", "recovery"
"""Values of a node's inputs.judge."""
MODELS: Final[Mapping[str, type[Proposal]]] = {PLAN: Proposal, REPLAN: Revision}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the final output of a node must be."""

    schema: dict[str, Any]
    judge: Judge | None = None
    """Faults of an output that follows the schema; [] where it counts."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a plan is taken in."""

    revises: bool = False
    """It changes a plan that is carried out already."""
    workflow: bool = False
    """Each builder's node is reviewed and integrated."""
    cycles: int = CYCLES
    recovery: bool = True
    """Agents that give up get help."""

    @classmethod
    def of(cls, metadata: Mapping[str, str], revises: bool) -> Terms:
        """As the node of the planner says in its metadata."""
        cycles = metadata.get("review_cycles", "")
        most = min(int(cycles), MOST_CYCLES) if cycles.isdecimal() else CYCLES
        return cls(revises, metadata.get("workflow") == "yes", most, metadata.get("recover") != "no")

    def as_metadata(self) -> dict[str, str]:
        """What `of` reads."""
        on = {"workflow": "yes", "review_cycles": str(self.cycles)} if self.workflow else {}
        return on | {
            "recover": "yes" if self.recovery else "no"
        }  # not the key that asks for it: planners get repairs only


def check_plan(
    value: Any, cards: Mapping[str, AgentCard], scene: Scene, terms: Terms
) -> tuple[Proposal | None, list[str]]:
    """The plan in a value, and all its faults: of form, of content, and of size with the workflow."""
    model = MODELS[REPLAN if terms.revises else PLAN]
    found, faults = plan_form.read(value, model)
    if found is None:
        known = plan_form.without_unknown(value, model)
        more = check_plan(known, cards, scene, terms)[1] if known is not None else []
        return None, list(dict.fromkeys([*faults, *more]))
    if terms.workflow:
        scene = replace(scene, role_faults=tuple(workflow.faults(cards)))
    faults = proposal.faults(found, cards, scene)
    if not faults:
        nodes = expanded(found, cards, terms, scene.gates)[0]
        names = [node["id"] for node in nodes]
        if len(nodes) > MOST_NODES:
            faults.append(
                f"nodes: with the workflow there are {len(nodes):,}, the limit is {MOST_NODES:,}; plan coarser"
            )
        faults += [f"nodes: the workflow makes {name!r}, and so does the plan" for name in _double(names)]
        faults += [
            f"nodes: the workflow makes {name!r}, and the goal has it already" for name in names if name in scene.taken
        ]
    return found, faults


def expanded(
    found: Proposal, cards: Mapping[str, AgentCard], terms: Terms, gates: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Nodes and edges of a plan without faults, with those of the workflow where it is asked for.

    `gates`: the integrations of stored nodes that are under review, as `scene.gates` finds them.
    """
    nodes, edges = proposal.to_nodes(found, cards)
    edges = workflow.gated(edges, gates)
    if terms.workflow:
        nodes, edges = workflow.expand(nodes, edges, cards, terms.cycles)
    if terms.recovery:
        for node in nodes:
            if node["kind"] == "agent":
                node["metadata"] = {**node["metadata"], ASKED_FOR: "true"}
    return nodes, edges


def judge_plan(cards: Mapping[str, AgentCard], scene: Scene | None = None, terms: Terms | None = None) -> Judge:
    """Finds every fault of a proposed plan, as many as a reader can use."""

    def judge(value: Any) -> list[str]:
        return proposal.shown(check_plan(value, cards, scene or Scene(), terms or Terms())[1])

    return judge


def ruling(
    store: Store, goal: str, node: str, spec: Mapping[str, Any], cards: Mapping[str, AgentCard]
) -> Ruling | None:
    """What the final output of a node must be, if its inputs name a judge; None: what its agent's card says.

    The judge of a plan reads the goal as it is at that time.
    """
    name = str((spec.get("inputs") or {}).get("judge"))
    if name in MODELS:
        terms = Terms.of(spec.get("metadata") or {}, name == REPLAN)

        def judge(value: Any) -> list[str]:
            scene = read_scene(store, goal, node, revises=terms.revises)
            return judge_plan(workers(cards), scene, terms)(value)

        return Ruling(plan_form.schema(MODELS[name]), WholeJudge(judge))
    if name == REVIEW:
        return Ruling(plan_form.schema(Review))
    return Ruling(plan_form.schema(RecoveryDecision)) if name == RECOVERY else None


def _double(names: list[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
