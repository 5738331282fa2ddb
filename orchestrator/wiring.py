"""The composition root: settings in, working parts out. Nothing below it reads the environment or builds its own parts."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from celery import Celery
from kombu.exceptions import OperationalError

from orchestrator.agents.parts import AgentParts
from orchestrator.control.face import ControlFace
from orchestrator.domain.dag import Goal
from orchestrator.domain.events import Event
from orchestrator.domain.states import GoalState
from orchestrator.domain.views import Check, GoalStatus, GoalSummary
from orchestrator.engine.commits import Committer
from orchestrator.engine.control import Control
from orchestrator.engine.dispatch import Slots
from orchestrator.engine.duties import Duties
from orchestrator.engine.duty import Duty
from orchestrator.engine.kinds import Kinds
from orchestrator.engine.leases import Keeper
from orchestrator.engine.patch import Patch, Patcher
from orchestrator.engine.payload import Payloads
from orchestrator.engine.read import Reader
from orchestrator.engine.registry import REGISTRY
from orchestrator.engine.reopen import Reopener
from orchestrator.engine.run import Runner
from orchestrator.engine.submit import Submitter
from orchestrator.engine.upkeep.parts import Upkeep
from orchestrator.gate.parts import ModelParts
from orchestrator.notify.parts import NotifyParts
from orchestrator.sender import CelerySender
from orchestrator.settings import Settings
from orchestrator.store.connection import (
    ConnectionFailed,
    MemoryFull,
    NotAllowed,
    Refused,
    forbidden,
    full,
    refusing,
    takes_no_writes,
    unreachable,
)
from orchestrator.store.keys import Keys
from orchestrator.store.store import Store

if TYPE_CHECKING:  # imported where they are used: most processes check no history and call no model
    from orchestrator.agents.desk import AgentDesk
    from orchestrator.control.files.parts import HeartbeatFiles
    from orchestrator.control.service import Commands
    from orchestrator.engine.changes import Changes
    from orchestrator.events.violation import Report
    from orchestrator.llm.client import Client
    from orchestrator.llm.limiter import Limiter
    from orchestrator.llm.profiles import Profiles
    from orchestrator.operate.operator import Operator

log = logging.getLogger(__name__)

BUILT_IN: Final = "chordal"
"""The module that nodes name for functions of ours."""


class Chordal(ControlFace):
    """One Chordal, ready to use: what the CLI, the Celery tasks and Python programs call.

    Every method may raise RedisNotReachable; the others it raises are named with the parts that it hands on to.
    """

    def __init__(self, settings: Settings, app: Celery, redis_url: str) -> None:
        self.settings = settings
        self.app = app
        self.store = Store(redis_url, Keys(settings.key_prefix), int(settings.dispatch_seconds * 1000))
        self.sender = CelerySender(app)
        self.slots = Slots(self.store)
        self.payloads = Payloads(settings.resolved_artifacts_url, settings.inline_bytes, settings.output_limit_bytes)
        self.submitter = Submitter(self.store, settings, self.sender, self.slots)
        self.control = Control(
            self.store, self.sender, self.slots, self.payloads, lambda goal: self.models.withdraw(goal)
        )
        self.control.told = lambda goal: self.notify.watch.ended(goal)
        self.reopener = Reopener(self.store, self.payloads, self.sender, self.slots)
        self.reader = Reader(self.store, self.payloads)
        self.registry = REGISTRY
        self.registry.later[BUILT_IN] = lambda: self.agent_parts.register_built_ins(self.registry)

    # -- the parts of a worker and of beat --------------------------------------------------------------------------

    @cached_property
    def kinds(self) -> Kinds:
        """Runs single nodes."""
        return Kinds(
            self.store,
            self.payloads,
            self.registry,
            self.submitter,
            self.sender,
            self.slots,
            cancel=self.control.cancel,
            retry=self.reopener.retry,
            models=lambda: self.models.asking,
            agents=lambda: self.agent_parts,
            pause=self.control.pause,
        )

    @cached_property
    def keeper(self) -> Keeper:
        """Renews the leases of this process."""
        return Keeper(self.store)

    @cached_property
    def committer(self) -> Committer:
        """Ends leases."""
        return Committer(
            self.store, self.settings, self.sender, self.slots, self.kinds, self.keeper, self.control.after_end
        )

    @cached_property
    def runner(self) -> Runner:
        """Answers invitations."""
        return Runner(self.store, self.settings, self.kinds, self.keeper, self.slots, self.committer)

    @cached_property
    def patcher(self) -> Patcher:
        """Changes plans."""
        return Patcher(self.store, self.payloads, self.sender, self.slots, self.control.cancel)

    @cached_property
    def upkeep(self) -> Upkeep:
        """What beat does beside looking at goals."""
        made = Upkeep(self.store, self.settings, self.payloads, lambda goal: self.models.forget(goal))
        made.removal.gates.append(self.notify.watch.gate)
        return made

    @cached_property
    def notify(self) -> NotifyParts:
        """What tells webhooks and callbacks of outcomes."""
        queue = self.settings.notify_queue
        return NotifyParts(self.store, self.settings, lambda goal: self.sender.tell(goal, queue), lambda: self.keeper)

    @cached_property
    def duties(self) -> Duties:
        """The work of beat."""
        return Duties(
            self.store, self.settings, self.sender, self.slots, self.control, self.upkeep, self.models.allot,
            lambda queues: self.agent_parts.reassigner.look(queues), self.notify.watch.looked, self._other_duties,
        )  # fmt: skip

    def _other_duties(self) -> tuple[Duty, ...]:
        """What beat does beside looking at goals: a line for each part that has a duty."""
        return (
            Duty(
                "orders",
                self.settings.order_seconds,
                lambda: self.commands.resume_open(),
                lambda: self.commands.unfinished(),
            ),
            Duty("llm", self.settings.llm_tick_seconds, self.models.tend),
            self.notify.watch.duty(),
            self.files.duty(),
        )

    # -- models -----------------------------------------------------------------------------------------------------

    @cached_property
    def models(self) -> ModelParts:
        """What calls models."""
        return ModelParts(
            self.settings, self.store, lambda: self.committer, self.sender.call, self.control.pause,
            {"agent": lambda: self.agent_parts.nodes},
        )  # fmt: skip

    # -- agents -----------------------------------------------------------------------------------------------------

    @cached_property
    def agent_parts(self) -> AgentParts:
        """What takes turns and carries out tool calls."""
        return AgentParts(
            self.store, self.payloads, self.sender, self.slots, lambda: self.models.asking, self.control.after_step,
            lambda: self.patcher,
        )  # fmt: skip

    @property
    def agents(self) -> AgentDesk:
        """What is done with agents from outside: steer, complete their tools, look at what was said."""
        return self.agent_parts.desk

    @property
    def llm_profiles(self) -> Profiles:
        """Accounts and models. Raises InvalidProfiles with every fault of the file."""
        return self.models.profiles

    @property
    def limiter(self) -> Limiter:
        """The fleet's queue for model calls. Raises InvalidProfiles."""
        return self.models.limiter

    @property
    def llm(self) -> Client:
        """Calls models through the queue. Needs `chordal[llm]`. Raises InvalidProfiles."""
        return self.models.client

    def call_model(self, task_id: str, inputs: Mapping[str, Any], owner: str = "default", priority: int = 0) -> str:
        """Make one call durably: a goal of one `llm` node, whose end is the result of the Celery task. Returns its id.

        Raises InvalidGoal.
        """
        plain = re.fullmatch(r"[A-Za-z0-9._-]{1,59}", task_id)
        name = f"call-{task_id if plain else hashlib.sha256(task_id.encode()).hexdigest()[:32]}"
        node = {"id": "call", "kind": "llm", "inputs": dict(inputs)}
        document = {"goal_id": name, "owner": owner, "priority": priority, "nodes": [node]}
        with self.reachable():
            return self.submitter.submit(document, result_task=task_id)

    # -- commands ---------------------------------------------------------------------------------------------------

    @cached_property
    def changes(self) -> Changes:
        """What commands do to goals."""
        from orchestrator.engine.changes import Changes

        return Changes(self.store, self.sender, self.slots, self.control, self.reopener, self.patcher)

    @cached_property
    def files(self) -> HeartbeatFiles:
        """Files whose lines are commands."""
        from orchestrator.control.files.parts import HeartbeatFiles

        seconds = self.settings.heartbeat_seconds
        return HeartbeatFiles(self.store, lambda command: self.commands.carry_out(command), seconds)

    @cached_property
    def commands(self) -> Commands:
        """The service behind every door."""
        from orchestrator.control.acts import Parts
        from orchestrator.control.fleet import Fleet
        from orchestrator.control.service import Commands

        parts = Parts(
            self.store, self.payloads, self.control, self.changes, lambda: self.agents, self.models.renew_budget
        )
        fleet = Fleet(
            self.store, self.changes, lambda: self.agents, lambda: self.models.limiter,
            lambda: list(self.models.profiles.accounts), self._shut_down,
        )  # fmt: skip
        return Commands(self.store, self.settings, parts, fleet)

    def _shut_down(self) -> None:
        """Ask our workers to end, by name: others may listen on this broker too."""
        names = [heartbeat.worker.name for heartbeat in self.store.fleet.workers()]
        if names:
            self.app.control.shutdown(destination=names)

    @cached_property
    def operator(self) -> Operator:
        """What an operator asks: doctor, why, dead letters, history, workers."""
        from orchestrator.operate.operator import Operator

        return Operator(
            self.store, self.reader, self.settings, self.app, self.duties.intervals, self.reachable, self._other_checks
        )  # fmt: skip

    def _other_checks(self) -> list[Check]:
        """What parts say of themselves that the operator's view does not know."""
        from orchestrator.control.files import health as files
        from orchestrator.notify import health as notify

        return [*notify.checks(self.store, self.settings, self.notify), *files.checks(self.store)]

    # -- goals ------------------------------------------------------------------------------------------------------

    def submit(self, document: Mapping[str, Any] | Goal) -> str:
        """Store and start a goal; returns its id."""
        with self.reachable():
            return self.submitter.submit(document)

    def status(self, goal: str) -> GoalStatus:
        """The goal with its nodes."""
        with self.reachable():
            return self.reader.status(goal)

    def summary(self, goal: str) -> GoalSummary:
        """The goal without its nodes."""
        with self.reachable():
            return self.reader.summary(goal)

    def list(self, limit: int = 50, state: GoalState | None = None, owner: str | None = None) -> Sequence[GoalSummary]:
        """Goals, the newest first."""
        with self.reachable():
            return self.reader.list(limit, state, owner)

    def events(self, goal: str, after: str = "0", block_seconds: float = 0.0, limit: int = 1000) -> Sequence[Event]:
        """What happened to the goal behind a stream id."""
        with self.reachable():
            return self.reader.events(goal, after, block_seconds, limit)

    def chunks(self, goal: str, after: str = "0", block_seconds: float = 0.0, limit: int = 1000) -> Sequence[Event]:
        """Pieces of models' answers behind a stream id, for calls with `stream`, while they are written."""
        with self.reachable():
            return self.reader.chunks(goal, after, block_seconds, limit)

    def output(self, goal: str, node: str) -> Any:
        """A node's output."""
        with self.reachable():
            return self.reader.output(goal, node)

    def patch(self, goal: str, patch: Mapping[str, Any] | Patch, reason: str = "") -> int:
        """Change the plan of a goal that runs; returns its new version."""
        with self.reachable():
            return self.patcher.apply(goal, patch, reason)

    def doctor(self) -> Sequence[Check]:
        """What is well and what is not."""
        return self.operator.checks()

    def check_history(self, goal: str) -> Report:
        """What the history and the state of a goal say of the invariants. Raises GoalNotFound."""
        from orchestrator.events.check import examine_goal

        with self.reachable():
            return examine_goal(self.store, goal, self.settings.node_retries)

    def live_workers(self) -> int:
        """How many workers were heard of within `worker_stale_seconds`."""
        from orchestrator.operate.fleet import alive_workers

        with self.reachable():
            return alive_workers(self.store, self.settings)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """A block for parts that do not say so themselves.

        It raises RedisNotReachable where no Redis answers, RedisFull where it has no memory left, RedisRefuses where it
        takes no writes, and RedisForbids where its user may not do what was asked.
        """
        try:
            yield
        except (*ConnectionFailed, OperationalError) as error:
            raise unreachable(self.store.url, error) from None
        except MemoryFull:
            raise full(self.store.url) from None
        except NotAllowed as error:
            raise forbidden(self.store.url, error) from None
        except Refused as error:
            if not takes_no_writes(error):
                raise
            raise refusing(self.store.url, error) from None


def connect(settings: Settings | None = None) -> Chordal:
    """A Chordal for these settings, by default those of the environment. It connects on first use."""
    from orchestrator.app import app, make_app, redis_url

    if settings is None:
        return Chordal(app.chordal_settings, app, redis_url(app.chordal_settings))
    return Chordal(settings, make_app(settings), redis_url(settings))
