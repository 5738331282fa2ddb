"""Read a goal from where the user keeps it: a JSON or YAML file, standard input, a goal.py, or declared agents."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli.declared import Wish, declaration_at, document, home, narrowed, profiles_beside
from orchestrator.domain.dag import Goal
from orchestrator.domain.document import parse_json, parse_yaml
from orchestrator.domain.errors import Fault, InvalidGoal
from orchestrator.domain.limits import DEFAULT_LIMITS
from orchestrator.domain.validate import read_goal

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration

NAMES: Final = ("goal.json", "goal.yaml", "goal.yml", "goal.py")


@dataclass(frozen=True)
class Source:
    """A goal that was read and found valid, and where its code is."""

    goal: Goal
    folder: Path
    """Put on the workers' import path."""
    imports: tuple[str, ...]
    """Modules that the nodes name and that live in `folder` or the current folder."""
    declaration: Declaration | None = None
    """Where its agents are declared."""
    llm_file: Path | None = None
    """The file of profiles beside the declaration."""


def read_source(path: str, values: Mapping[str, Any], wish: Wish | None = None) -> Source:
    """The goal at `path` (``-`` is JSON on standard input); `wish` is for goals that are made from declared agents.

    Raises InvalidGoal, InvalidInstructions, or a click error for a wrong path or option.
    """
    place = _existing(path)
    declaration = declaration_at(place) if place else None
    if declaration is not None:
        return _declared(declaration, values, wish or Wish())
    if wish is not None and wish.is_said():
        raise click.UsageError(
            "only a goal of declared agents takes --goal, --goal-id, --owner, --approve-plan, --workflow"
        )
    place = _find(place) if place else None
    _check_values(place, values)
    folder = place.resolve().parent if place else Path.cwd()
    try:
        goal = read_goal(_document(place, values) if place else parse_json(_bounded("-")))
    except InvalidGoal as error:
        error.add_note(f"in {place or 'standard input'}")
        raise
    return Source(goal, folder, tuple(dict.fromkeys(_modules(goal, (folder, Path.cwd())))))


def _declared(declaration: Declaration, values: Mapping[str, Any], wish: Wish) -> Source:
    folder = home(declaration)
    dag = _find(folder, must=False)
    _check_values(dag, values)
    try:
        plan = _document(dag, values) if dag else None
        declaration = narrowed(declaration, plan, wish)
        goal = read_goal(document(declaration, plan, wish))
    except InvalidGoal as error:
        error.add_note(f"in {dag or declaration.path}")
        raise
    folders = (folder, Path.cwd())
    imports = declaration.options.imports
    if absent := [name for name in imports if not any(_lives_in(name, one) for one in folders)]:
        raise InvalidGoal([Fault(str(declaration.path), f"there is no module {name!r} in {folder}") for name in absent])
    modules = tuple(dict.fromkeys((*imports, *_modules(goal, folders))))
    return Source(goal, folder, modules, declaration, profiles_beside(declaration))


def agents_beside(declaration: Declaration) -> tuple[str, ...] | None:
    """The agents of the goal's own document beside a declaration; None where that is made by a goal.py, which is not run.

    Raises InvalidGoal.
    """
    dag = _find(home(declaration), must=False)
    if dag is None:
        return ()
    if dag.suffix == ".py":
        return None
    made = _document(dag, {})
    own = made.get("agents") if isinstance(made, Mapping) else None
    named = (one.get("name") for one in own if isinstance(one, Mapping)) if isinstance(own, list) else ()
    return tuple(name for name in named if isinstance(name, str))


def _existing(path: str) -> Path | None:
    if path == "-":
        return None
    place = Path(path)
    if not place.exists():
        raise click.BadParameter(f"there is no file or folder {path!r}", param_hint="PATH")
    return place


def _check_values(place: Path | None, values: Mapping[str, Any]) -> None:
    if values and (place is None or place.suffix != ".py"):
        raise click.BadParameter("only a goal.py takes settings", param_hint="--set")


