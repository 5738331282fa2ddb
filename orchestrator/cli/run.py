"""`run` and `watch`: stay with a goal until it ends, and exit by how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import output
from orchestrator.cli.context import (
    Command,
    again,
    client,
    connection_options,
    example,
    goal_argument,
    json_option,
    set_option,
    settings,
)
from orchestrator.cli.declared import take_wish, wish_options
from orchestrator.cli.exits import ExitCode, of_outcome

if TYPE_CHECKING:
    from orchestrator.cli.follow import Parting
    from orchestrator.cli.ground import Ground, Shape
    from orchestrator.cli.load import Source
    from orchestrator.cli.views import Screen
    from orchestrator.settings import Settings
    from orchestrator.wiring import Chordal


def _progress_options(command: Callable[..., Any]) -> Callable[..., Any]:
    progress = click.option(
        "--progress",
        type=click.Choice(("auto", "tty", "plain", "json")),
        default="auto",
        show_default=True,
        help="How to show progress on stderr; json is one event a line.",
    )
    timeout = click.option(
        "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Let go of the goal after so long."
    )
    return progress(timeout(command))


@click.command(
    cls=Command,
    epilog=example(
        "chordal run goal.json",
        "chordal run examples/audit --set root=src --json | tail -1 | jq .state",
        "chordal run goal.yaml --workers 4 --progress plain",
        "chordal run examples/research --approve-plan",
        "chordal run INSTRUCTIONS.md --goal 'Compare three queues' --workflow",
    ),
)
@click.argument("path", metavar="PATH")
@set_option
@wish_options
@_progress_options
@click.option("--detach", is_flag=True, help="Submit to the running stack, print the goal id and leave.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Worker processes, where a stack is started for the run.",
)
@click.option("--concurrency", type=click.IntRange(1, 4096), metavar="N", help="Nodes that one worker runs at once.")
@click.option(
    "--pool",
    type=click.Choice(("prefork", "threads", "gevent", "solo")),
    default="prefork",
    show_default=True,
    help="Celery's worker pool.",
)
@click.option(
    "--local-model",
    is_flag=True,
    help="Serve a small model for the run, without key and network, where it starts a stack.",
)
@json_option
@connection_options
def run(path: str, as_json: bool, detach: bool, **options: Any) -> None:
    """Run a goal from start to end, and exit by its outcome.

    PATH is a JSON or YAML file, - for JSON on standard input, or a folder with a goal.json, goal.yaml or goal.py (a
    function `goal(**settings)` that returns the document). Modules beside it that nodes call are imported by the
    workers of a stack that this command starts.

    A folder with an INSTRUCTIONS.md or INSTRUCTIONS.yaml (also in its folder `instructions`), or such a file itself,
    declares agents. They work on the goal.json, goal.yaml or goal.py beside it, else on the tasks `- [ ] ...` in their
    instructions, else on a plan that a model makes first. While the run is followed, changed instructions hold from the
    next turn on. An llm.yaml beside it has the models, where CHORDAL_LLM_FILE is not set and a stack is started here; but
    only if all of its accounts are `scripted`. One that calls models is used if you name it in CHORDAL_LLM_FILE.

    Uses the stack that is running: the one of CHORDAL_REDIS_URL, else the one that `chordal up` keeps in the data
    directory. Without one, starts Redis, workers and beat for the run, and stops them afterwards; with a worker for
    model calls if the goal has `llm` or `agent` nodes or a model is configured.

    Ctrl-C lets go of the goal and never cancels it. With --json, stdout ends with one line, an object with goal_id,
    state, seconds and nodes.
    """
    from orchestrator.cli.ground import Shape, calls_models
    from orchestrator.cli.load import read_source
    from orchestrator.cli.models import chosen_for
    from orchestrator.cli.stack import model_is_configured

    source = read_source(path, options["values"], take_wish(options))
    local = options["local_model"]
    chosen = settings() if local else chosen_for(source)
    calls = local or calls_models(source.goal) or model_is_configured(chosen)
    shape = Shape(options["workers"], options["concurrency"], options["pool"], int(calls), local)
    _Run(source, chosen, shape, options["progress"], options["timeout"], detach, as_json).go()


@click.command(cls=Command, epilog=example("chordal watch g1", "chordal watch g1 --progress json --timeout 60"))
@goal_argument
@_progress_options
@json_option
@connection_options
def watch(goal: str, progress: str, timeout: float | None, as_json: bool) -> None:
    """Watch a goal until it ends, and exit by its outcome. Ctrl-C stops watching; the goal goes on."""
    from orchestrator.cli.follow import Follower
    from orchestrator.cli.tally import Tally
    from orchestrator.cli.views import make_view

    door = client()
    status = door.status(goal)
    tally = Tally(goal)
    tally.refresh(status)
    parting = Follower(door, tally, make_view(progress), status.seconds or 0.0, timeout).run()
    _part(door, goal, parting, as_json)


class _Run:
    """One run, which may outlive the stack that it began on: another command may have started that one for itself."""

    def __init__(
        self, source: Source, chosen: Settings, shape: Shape, progress: str, timeout_seconds: float | None, detach: bool,
        as_json: bool,
    ) -> None:  # fmt: skip
        self._source, self._chosen, self._shape = source, chosen, shape
        self._detach, self._as_json = detach, as_json
        self._progress, self._timeout = progress, timeout_seconds
        self._goal: str | None = None
        self._began = 0.0

    def go(self) -> None:
        from orchestrator.cli.ground import ground
        from orchestrator.domain.errors import RedisNotReachable

        while True:
            with ground(self._chosen, self._source, self._shape, start=not self._detach) as place:
                try:
                    return self._on(place)
                except RedisNotReachable:
                    if not place.is_gone():
                        raise

    def _on(self, place: Ground) -> None:
        from orchestrator.cli.follow import Follower
        from orchestrator.cli.heartbeat import read_declared
        from orchestrator.cli.tally import Tally, role_of
        from orchestrator.cli.views import make_view

        door = client(place.settings)
        if self._goal is None:
            self._goal, self._began = self._submit(door), time.monotonic()
        goal, elapsed = self._goal, time.monotonic() - self._began
        files = read_declared(door, self._source.declaration, goal, own_stack=not self._detach)
        if self._detach:
            click.echo("".join(f"{said}\n" for said in files), err=True, nl=False)
            return output.json_line(door.status(goal).as_json()) if self._as_json else click.echo(goal)
        tally = Tally(goal, self._source.goal.title)
        tally.add(
            (node.id, role_of(node.id, node.agent or node.queue or ""), node.title) for node in self._source.goal.nodes
        )
        view = make_view(self._progress)
        for said in files:
            view.say(said)
        parting = Follower(door, tally, view, elapsed, self._timeout, place.is_gone, self._look(door, goal, view)).run()
        return _part(door, goal, parting, self._as_json, place)

    def _submit(self, door: Chordal) -> str:
        from orchestrator.domain.errors import GoalExists

        try:
            return door.submit(self._source.goal)
        except GoalExists as error:
            if self._source.declaration:
                error.add_note("the declaration is not as it was: run it as another goal with --goal-id ID")
            raise

    def _look(self, door: Chordal, goal: str, view: Screen) -> Callable[[], None] | None:
        """What looks for changed instructions, where the goal's agents are declared."""
        from orchestrator.cli.reparse import Watch

        if self._source.declaration is None:
            return None
        watch = Watch(door, goal, self._source.declaration)

        def look() -> None:
            if said := watch.look():
                view.say(said)

        return look


def _part(door: Chordal, goal: str, parting: Parting, as_json: bool, place: Ground | None = None) -> None:
    """Say where the goal stands, in the way that was asked for, and exit by it."""
    from orchestrator.cli.follow import Parting, epilogue
    from orchestrator.cli.ground import way_of

    status, way = door.status(goal), way_of(place)
    if as_json:
        output.json_line(status.as_json())
    elif parting is Parting.OVER:
        epilogue(status, way)
    if parting is not Parting.OVER:
        _say_detached(goal, way)
        raise SystemExit(ExitCode.DETACHED)
    raise SystemExit(of_outcome(status.state))


def _say_detached(goal: str, way: str) -> None:
    if way:
        click.echo(
            f"Let go of {goal}. The stack of this run stops now, and the goal waits. To go on, start the same stack:\n"
            f"  {way}\nand in another terminal:\n  {again('watch', goal)}",
            err=True,
        )
    else:
        click.echo(
            f"Let go of {goal}; it goes on.\n  watch it:  {again('watch', goal)}\n  cancel it: {again('cancel', goal)}",
            err=True,
        )
