"""Which line a call waits in: its account's, or, where a model has limits of its own, the model's. Pure."""

from __future__ import annotations

from typing import Final

from orchestrator.domain.errors import Fault
from orchestrator.llm.failures import InvalidProfiles
from orchestrator.llm.limits import Limits
from orchestrator.llm.profiles import Profiles

MOST_CHARACTERS: Final = 128


def model_limits(profiles: Profiles) -> dict[str, Limits]:
    """The limits of models that have any, by the names of their lines. Raises InvalidProfiles if a name stands for both."""
    found = {
        f"{model.account}/{name}": model.limits.as_limits(profiles.accounts[model.account].kind)
        for name, model in profiles.models.items()
        if model.limits
    }
    if long := sorted(name for name in found if len(name) > MOST_CHARACTERS):
        remedy = f"shorten the name of the model or of the account: {MOST_CHARACTERS} characters together"
        raise InvalidProfiles(
            [Fault(f"models.{name.partition('/')[2]}", "its line's name is too long", remedy) for name in long]
        )
    if both := sorted(found.keys() & profiles.accounts.keys()):
        message = "a model with limits of its own has its line under this name"
        raise InvalidProfiles([Fault(f"accounts.{name}", message, "rename the account") for name in both])
    return found


def line_of(profiles: Profiles, model: str) -> str:
    """What to ask the limiter for when this model is called: its own line if it has limits, else its account."""
    found = profiles.models[model]
    return f"{found.account}/{model}" if found.limits else found.account


def all_lines(profiles: Profiles) -> list[str]:
    """Every line that calls of the profiles may wait in."""
    return [*profiles.accounts, *model_limits(profiles)]
