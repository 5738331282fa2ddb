"""Everything of agents in one process, each part made on first use: most processes run none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.payload import Payloads
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.agents.desk import AgentDesk
    from orchestrator.agents.plan.patching import Patching
    from orchestrator.agents.plan.reassign import Reassigner
    from orchestrator.agents.tools.nodes import ToolRunner
    from orchestrator.agents.turns.nodes import AgentNodes
    from orchestrator.agents.turns.standing import Standings
    from orchestrator.engine.ends import End
    from orchestrator.engine.registry import Registry
    from orchestrator.engine.upstream import Upstream
    from orchestrator.gate.asking import Asking
    from orchestrator.store.records import Claimed


@dataclass
class AgentParts:
    """Turns, tools and the desk of a process. It is the engine's `AgentNodes`."""

    store: Store
    payloads: Payloads
    sender: Sender
    slots: Slots
    asking: Callable[[], Asking]
    after_step: Callable[[str], None]
    patcher: Callable[[], Patching]
    """What changes the plans of goals."""

    def register_built_ins(self, registry: Registry) -> None:
        """Let nodes call what plans and workflows are made of."""
        from orchestrator.agents.builtins import register

        register(registry, self.store, self.patcher())

    @cached_property
    def standings(self) -> Standings:
        """Where nodes of agents stand."""
        from orchestrator.agents.agent import AGENTS
        from orchestrator.agents.plan.judges import ruling
        from orchestrator.agents.tools.toolbox import TOOLS, kit_of
        from orchestrator.agents.turns.keeping import Keeping
        from orchestrator.agents.turns.standing import Standings

        def declared(name: str) -> Any:
            found = AGENTS.find(name)
            return None if found is None else found.card()

        def kit(card: Any, agents: Mapping[str, Any]) -> Any:
            return kit_of(card, TOOLS, AGENTS.cards() | dict(agents))

        return Standings(self.store, declared, kit, partial(ruling, self.store), Keeping(self.payloads))

    @cached_property
    def nodes(self) -> AgentNodes:
        """Takes turns."""
        from orchestrator.agents.agent import AGENTS
        from orchestrator.agents.turns.keeping import Keeping
        from orchestrator.agents.turns.memory import Memory
        from orchestrator.agents.turns.nodes import AgentNodes
        from orchestrator.agents.turns.recover import Recovering

        return AgentNodes(
            self.store,
            self.payloads,
            self.standings,
            self.asking,
            Recovering(self.standings, self.ends),
            Memory(self.store),
            Keeping(self.payloads),
            AGENTS.tell,
        )

    def ends(self, goal: str, names: list[str]) -> Mapping[str, tuple[str, Any, str]]:
        """How nodes of a goal stand: state, output, failure."""
        return self.nodes.ends(goal, names)

    @cached_property
    def tools(self) -> ToolRunner:
        """Carries out tool calls."""
        from orchestrator.agents.tools.nodes import ToolRunner
        from orchestrator.agents.tools.toolbox import TOOLS

        return ToolRunner(TOOLS)

    @cached_property
    def reassigner(self) -> Reassigner:
        """Hands nodes on whose agents are not there."""
        from orchestrator.agents.plan.reassign import Reassigner

        return Reassigner(self.store, self.sender, self.slots)

    @cached_property
    def desk(self) -> AgentDesk:
        """What is done with agents from outside."""
        from orchestrator.agents.desk import AgentDesk

        return AgentDesk(
            self.store, self.payloads, self.sender, self.slots, self.standings, self.after_step, self.patcher()
        )

    def turn(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Take the next step of an agent."""
        return self.nodes.turn(claimed, spec, upstream)

    def tool(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Carry out a call of a tool."""
        return self.tools.run(claimed, spec, upstream)

    def limit(self, spec: Mapping[str, Any]) -> float | None:
        """The time limit that the called tool has by itself, seconds."""
        return self.tools.limit(spec)
