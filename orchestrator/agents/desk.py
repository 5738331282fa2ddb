"""What people and programs do with agents from outside: steer them, complete their tools, look at what was said."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from orchestrator.agents.conversation.hostile import clean
from orchestrator.agents.conversation.transcript import Steered
from orchestrator.agents.plan.patching import Patching
from orchestrator.agents.turns.keeping import Keeping
from orchestrator.agents.turns.standing import Standings
from orchestrator.domain.agent import ID_PATTERN, AgentCard
from orchestrator.domain.command import Order
from orchestrator.domain.errors import ChordalError, GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.engine.came import heeded, recall
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.engine.ends import Failed
from orchestrator.engine.payload import Payloads, to_json
from orchestrator.store.store import Store

_ID: Final = re.compile(ID_PATTERN)
SPEAKERS: Final = ("user", "system")
MESSAGE_BYTES: Final = 65_536
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


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

    def steer(
        self, goal: str, node: str, messages: str | Sequence[Any], id: str | None = None, order: Order | None = None
    ) -> str:
        """Say something to an agent; its next turn reads it. 'steered', or 'known' if this `id` came before.

        `messages` is a text, or a list of texts and `{"role": "user" | "system", "content": text}`; their order is kept.
        The `id` is 1 to 128 letters, digits, dots, underscores, colons and hyphens; sent again it is 'known' even when the
        node has ended. Raises BadMessage, IllegalTransition when the node or its goal has ended, and with an `order` Repeated
        and Expired.
        """
        said = [_message(one) for one in ([messages] if isinstance(messages, str) else messages)]
        if not said:
            raise BadMessage("there is no message: give a text")
        if id is not None and not _MESSAGE_ID.fullmatch(id):
            raise BadMessage("the id of a message is 1 to 128 letters, digits, dots, underscores, colons and hyphens")
        name = secrets.token_hex(8) if id is None else id
        pairs = []
        for index, (speaker, text) in enumerate(said):
            entry = Steered(id=name if len(said) == 1 else f"{name}.{index}", speaker=speaker, text=text)
            pairs.append((entry.id, entry.model_dump_json(exclude={"kind"})))
        verdict = heeded(goal, self._store.agents.steer(goal, node, pairs, order))
        if verdict in ("steered", "known"):
            return verdict
        raise _refusal(goal, node, verdict)

    def complete_deferred(self, token: str, result: Any = None, *, error: str | None = None) -> str:
        """Give a deferred tool call its result, once: 'completed', also when the same is sent again.

        With `error` the call fails, and its agent reads that. Raises BadToken, and OutputNotSerialisable for a result that
        is no JSON or too large; then nothing is given.
        """
        goal, _, rest = token.partition(":")
        node, _, secret = rest.partition(":")
        shown = f"no tool call waits for the token {token[:24]!r}..."
        if not (_ID.fullmatch(goal) and _ID.fullmatch(node) and secret):
            raise BadToken(shown)
        outcome = "done" if error is None else "failed"
        failure = None if error is None else Failed("tool", error, final=True)
        body = self._payloads.pack(goal, node, result) if failure is None else failure.as_json()
        verdict, invitations = self._store.agents.complete(goal, node, secret, outcome, body, slots=self._slots.json())
        if verdict in ("completed", "repeated"):
            self._store.goals.expect(goal)
            self._sender.invite(invitations)
            self._after_step(goal)
            return "completed"
        if verdict == "taken":
            raise BadToken(f"the tool call {node!r} of goal {goal!r} was given another result before")
        raise BadToken(
            shown if verdict in ("wrong", "gone") else f"the tool call {node!r} of goal {goal!r} is {verdict}"
        )

    def reparse(
        self, goal: str, cards: Sequence[AgentCard], source: str = "", removed: Sequence[str] = (),
        order: Order | None = None,
    ) -> list[str]:  # fmt: skip
        """Agents of a goal are declared anew: turns that begin from now on are taken with these instructions.

        The next turn of an agent that is `removed` fails. Returns the names that changed. What a node may use was fixed with
        its first step and stays. Raises GoalNotFound, IllegalTransition where the goal has ended, and with an `order` Repeated
        and Expired.
        """
        recall(self._store, goal, order)
        before = self.cards(goal)
        changed = {card.name: card for card in cards if before.get(card.name) != card}
        gone = sorted(set(removed) & set(before) - {card.name for card in cards})
        if not changed and not gone:
            self._store.goals.record(goal)
            return []
        told = {"changed": {name: card.digest() for name, card in changed.items()}, "removed": gone, "source": source}
        texts = {name: card.model_dump_json(exclude_defaults=True) for name, card in changed.items()}
        texts |= dict.fromkeys(gone, "")
        verdict = heeded(goal, self._store.agents.put_cards(goal, texts, to_json(told), order))
        if verdict == "gone":
            raise GoalNotFound(f"there is no goal {goal!r}")
        if verdict != "stored":
            raise IllegalTransition(f"goal {goal!r} is {verdict}; no turn will be taken with other instructions")
        return sorted([*changed, *gone])

    def replan(self, goal: str, reason: str, *, approve: bool = False, order: Order | None = None) -> str:
        """Have the goal's planner change what has not started; returns the id of the planner's node.

        With `approve` a person looks at the change first. Raises GoalNotFound, IllegalTransition, NoPlanner, and with an
        `order` Repeated and Expired.
        """
        from orchestrator.agents.plan.replan import replan

        return replan(self._store, self._payloads, self._patcher, goal, reason, approve=approve, order=order)

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
        # What was given is not quoted: refusals stand in the trail, and this was meant for a model.
        if set(one) - {"role", "content"}:
            raise BadMessage("a message has role and content, and nothing else")
    if speaker not in SPEAKERS:
        raise BadMessage(f"a message is said by {' or '.join(SPEAKERS)}")
    if not isinstance(text, str) or not text.strip():
        raise BadMessage("a message is a text that is not empty")
    text = clean(text)
    if len(text.encode()) > MESSAGE_BYTES:
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
