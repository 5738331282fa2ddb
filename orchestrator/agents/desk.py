"""What people and programs do with agents from outside: steer them, complete their tools, look at what was said."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from orchestrator.agents.conversation.transcript import Steered
from orchestrator.agents.plan.patching import Patching
from orchestrator.agents.tools.rows import deferred_signal
from orchestrator.agents.turns.keeping import Keeping
from orchestrator.agents.turns.standing import Standings
from orchestrator.domain.agent import AgentCard
from orchestrator.domain.errors import ChordalError, GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.ends import Failed
from orchestrator.engine.payload import Payloads, to_json
from orchestrator.store.store import Store

SPEAKERS: Final = ("user", "system")
MESSAGE_BYTES: Final = 65_536


class BadMessage(ChordalError):
    """A message for an agent cannot be one; the text says why. Nothing was sent."""


class BadToken(ChordalError):
    """No tool call waits for this token: it is wrong, was used before, or its goal has ended."""


class AgentDesk:
    """Each method acts once and says what happened. Raises GoalNotFound, NodeNotFound and IllegalTransition."""

    def __init__(
        self, store: Store, payloads: Payloads, sender: Sender, slots: Slots, standings: Standings,
        after_step: Callable[[str], None], patcher: Patching,
    ) -> None:  # fmt: skip
        """`after_step` does what follows where an outside step has ended a goal."""
        self._store = store
        self._payloads = payloads
        self._sender = sender
        self._slots = slots
        self._standings = standings
        self._after_step = after_step
        self._patcher = patcher

    # -- while it runs -----------------------------------------------------------------------------------------------

    def steer(self, goal: str, node: str, messages: str | Sequence[Any], id: str | None = None) -> str:
        """Say something to an agent; its next turn reads it. 'steered', or 'known' if this `id` came before.

        `messages` is a text, or a list of texts and `{"role": "user" | "system", "content": text}`; their order is kept.
        Raises BadMessage, and IllegalTransition when the node or its goal has ended.
        """
        said = [_message(one) for one in ([messages] if isinstance(messages, str) else messages)]
        if not said:
            raise BadMessage("there is no message: give a text")
        name = id or secrets.token_hex(8)
        pairs = []
        for index, (speaker, text) in enumerate(said):
            entry = Steered(id=name if len(said) == 1 else f"{name}.{index}", speaker=speaker, text=text)
            pairs.append((entry.id, entry.model_dump_json(exclude={"kind"})))
        verdict = self._store.agents.steer(goal, node, pairs)
        if verdict in ("steered", "known"):
            return verdict
        raise _refusal(goal, node, verdict)

    def complete_deferred(self, token: str, result: Any = None, *, error: str | None = None) -> str:
        """Give a deferred tool call its result, once: 'completed'. With `error` the call fails and its agent reads that.

        Raises BadToken.
        """
        goal, _, rest = token.partition(":")
        node, _, secret = rest.partition(":")
        if not (goal and node and secret) or self._store.goals.field(goal, "state") is None:
            raise BadToken(f"no tool call waits for the token {token[:24]!r}...")
        spec = json.loads(self._store.goals.spec(goal, node))
        if not secrets.compare_digest(str(spec.get("deferred", "")).encode(), secret.encode()):
            raise BadToken(f"no tool call waits for the token {token[:24]!r}...")
        cause = f"signal:{deferred_signal(secret)}"
        if cause.removeprefix("signal:") in self._store.goals.part(goal, "signals"):
            raise BadToken(f"the tool call {node!r} of goal {goal!r} was given its result before")
        outcome, body = "done", to_json(result)
        if error is not None:
            outcome, body = "failed", Failed("tool", error, final=True).as_json()
        self._store.goals.expect(goal)
        verdict, invitations = self._store.nodes.wake(
            goal, node, cause, outcome, body, slots=self._slots.json(), keep=error is None
        )
        self._sender.invite(invitations)
        state = self._store.nodes.states(goal, [node])[0].get("state")
        if verdict in ("woken", "kept") and (verdict == "woken" or state in ("READY", "RUNNING")):
            self._after_step(goal)
            return "completed"
        raise BadToken(f"the tool call {node!r} of goal {goal!r} is {state} and waits for no result")

    def reparse(
        self, goal: str, cards: Sequence[AgentCard], source: str = "", removed: Sequence[str] = ()
    ) -> list[str]:  # fmt: skip
        """Agents of a goal are declared anew: turns that begin from now on are taken with these instructions.

        The next turn of an agent that is `removed` fails. Returns the names that changed. What a node may use was fixed with its first step and stays. Raises GoalNotFound, and
        IllegalTransition where the goal has ended.
        """
        before = self.cards(goal)
        changed = {card.name: card for card in cards if before.get(card.name) != card}
        gone = sorted(set(removed) & set(before) - {card.name for card in cards})
        if not changed and not gone:
            self._store.goals.record(goal)
            return []
        told = {"changed": {name: card.digest() for name, card in changed.items()}, "removed": gone, "source": source}
        texts = {name: card.model_dump_json(exclude_defaults=True) for name, card in changed.items()}
        texts |= dict.fromkeys(gone, "")
        verdict = self._store.agents.put_cards(goal, texts, to_json(told))
        if verdict == "gone":
            raise GoalNotFound(f"there is no goal {goal!r}")
        if verdict != "stored":
            raise IllegalTransition(f"goal {goal!r} is {verdict}; no turn will be taken with other instructions")
        return sorted([*changed, *gone])

    def replan(self, goal: str, reason: str, *, approve: bool = False) -> str:
        """Have the goal's planner change what has not started; returns the id of the planner's node.

        With `approve` a person looks at the change first. Raises GoalNotFound, IllegalTransition, NoPlanner.
        """
        from orchestrator.agents.plan.replan import replan

        return replan(self._store, self._payloads, self._patcher, goal, reason, approve=approve)

    def accept_plan(self, goal: str, node: str, plan: Any) -> None:
        """Let an edited plan through with which somebody answers an approval. Raises BadPlan with every fault, NotAPlan."""
        from orchestrator.agents.plan.applying import accept_answer

        accept_answer(self._store, goal, node, plan)

    # -- to look at --------------------------------------------------------------------------------------------------

    def cards(self, goal: str) -> dict[str, AgentCard]:
        """The agents that a goal brings along, by name."""
        return self._standings.cards(goal)

    def transcript(self, goal: str, node: str) -> list[dict[str, Any]]:
        """What was said on a node, entry by entry, and last the messages that still wait, with `waiting` set.

        Raises GoalNotFound and NodeNotFound.
        """
        self._store.goals.record(goal)
        if not self._store.nodes.states(goal, [node])[0]:
            raise NodeNotFound(f"goal {goal!r} has no node {node!r}")
        said = self._store.agents.said(goal, node, "")
        keeping = Keeping(self._payloads)
        entries = [keeping.entry(text).model_dump(mode="json") for text in said.entries]
        return entries + [{**json.loads(text), "kind": "steered", "waiting": True} for text in said.steering]

    # -- memory ------------------------------------------------------------------------------------------------------

    def memory(self, owner: str, name: str) -> list[dict[str, Any]]:
        """What an agent remembers for an owner, the oldest first: goal, node, task, output."""
        return [json.loads(text) for text in self._store.agents.memory(owner, name, 1000)]

    def flush_memory(self, owner: str, name: str) -> int:
        """Make an agent forget; returns how many entries there were."""
        return self._store.agents.forget_memory(owner, name)


def _message(one: Any) -> tuple[Any, str]:
    speaker, text = "user", one
    if isinstance(one, Mapping):
        speaker, text = one.get("role", "user"), one.get("content")
        if rest := set(one) - {"role", "content"}:
            raise BadMessage(f"a message has role and content, not {', '.join(sorted(map(repr, rest)))}")
    if speaker not in SPEAKERS:
        raise BadMessage(f"a message is said by {' or '.join(SPEAKERS)}, not by {speaker!r}")
    if not isinstance(text, str) or not text.strip():
        raise BadMessage("a message is a text that is not empty")
    if len(text.encode("utf-8", "replace")) > MESSAGE_BYTES:
        raise BadMessage(f"a message has at most {MESSAGE_BYTES:,} bytes")
    return speaker, text


def _refusal(goal: str, node: str, verdict: str) -> ChordalError:
    if verdict == "gone":
        return GoalNotFound(f"there is no goal {goal!r}")
    if verdict == "missing":
        return NodeNotFound(f"goal {goal!r} has no node {node!r}")
    if verdict == "full":
        return IllegalTransition(f"too many messages wait for {node!r} of goal {goal!r}; let it take its next turn")
    if verdict == "other":
        return IllegalTransition(f"node {node!r} of goal {goal!r} is no agent's; nobody would read the message")
    return IllegalTransition(f"node {node!r} of goal {goal!r} is {verdict}; nobody would read the message")
