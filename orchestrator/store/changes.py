"""What commands change of one goal and its nodes: one method a script. `order` is the command that is carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.command import Order
from orchestrator.domain.dag import MAX_PRIORITY
from orchestrator.store.keys import Keys
from orchestrator.store.moment import moment
from orchestrator.store.records import Invitation, invitations
from orchestrator.store.scripts import Scripts

MOST_STOPPED: Final = 500
"""Running nodes that one script stops."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a pause or a resume answers."""

    outcome: str
    invitations: Sequence[Invitation]
    nodes: Sequence[str]
    """Running nodes whose leases were taken away."""
    more: bool
    """There are more of them: go on with `stop`."""


class ChangeStore:
    """Each method returns an outcome as its script says. `now_ms` as in NodeStore."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts, dispatch_ms: int) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._dispatch_ms = dispatch_ms

    def _run(self, name: str, goal: str, order: Order | None, now_ms: int | None, *args: Any) -> Any:
        return self._scripts.run(name, self._keys.pair(goal), (moment(now_ms, order), *args))

    def pause(
        self, goal: str, verb: str, reason: str, *, slots: str, stop: bool = False, order: Order | None = None,
        now_ms: int | None = None,
    ) -> Stopped:  # fmt: skip
        """`pause`, `resume` or `stop` (go on stopping): as `pause.lua` says."""
        most = MOST_STOPPED if stop else 0
        found = self._run("pause", goal, order, now_ms, verb, reason, slots, self._dispatch_ms, most)
        return Stopped(str(found[0]), invitations(goal, found[1]), tuple(found[2]), bool(found[3]))

    def hold(
        self, goal: str, verb: str, what: str = "", name: str = "", *, by: str = "", reason: str = "", known: bool = True,
        slots: str, order: Order | None = None, now_ms: int | None = None,
    ) -> tuple[str, list[Invitation], bool]:  # fmt: skip
        """`hold` or `release` a `node` or `agent`, or `look` at what is set aside: (outcome, invitations, more to look at)."""
        args = (verb, what, name, by, reason, slots, self._dispatch_ms, "1" if known else "")
        outcome, out, more = self._run("hold", goal, order, now_ms, *args)
        return str(outcome), invitations(goal, out), bool(more)

    def priority(
        self, goal: str, node: str, priority: int, *, order: Order | None = None, now_ms: int | None = None
    ) -> tuple[str, str]:
        """Set the priority of a goal (`node` is empty) or a node: (outcome, the one before)."""
        outcome, before = self._run("priority", goal, order, now_ms, node, priority, MAX_PRIORITY + 1)
        return str(outcome), str(before)

    def budget(
        self, goal: str, before: str, budget: str, event: str, *, order: Order | None = None, now_ms: int | None = None
    ) -> str:
        """Set what the goal may spend, JSON, where it is still what the caller saw."""
        return str(self._run("budget", goal, order, now_ms, before, budget, event))

    def refuse(self, goal: str, node: str, verb: str, why: str, *, order: Order, now_ms: int | None = None) -> str:
        """Note that a command was refused."""
        return str(self._run("refuse", goal, order, now_ms, node, verb, why))

    def edit(
        self, goal: str, node: str, before: str, spec: str, names: str, *, order: Order | None = None,
        now_ms: int | None = None,
    ) -> tuple[str, str]:  # fmt: skip
        """Give a node another specification: (outcome, detail). `names` are those of the inputs that change, JSON."""
        outcome, detail = self._run("edit", goal, order, now_ms, node, before, spec, names)
        return str(outcome), str(detail)

    def reopen(
        self, goal: str, version: str, rows: str, *, slots: str, receiver: str = "", order: Order | None = None,
        now_ms: int | None = None,
    ) -> tuple[str, list[Invitation]]:  # fmt: skip
        """Run failed nodes of a goal again that has not ended: (outcome, invitations). `rows` is JSON as `reopen.lua` says."""
        args = (version, slots, self._dispatch_ms, receiver, rows)
        outcome, out = self._run("reopen", goal, order, now_ms, *args)
        return str(outcome), invitations(goal, out)

    def held(self, goal: str) -> dict[str, str]:
        """What is held in the goal: `n:<node>` or `a:<agent>` to the JSON of who holds it, why and since when."""
        return dict(self._client.hgetall(self._keys.part(goal, "held")))

    def aside(self, goal: str) -> list[str]:
        """READY nodes that were set aside, because they are held."""
        return list(self._client.zrange(self._keys.part(goal, "aside"), 0, -1))

    def carried_out(self, goal: str, command: str, receiver: str) -> str | None:
        """What came of a command at a node, or at the goal (`receiver` is empty); None: it did not come there yet."""
        found: str | None = self._client.hget(self._keys.part(goal, "orders"), f"{command} {receiver}")
        return found

    def receivers(self, goal: str, command: str) -> list[str]:
        """Where a command was carried out, or refused, in the goal: nodes, and '' for the goal itself."""
        return [name.partition(" ")[2] for name in self.orders(goal) if name.startswith(f"{command} ")]

    def orders(self, goal: str) -> dict[str, str]:
        """Commands that were carried out on the goal: `id receiver` to what came of them."""
        return dict(self._client.hgetall(self._keys.part(goal, "orders")))
