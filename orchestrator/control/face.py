"""The commands as methods, for Python: each goes through the service, and a refusal raises what refused it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from orchestrator.agents.plan.approval import AS_PROPOSED
from orchestrator.domain.command import Answer, Door, read_command

if TYPE_CHECKING:
    from orchestrator.control.service import Commands


class ControlFace(ABC):
    """Every method may raise GoalNotFound, NodeNotFound, IllegalTransition, Denied and RedisNotReachable."""

    @property
    @abstractmethod
    def commands(self) -> Commands:
        """The service."""

    @abstractmethod
    def reachable(self) -> AbstractContextManager[None]:
        """A block that raises RedisNotReachable where no Redis answers."""

    def command(self, name: str, /, **given: Any) -> Answer:
        """Give any command: `chordal.command("SET-PRIORITY", goal="g1", node="fetch", priority=9)`.

        Takes what the reference of commands lists: for whom, `id`, `reason`, `expires_seconds`, and the command's arguments.
        Raises InvalidCommand with every fault.
        """
        command = read_command({**given, "command": name}, Door.PYTHON)
        with self.reachable():
            return self.commands.act(command)

    def pause(self, goal: str, reason: str = "", mode: str = "finish") -> str:
        """No further claim; running nodes finish, or, with the mode `stop`, are stopped and run again later.

        'paused' or 'unchanged'.
        """
        return self.command("PAUSE", goal=goal, reason=reason, mode=mode).outcome

    def resume(self, goal: str, reason: str = "") -> str:
        """Claims again. 'resumed' or 'unchanged'."""
        return self.command("RESUME", goal=goal, reason=reason).outcome

    def cancel(self, goal: str, reason: str = "") -> str:
        """No claim and no commit from now on. 'cancelled' or 'ended'."""
        return self.command("CANCEL", goal=goal, reason=reason).outcome

    def retry(self, goal: str, node: str | None = None) -> str:
        """Run what failed again: 'retried'."""
        return self.command("RETRY", goal=goal, node=node).outcome

    def approve(self, goal: str, node: str, comment: str = "", plan: Any = AS_PROPOSED) -> str:
        """Answer an approval with yes; that of a plan may be answered with another `plan`, which is carried out then.

        Raises BadPlan with every fault of the plan, edited or not, and nothing is approved.
        """
        edited = {} if plan is AS_PROPOSED else {"plan": plan}
        return self.command("APPROVE", goal=goal, node=node, comment=comment, **edited).outcome

    def reject(self, goal: str, node: str, comment: str = "") -> str:
        """Answer an approval with no: 'rejected'."""
        return self.command("REJECT", goal=goal, node=node, comment=comment).outcome

    def signal(self, goal: str, name: str, payload: Any = None) -> str:
        """Send a named signal to a goal: 'woken', or 'kept' when nobody waits for it yet."""
        return self.command("SIGNAL", goal=goal, name=name, payload=payload).outcome