def _find(place: Path, must: bool = True) -> Path | None:
    """The goal's file: the path itself, or the one of the folder; None where there is none and there need be none."""
    if not place.is_dir():
        return place
    found = [place / name for name in NAMES if (place / name).is_file()]
    if not found and must:
        others = "and no INSTRUCTIONS.md or INSTRUCTIONS.yaml"
        raise click.BadParameter(
            f"the folder {str(place)!r} has none of {', '.join(NAMES)}, {others}", param_hint="PATH"
        )
    if len(found) > 1:
        both = " and ".join(one.name for one in found)
        raise click.BadParameter(f"the folder {str(place)!r} has {both}; name the one you mean", param_hint="PATH")
    return found[0] if found else None


def _document(place: Path, values: Mapping[str, Any]) -> Any:
    if place.suffix == ".py":
        return _build(place, values)
    text = _bounded(str(place))
    if place.suffix in (".yaml", ".yml"):
        return parse_yaml(text)
    # A suffix that says nothing is read as JSON: process substitution and /dev/stdin have none.
    return parse_json(text)


def _bounded(path: str) -> bytes:
    """The bytes of a file, never more than the limit: it may be a pipe, so its size is found by reading."""
    limit = DEFAULT_LIMITS.document_bytes
    with click.open_file(path, "rb") as stream:
        text: bytes = stream.read(limit + 1)
    if len(text) > limit:
        raise InvalidGoal([Fault(path, f"it has more than {limit:,} bytes", "split the goal into sub-goals")])
    return text


def _build(place: Path, values: Mapping[str, Any]) -> Any:
    """What goal.py's `goal(**values)` returns. The module is `goal` here as in the workers, so that its nodes agree."""
    sys.path.insert(0, str(place.resolve().parent))
    try:
        spec = importlib.util.spec_from_file_location(place.stem, place)
        if spec is None or spec.loader is None:
            raise InvalidGoal([Fault(str(place), "it cannot be imported")])
        module = sys.modules[place.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        build = getattr(module, "goal", None)
        if not callable(build):
            raise InvalidGoal([Fault(str(place), "it has no function goal()", "def goal(**settings) -> dict: ...")])
        _check_settings(place, build, values)
        made = build(**values)
    except InvalidGoal:
        raise
    except Exception as error:
        raise InvalidGoal([_where_it_broke(place, error)]) from error
    return made.model_dump(mode="json", exclude_unset=True) if isinstance(made, Goal) else made


def _check_settings(place: Path, build: Any, values: Mapping[str, Any]) -> None:
    signature = inspect.signature(build)
    try:
        signature.bind(**values)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "none"
        raise InvalidGoal([Fault(f"{place}: goal()", str(error), f"settings it takes, with --set: {takes}")]) from None


def _where_it_broke(place: Path, error: Exception) -> Fault:
    """The innermost line of the user's own code: their mistake is shown where they made it."""
    folder = str(place.resolve().parent)
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith(folder)]
    if isinstance(error, SyntaxError):
        where = f"{error.filename or place} line {error.lineno}"
    else:
        where = f"{frames[-1].filename} line {frames[-1].lineno}" if frames else str(place)
    return Fault(where, f"{type(error).__name__}: {error}")


def _modules(goal: Goal, folders: tuple[Path, ...]) -> Iterator[str]:
    """The modules that `call`s name, sub-goals included, where one of the folders has them."""
    documents: list[Any] = [node.model_dump(include={"call", "goal", "kind", "each"}) for node in goal.nodes]
    while documents:
        node = documents.pop()
        module = str(node.get("call") or "").partition(":")[0] if ":" in str(node.get("call")) else ""
        if any(_lives_in(module, folder) for folder in folders):
            yield module
        documents.extend((node.get("goal") or {}).get("nodes", ()))


def _lives_in(module: str, folder: Path) -> bool:
    *parents, last = module.split(".")
    if not all(part.isidentifier() for part in (*parents, last)):
        return False
    home = folder.joinpath(*parents)
    return (home / f"{last}.py").is_file() or (home / last / "__init__.py").is_file()
