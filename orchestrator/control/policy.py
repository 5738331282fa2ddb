"""Who may give which commands, by door and sender.

It guards the doors of this process. Whoever may write to Redis or to the broker needs no door: that is for Redis's ACL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from orchestrator.domain.command import Command, Denied, Door
from orchestrator.domain.errors import Fault, Faulty
from orchestrator.domain.verbs import Verb, verb_of

Verbs = frozenset[Verb]

PRESETS: Final[Mapping[str, Verbs]] = {
    "production": frozenset(),
    "monitoring": frozenset({Verb.PAUSE, Verb.RESUME, Verb.HOLD, Verb.RELEASE}),
    "development": frozenset(Verb),
}
"""`production` is read only; `monitoring` may also stop what harms, and let it go on."""
MOST_BYTES: Final = 65_536


class InvalidPolicy(Faulty):
    """The policy has faults; no command is let through until they are mended."""

    WHAT = "the policy is not valid"
    SHOWN = 20


@dataclass(frozen=True, slots=True)
class Policy:
    """What each door and sender may do. The first of `senders` that fits wins, then the door, then the default."""

    default: Verbs = PRESETS["development"]
    doors: Mapping[Door, Verbs] = field(default_factory=dict)
    senders: tuple[tuple[str, Verbs], ...] = ()
    """Patterns of ``door:sender`` with `*` and `?`."""
    said: str = "development"
    """Where it comes from, for the message of a refusal."""

    def allowed(self, door: Door, sender: str) -> Verbs:
        """The commands that a sender may give through a door."""
        by = f"{door}:{sender}"
        for pattern, verbs in self.senders:
            if fnmatchcase(by, pattern):
                return verbs
        return self.doors.get(door, self.default)

    def check(self, command: Command) -> None:
        """Raise Denied if its sender may not give it."""
        allowed = self.allowed(command.door, command.sender)
        if command.verb not in allowed:
            may = ", ".join(sorted(allowed)) or "no command"
            raise Denied(f"{command.by} may not {command.verb}; by the policy ({self.said}) it may give: {may}")


def read_policy(text: str, file: Path | None) -> Policy:
    """The policy of the settings `policy` and `policy_file`. Raises InvalidPolicy."""
    return _from_file(file) if file is not None else _plain(text)


def _plain(text: str) -> Policy:
    faults: list[Fault] = []
    allowed = _verbs(text if text.strip() in PRESETS else text.split(","), "policy", faults)
    if faults:
        raise InvalidPolicy(faults)
    return Policy(allowed, said=text.strip())


def _from_file(file: Path) -> Policy:
    import yaml

    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES or b"&" in raw:
            raise InvalidPolicy([Fault(str(file), f"it is larger than {MOST_BYTES:,} bytes, or has YAML anchors")])
        found = yaml.safe_load(raw.decode())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidPolicy([Fault(str(file), " ".join(str(error).split()))]) from None
    return _of_document(found, str(file))


def _of_document(found: Any, said: str) -> Policy:
    faults: list[Fault] = []
    if not isinstance(found, Mapping):
        raise InvalidPolicy([Fault(said, "it must be an object with default, doors and senders")])
    faults += [
        Fault(str(name), "there is no such field", "default, doors or senders")
        for name in found
        if name not in ("default", "doors", "senders")
    ]
    default = _verbs(found.get("default", "production"), "default", faults)
    doors = {}
    for name, value in _object(found.get("doors"), "doors", faults):
        if name not in list(Door):
            faults.append(Fault(f"doors.{name}", "there is no such door", f"one of {', '.join(Door)}"))
        else:
            doors[Door(name)] = _verbs(value, f"doors.{name}", faults)
    senders = [
        (name, _verbs(value, f"senders.{name}", faults))
        for name, value in _object(found.get("senders"), "senders", faults)
    ]
    if faults:
        raise InvalidPolicy(faults)
    return Policy(default, doors, tuple(senders), said)


def _object(value: Any, place: str, faults: list[Fault]) -> Iterable[tuple[str, Any]]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        faults.append(Fault(place, "it must be an object"))
        return ()
    return [(str(name), one) for name, one in value.items()]


def _verbs(value: Any, place: str, faults: list[Fault]) -> Verbs:
    if isinstance(value, str) and value.strip() in PRESETS:
        return PRESETS[value.strip()]
    if not isinstance(value, list):
        faults.append(Fault(place, f"{value!r} is no preset", f"{', '.join(PRESETS)}, or a list of commands"))
        return frozenset()
    found = set()
    for one in value:
        verb = verb_of(str(one))
        if verb in list(Verb):
            found.add(Verb(str(verb)))
        else:
            faults.append(
                Fault(place, f"there is no command {one!r}", f"{', '.join(PRESETS)}, or of: {', '.join(Verb)}")
            )
    return frozenset(found)
