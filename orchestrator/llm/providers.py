"""Who answers the calls of which account: a service over the network, or a script."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.domain.errors import Fault
from orchestrator.llm.calls import Answer, Call, Provider
from orchestrator.llm.failures import Failure, InvalidProfiles
from orchestrator.llm.profiles import Kind, Profiles
from orchestrator.llm.script import Step, read_script
from orchestrator.llm.scripted import Scripted


class Providers:
    """Answers the calls of every account of the profiles. Safe to share between threads, usable in forked children."""

    def __init__(self, profiles: Profiles, environ: Mapping[str, str]) -> None:
        """`environ` holds the keys. The extra `llm` is needed for accounts that are not scripted only.

        Raises InvalidProfiles with every fault of every script, and MissingExtra.
        """
        scripts = _scripts(profiles)
        self._scripted: Mapping[str, Provider] = {name: Scripted(steps, keep=False) for name, steps in scripts.items()}
        self._network: Provider | None = None
        if any(account.kind is not Kind.SCRIPTED for account in profiles.accounts.values()):
            from orchestrator.llm.openai_provider import OpenAIProvider

            self._network = OpenAIProvider(environ)

    def send(self, call: Call) -> Answer | Failure:
        """Make one attempt at the account of the call."""
        provider = self._scripted.get(call.account_name, self._network)
        assert provider is not None, "an account that is not scripted has the network"
        return provider.send(call)

    def close(self) -> None:
        """Close every connection of this process."""
        if self._network is not None:
            self._network.close()


def _scripts(profiles: Profiles) -> dict[str, list[Step]]:
    """The script of every account that has one. Raises InvalidProfiles with the faults of all of them."""
    found: dict[str, list[Step]] = {}
    faults: list[Fault] = []
    for name, account in profiles.accounts.items():
        if account.script is None:
            continue
        try:
            found[name] = read_script(Path(account.script))
        except InvalidProfiles as error:
            faults += [Fault(f"accounts.{name}.script: {one.place}", one.message, one.remedy) for one in error.faults]
    if faults:
        raise InvalidProfiles(faults)
    return found
