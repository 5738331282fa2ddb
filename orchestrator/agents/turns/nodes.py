"""Nodes of agents: each step from what is stored to an End. Between two steps a node holds no worker, lease or permit.

A step is taken in two places: a worker of the agent's queue gathers what its tools gave and asks for the next model call;
the worker that gets the permit makes the call and commits what follows. Both write what they add in the script that ends
their lease, so a crash repeats one call of the model at most.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator.agents.agent import AgentEvent, Moment
from orchestrator.agents.conversation.decide import Trimmed, opening, request, results_of
from orchestrator.agents.conversation.transcript import Result, turns, waiting
from orchestrator.agents.tools.nodes import result_of
from orchestrator.agents.turns.keeping import Keeping
from orchestrator.agents.turns.memory import Memory
from orchestrator.agents.turns.recover import Recovering
from orchestrator.agents.turns.standing import Standing, Standings, UnknownAgent
from orchestrator.agents.turns.talk import AgentTalk, Desk, with_turn
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import ChordalError
from orchestrator.domain.lease import Lease
from orchestrator.domain.refs import references
from orchestrator.domain.retry import backoff
from orchestrator.engine.ends import End, Failed, Parked, Turn
from orchestrator.engine.payload import Payloads
from orchestrator.engine.upstream import Upstream
from orchestrator.gate.asked import PREFIX, Asked
from orchestrator.gate.asking import Asking
from orchestrator.gate.request import BadInputs
from orchestrator.gate.talk import ASKER, Asker
from orchestrator.llm.errors import LlmError
from orchestrator.llm.failures import CallFailed, FailureKind
from orchestrator.llm.messages import Request
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.tokens import count_text, encoding_of
from orchestrator.store.records import Claimed
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = 5.0
BACKOFF_CAP_SECONDS: Final = 300.0
"""Between attempts of a node whose provider failed: 5 s, doubled, at most 300 s, with full jitter."""
ENDED: Final = frozenset({"DONE", "FAILED", "SKIPPED", "DROPPED", "CANCELLED"})


@dataclass(slots=True)
class AgentNodes:
    """Takes the steps of agents, for this process. Safe to share between threads."""

    store: Store
    payloads: Payloads
    standings: Standings
    asking: Callable[[], Asking]
    """The line of the accounts; asked for when a call is needed."""
    recovering: Recovering
    memory: Memory
    keeping: Keeping
    tell: Callable[[AgentEvent], None]
    """Calls what listens to agents in this process."""

    # -- in a worker of the agent's queue ----------------------------------------------------------------------------

    def turn(self, claimed: Claimed, spec: Mapping[str, Any], upstream: Upstream) -> End:
        """Gather what the tools gave, and ask for the next call."""
        lease = claimed.lease
        if claimed.resume.startswith(PREFIX) and (end := self.asking().look(claimed, spec)) is not None:
            return end
        try:
            standing = self.standings.read(lease, spec)
        except UnknownAgent as error:
            return Failed("agent", str(error), final=True)
        except ChordalError as error:  # a tool that nobody registered
            return Failed("bad input", f"{type(error).__name__}: {error}", final=True)
        gathered = self._gathered(lease, standing)
        if gathered is None:
            return Parked("tools", "ready", resume=claimed.resume)  # some have not ended: the node is woken by the last
        standing, turn = gathered
        try:
            decided = self.recovering.decided(lease, spec, standing, turn)
        except ChordalError as error:
            return Failed("agent", str(error), final=True)
        if not isinstance(decided, tuple):
            return decided
        standing, turn = decided
        turn = replace(turn, kit=standing.first.kit, cards=standing.first.cards)
        end = with_turn(self._call(lease, spec, standing, Asked.of(claimed.resume), upstream), turn)
        if standing.first.kit and isinstance(end, Parked):
            self._tell("on_start", lease, standing, 0)
        return end

    def _gathered(self, lease: Lease, standing: Standing) -> tuple[Standing, Turn] | None:
        """The results of the calls that it waited for; None while one has not ended."""
        called = waiting(standing.entries)
        if called is None:
            return standing, Turn()
        names = [call.node for call in called.calls if call.node]
        found = self.ends(lease.goal, names)
        if any(state not in ENDED for state, _, _ in found.values()):
            return None
        given: dict[str, Result] = {}
        for call in called.calls:
            tool = standing.kit.tool(call.name)
            if call.node and tool is not None:
                given[call.id] = result_of(call, tool, standing.card.limits, *found[call.node])
        results = results_of(called, given)
        return standing.with_entries(results), Turn((self.keeping.text(lease, results),))

    def ends(self, goal: str, names: list[str]) -> dict[str, tuple[str, Any, str]]:
        """How nodes stand, by id: state, output, and why they failed."""
        states = self.store.nodes.states(goal, names) if names else []
        outputs = self.store.nodes.outputs(goal, names) if names else []
        dead = self.store.goals.dead(goal, names) if any(one.get("state") == "FAILED" for one in states) else {}
        return {
            name: (record.get("state", "DROPPED"), self.payloads.unpack(text), _why(dead.get(name)))
            for name, record, text in zip(names, states, outputs, strict=True)
        }

    # -- where the call is made: a Speaker ---------------------------------------------------------------------------

    def talk(self, lease: Lease, spec: Mapping[str, Any], upstream: Upstream) -> AgentTalk:
        """The turn that is next. Raises BadInputs where the node cannot have one, and UnknownModel."""
        try:
            standing = self.standings.read(lease, spec)
        except ChordalError as error:
            raise BadInputs(str(error)) from None
        return self._talk(lease, spec, standing, upstream)

    def failed(self, claimed: Claimed, spec: Mapping[str, Any], error: Exception, failure: Failed) -> End:
        """Tried again at once after a time-out, after a back-off when the provider failed; else recovery, or the end."""
        lease = claimed.lease
        try:
            standing = self.standings.read(lease, spec)
        except ChordalError:
            return failure
        most = spec.get("retries", standing.card.limits.max_retries)
        if failure.final or claimed.failures >= most:
            return self._give_up(lease, spec, standing, failure, Asked.of(claimed.resume))
        kind = error.failure.kind if isinstance(error, CallFailed) and error.failure else None
        pause = 0.0
        if kind is not FailureKind.TIMEOUT:
            pause = backoff(claimed.failures + 1, BACKOFF_SECONDS, BACKOFF_CAP_SECONDS, random.uniform)
        return replace(failure, retries=most, seconds=pause)

    def _give_up(
        self, lease: Lease, spec: Mapping[str, Any], standing: Standing, failure: Failed, asked: Asked
    ) -> End:  # fmt: skip
        end = self.recovering.or_fail(lease, spec, standing, failure, asked)
        if isinstance(end, Failed):
            taken = turns(standing.entries)
            return replace(end, after=lambda: self._tell("on_failed", lease, standing, taken, error=failure.error))
        return end

    # -- both --------------------------------------------------------------------------------------------------------

    def _call(self, lease: Lease, spec: Mapping[str, Any], standing: Standing, asked: Asked, upstream: Upstream) -> End:
        """Into the line for the next turn."""
        asking = self.asking()
        try:
            talk = self._talk(lease, spec, standing, upstream)
            return asking.into_line(asking.for_talk(lease, spec, talk), asked)
        except (LlmError, BadInputs) as error:
            claimed = Claimed(lease, 0, self.store.goals.failures(lease.goal, lease.node), "", asked.as_text())
            return asking.failed(claimed, spec, error)

    def _talk(self, lease: Lease, spec: Mapping[str, Any], standing: Standing, upstream: Upstream) -> AgentTalk:
        asking = self.asking()
        taken, standing = len(standing.steering), standing.steered()
        asker, made, trimmed = self._request(lease, spec, standing, upstream, asking.profiles)
        desk = Desk(
            lambda lease, spec, now, asked: self._call(lease, spec, now, asked, upstream),
            lambda lease, spec, now, reason, asked: self._give_up(
                lease, spec, now, Failed("agent", reason, final=True), asked
            ),
            self._done,
            lambda lease, now, turn: self._tell("on_turn", lease, now, turn),
            self.keeping,
            lambda: self._head(lease.goal, standing.card),
        )
        return AgentTalk(lease, spec, standing, taken, asker, made, trimmed, desk)

    def _request(
        self, lease: Lease, spec: Mapping[str, Any], standing: Standing, upstream: Upstream, profiles: Profiles
    ) -> tuple[Asker, Request, Trimmed | None]:
        card = standing.card
        title, instructions, *rest = self.store.goals.fields(lease.goal, "title", "instructions", *ASKER)
        asker = Asker.of(*rest)
        inputs = upstream.inputs(spec)
        start = opening(
            card,
            title=spec.get("title") or lease.node,
            goal_title=title or "",
            goal_instructions=instructions or "",
            inputs=inputs,
            upstream={} if spec.get("_literal") or any(references(spec.get("inputs"))) else upstream.of_parents(),
            artifacts=spec.get("expected_artifacts", ()),
            memory=self.memory.told(asker.owner, card),
        )
        name = card.model or profiles.default()
        key = profiles.chain(name)[0]
        model, _ = profiles.model_and_account(key)
        encoding = encoding_of(model, key)
        reserve = card.limits.max_output_tokens or min(model.max_output_tokens, model.context_tokens // 4)
        room = min(model.context_tokens - reserve, card.limits.context_tokens or model.context_tokens)
        made, trimmed = request(
            card, standing.kit, start, standing.entries,
            model=name, room_tokens=room, count=lambda text: count_text(text, encoding),
        )  # fmt: skip
        more = {"owner": asker.owner, "goal": lease.goal, "priority": spec.get("priority", 0)}
        return asker, made.model_copy(update=more), trimmed

    # -- who listens --------------------------------------------------------------------------------------

    def _tell(self, moment: Moment, lease: Lease, standing: Standing, turn: int, **more: Any) -> None:
        """What a listener raises is his affair: the step is committed."""
        try:
            self.tell(AgentEvent(moment, standing.card.name, lease.goal, lease.node, turn, **more))
        except Exception:
            log.exception("%s of the agent %s failed; %s goes on", moment, standing.card.name, lease.node)

    def _head(self, goal: str, card: AgentCard) -> dict[str, Any]:
        """What a sub-goal takes over: the agents, and of the budget an equal part for each that may be started."""
        head: dict[str, Any] = {
            "agents": [
                one.model_dump(mode="json", exclude_defaults=True) for one in self.standings.cards(goal).values()
            ]
        }
        if (left := self.asking().budgets.left(goal)) is not None:
            units = {name: value // (card.limits.spawn + 1) for name, value in left.items() if name != "when_spent"}
            head["budget"] = left | units
        return head

    def _done(
        self, owner: str, lease: Lease, spec: Mapping[str, Any], standing: Standing, output: dict[str, Any]
    ) -> None:  # fmt: skip
        """The node is done: its agent remembers it."""
        self.memory.add(owner, lease, standing.card, spec.get("title") or lease.node, output["output"])
        self._tell("on_done", lease, standing, output["turns"], output=output)


def _why(dead: str | None) -> str:
    if not dead:
        return ""
    failure: dict[str, Any] = json.loads(dead)
    return str(failure.get("error", ""))
