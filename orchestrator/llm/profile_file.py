"""Read the settings file of models and report everything that is wrong with it at once, each fault with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from orchestrator.domain.document import parse_json, parse_yaml
from orchestrator.domain.errors import Fault, InvalidGoal
from orchestrator.llm.failures import InvalidProfiles
from orchestrator.llm.profiles import Account, Model, Profiles

OPENAI_URL: Final = "https://api.openai.com/v1"
DEFAULT_MODEL: Final = "gpt-5-mini"
LOCAL_VARIABLE: Final = "CHORDAL_LOCAL_MODEL"
"""Profiles (JSON) of the model that the stack on this machine serves; the supervisor tells its children by it."""
MOST_BYTES: Final = 1_048_576
_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {"accounts": Account, "models": Model}


def load_profiles(path: Path | None, environ: Mapping[str, str]) -> Profiles:
    """The profiles of a YAML or JSON file, or those that follow from the environment where there is no file.

    Raises InvalidProfiles with every fault: of the text, of fields, and of names that point nowhere. Keys are not looked
    for: only the processes that make calls need them (`check_keys`).
    """
    if path is None:
        return default_profiles(environ)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidProfiles([Fault(str(path), f"it cannot be read: {error.strerror}")]) from None
    if len(text) > MOST_BYTES:
        raise InvalidProfiles([Fault(str(path), f"it has more than {MOST_BYTES:,} bytes")])
    try:
        raw = parse_json(text) if path.suffix == ".json" else parse_yaml(text)
    except InvalidGoal as error:
        raise InvalidProfiles(error.faults) from None
    return _beside(path, read_profiles(raw))


def _beside(path: Path, profiles: Profiles) -> Profiles:
    """With the scripts of accounts where they are: relative to the file that names them."""
    moved = {
        name: account.model_copy(update={"script": str(path.parent.absolute() / account.script)})
        for name, account in profiles.accounts.items()
        if account.script is not None
    }
    return profiles.model_copy(update={"accounts": {**profiles.accounts, **moved}}) if moved else profiles


def check_keys(profiles: Profiles, environ: Mapping[str, str]) -> None:
    """Before calls are made: are the keys there? Raises InvalidProfiles with every variable that is not set."""
    if faults := list(_unset(profiles, environ)):
        raise InvalidProfiles(faults)


def default_profiles(environ: Mapping[str, str]) -> Profiles:
    """One account from OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL, else the local model of the stack.

    Raises InvalidProfiles if there is neither.
    """
    url, key = environ.get("OPENAI_BASE_URL") or OPENAI_URL, environ.get("OPENAI_API_KEY")
    if not key and url == OPENAI_URL:
        if local := environ.get(LOCAL_VARIABLE):
            return read_profiles(parse_json(local))
        remedy = (
            "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own, or write a file of profiles, "
            "or start the stack with --local-model"
        )
        raise InvalidProfiles([Fault("environment", "no model can be called", remedy)])
    name = environ.get("OPENAI_MODEL") or DEFAULT_MODEL
    account: dict[str, Any] = {"base_url": url, "kind": "openai" if url == OPENAI_URL else "self-hosted"}
    if key:
        account["api_key_env"] = "OPENAI_API_KEY"
    return read_profiles(
        {"accounts": {"openai": account}, "models": {name: {"account": "openai"}}, "chains": {"default": [name]}}
    )


def read_profiles(raw: Any) -> Profiles:
    """The profiles that a decoded document describes. Raises InvalidProfiles with every fault found."""
    if not isinstance(raw, Mapping):
        raise InvalidProfiles([Fault("document", "profiles are an object with accounts and models")])
    try:
        profiles = Profiles.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidProfiles([*(_as_fault(detail) for detail in details), *_dangling(raw)]) from None
    if faults := list(_dangling(raw)):
        raise InvalidProfiles(faults)
    return profiles


def _dangling(raw: Mapping[str, Any]) -> Iterable[Fault]:
    """Names that point nowhere, read off the raw document so that they are found beside faults of fields."""
    accounts, models, chains = (_table(raw.get(name)) for name in ("accounts", "models", "chains"))
    for name, model in models.items():
        account = model.get("account") if isinstance(model, Mapping) else None
        if isinstance(account, str) and account not in accounts:
            yield Fault(f"models.{name}.account", f"there is no account {account!r}", _known("accounts", accounts))
    for name, chain in chains.items():
        if name in models:
            yield Fault(f"chains.{name}", "a model has this name too", "choose another one")
        for index, step in enumerate(chain if isinstance(chain, list | tuple) else ()):
            if isinstance(step, str) and step not in models:
                yield Fault(f"chains.{name}[{index}]", f"there is no model {step!r}", _known("models", models))
            elif isinstance(step, str) and step in chain[:index]:
                yield Fault(f"chains.{name}[{index}]", f"{step!r} stands in the chain twice")


def _unset(profiles: Profiles, environ: Mapping[str, str]) -> Iterable[Fault]:
    for name, account in profiles.accounts.items():
        if account.api_key_env and not environ.get(account.api_key_env):
            message = f"the environment variable {account.api_key_env} is not set"
            yield Fault(
                f"accounts.{name}.api_key_env", message, "set it, or leave the field out for a server without keys"
            )


def _as_fault(detail: Any) -> Fault:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    place = path.removesuffix(".[key]").lstrip(".") or "document"
    kind, message = detail["type"], str(detail["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        secret = detail["loc"][-1] in ("api_key", "key", "token")
        remedy = "name the key's environment variable in api_key_env" if secret else ""
        return Fault(place, "there is no such field", remedy or _fields(detail["loc"]))
    if kind == "missing":
        return Fault(place, "it is missing")
    return Fault(place, message)


def _fields(location: tuple[Any, ...]) -> str:
    model = _SECTIONS.get(str(location[0])) if len(location) == 3 else Profiles if len(location) == 1 else None
    return f"known fields: {', '.join(model.model_fields)}" if model else ""


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _known(what: str, table: Mapping[str, Any]) -> str:
    return f"known {what}: {', '.join(map(str, table)) or 'none'}"
