"""The composition root: settings in, working parts out. Nothing below it reads the environment or builds its own parts."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from celery import Celery, states
from kombu.exceptions import OperationalError

from orchestrator.agents.parts import AgentParts
from orchestrator.agents.plan.approval import AS_PROPOSED, applier
from orchestrator.domain.dag import Goal
from orchestrator.domain.errors import ChordalError
from orchestrator.domain.events import Event
from orchestrator.domain.states import GoalState
from orchestrator.domain.views import Check, GoalStatus, GoalSummary
from orchestrator.engine.commits import Committer
from orchestrator.engine.control import Control
from orchestrator.engine.dispatch import Slots, UserTask
from orchestrator.engine.duties import LLM_QUEUE, Duties
from orchestrator.engine.health import Health
from orchestrator.engine.kinds import Kinds
from orchestrator.engine.leases import Keeper
from orchestrator.engine.patch import Patch, Patcher
from orchestrator.engine.payload import Payloads
from orchestrator.engine.read import Reader
from orchestrator.engine.registry import REGISTRY
from orchestrator.engine.reopen import Reopener
from orchestrator.engine.run import Runner
from orchestrator.engine.submit import Submitter
from orchestrator.gate.parts import ModelParts
from orchestrator.gate.place import Place
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed, unreachable
from orchestrator.store.keys import Keys
from orchestrator.store.llm_records import Word
from orchestrator.store.records import Invitation
from orchestrator.store.store import Store

if TYPE_CHECKING:  # imported where they are used: most processes check no history and call no model
    from orchestrator.agents.desk import AgentDesk
    from orchestrator.events.violation import Report
    from orchestrator.llm.client import Client
    from orchestrator.llm.limiter import Limiter
    from orchestrator.llm.profiles import Profiles

log = logging.getLogger(__name__)

RUN_TASK: Final = "tasks.node.run"
BUILT_IN: Final = "chordal"
"""The module that nodes name for functions of ours."""
CALL_TASK: Final = "tasks.llm.run"
MARK: Final[Mapping[str, Any]] = {
    "task": "chordal.node",
    "args": [],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": True,
}
"""The tiny chord that a user's task message carries: Celery then calls our backend where it would count the chord."""


def band(priority: int) -> int:
    """The broker's list for a goal's priority: one each for 0, 1-9, 10-99 and 100 or more; Redis serves the lowest first."""
    return 9 - 3 * min(3, len(str(priority)) if priority > 0 else 0)


class CallFailed(ChordalError):
    """A model call by `tasks.llm.call` got no answer; the message says why."""


class CelerySender:
    """Publishes messages through Celery, by task name.

    A message that cannot be sent is only logged: what Redis holds is the truth, and beat sends it again.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def invite(self, invitations: Iterable[Invitation]) -> None:
        """Send one invitation each."""
        for one in invitations:
            self._send(
                RUN_TASK,
                args=(one.goal, one.queue, one.node, one.sent_ms),
                task_id=one.task_id,
                queue=one.queue,
                priority=band(one.priority),
                ignore_result=True,
                argsrepr=f"({one.goal}, {one.node})",
                kwargsrepr="{}",
            )

    def start(self, task: UserTask) -> None:
        """Send the user's own task; its arguments stay out of what Flower shows."""
        options: dict[str, Any] = {"queue": task.queue} if task.queue else {}
        if task.time_limit:
            options["time_limit"] = task.time_limit
        self._send(
            task.name,
            args=task.args,
            kwargs=dict(task.kwargs),
            task_id=f"{task.goal}:{task.node}:{task.attempt}",
            group_id=task.goal,
            chord=dict(MARK),
            argsrepr=f"({task.goal}, {task.node})",
            kwargsrepr="{}",
            **options,
        )

    def call(self, account: str, word: Word) -> None:
        """Send a word of an account's line to the workers that make calls; it names no prompt."""
        self._send(
            CALL_TASK,
            args=(account, word.id, word.outcome.value, word.detail),
            task_id=Place.of(word.id).task_id,
            queue=LLM_QUEUE,
            ignore_result=True,
        )

    def conclude(self, task_id: str, output: Any, error: str | None) -> None:
        """Store the result of a Celery task that a goal stands for."""
        result, state = (output, states.SUCCESS) if error is None else (CallFailed(error), states.FAILURE)
        self._app.backend.store_result(task_id, result, state)

    def _send(self, name: str, **message: Any) -> None:
        try:
            self._app.send_task(name, **message)
        except (OperationalError, *ConnectionFailed) as error:
            log.warning("the message %s was not sent (%s); beat will send it again", message["task_id"], error)


class Chordal:
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
    def duties(self) -> Duties:
        """The work of beat."""
        return Duties(
            self.store, self.settings, self.sender, self.slots, self.control, self.payloads, self.models.forget, self.models.allot,
            lambda queues: self.agent_parts.reassigner.look(queues),
        )  # fmt: skip

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

    def pause(self, goal: str, reason: str = "") -> str:
        """No further claim; running nodes finish."""
        with self.reachable():
            return self.control.pause(goal, reason)

    def resume(self, goal: str, reason: str = "") -> str:
        """Claims again."""
        with self.reachable():
            return self.control.resume(goal, reason)

    def cancel(self, goal: str, reason: str = "") -> str:
        """No claim and no commit from now on."""
        with self.reachable():
            return self.control.cancel(goal, reason)

    def retry(self, goal: str, node: str | None = None) -> str:
        """Run what failed again."""
        with self.reachable():
            return self.reopener.retry(goal, node)

    def patch(self, goal: str, patch: Mapping[str, Any] | Patch, reason: str = "") -> int:
        """Change the plan of a goal that runs; returns its new version."""
        with self.reachable():
            return self.patcher.apply(goal, patch, reason)

    def approve(self, goal: str, node: str, comment: str = "", plan: Any = AS_PROPOSED) -> str:
        """Answer an approval with yes; that of a plan may be answered with another `plan`, which is carried out then.

        Raises BadPlan with every fault of the plan, edited or not, and nothing is approved.
        """
        with self.reachable():
            if plan is AS_PROPOSED:
                if applier(self.store, goal, node) is not None:
                    from orchestrator.agents.plan.applying import accept_proposed

                    accept_proposed(self.store, self.payloads, goal, node)
                return self.control.approve(goal, node, comment)
            self.agents.accept_plan(goal, node, plan)
            return self.control.approve(goal, node, comment, plan=plan)

    def reject(self, goal: str, node: str, comment: str = "") -> str:
        """Answer an approval with no."""
        with self.reachable():
            return self.control.reject(goal, node, comment)

    def signal(self, goal: str, name: str, payload: Any = None) -> str:
        """Send a named signal to a goal."""
        with self.reachable():
            return self.control.signal(goal, name, payload)

    def doctor(self) -> Sequence[Check]:
        """What is well and what is not."""
        with self.reachable():
            return Health(self.store, self.settings, self.duties.intervals()).checks()

    def check_history(self, goal: str) -> Report:
        """What the history and the state of a goal say of the invariants. Raises GoalNotFound."""
        from orchestrator.events.check import examine_goal

        with self.reachable():
            return examine_goal(self.store, goal, self.settings.node_retries)

    def live_workers(self) -> int:
        """How many workers were heard of within `worker_stale_seconds`."""
        with self.reachable():
            return Health(self.store, self.settings, {}).live_workers()

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """A block that raises RedisNotReachable where no Redis answers: for parts that do not say so themselves."""
        try:
            yield
        except (*ConnectionFailed, OperationalError) as error:
            raise unreachable(self.store.url, error) from None


def connect(settings: Settings | None = None) -> Chordal:
    """A Chordal for these settings, by default those of the environment. It connects on first use."""
    from orchestrator.app import app, make_app, redis_url

    if settings is None:
        return Chordal(app.chordal_settings, app, redis_url(app.chordal_settings))
    return Chordal(settings, make_app(settings), redis_url(settings))
