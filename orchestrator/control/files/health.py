"""What `chordal doctor` says of heartbeat files."""

from __future__ import annotations

from collections import Counter

from orchestrator.control.files.registry import ANY_HOST, Registry
from orchestrator.domain.views import Check
from orchestrator.store.store import Store

NAME = "heartbeat files"


def checks(store: Store) -> list[Check]:
    """One line: whether somebody reads the files of each machine; none where no file is read at all."""
    hosts = Counter(file.host for file in Registry(store).all())
    if not hosts:
        return []
    looks = {beat.name.rpartition(":")[0] for beat in store.upkeep.beats() if beat.ticks}
    watched = {host for host in hosts if host != ANY_HOST and store.files.watcher(host)}
    alone = sorted(host for host in hosts if host not in watched | looks | {ANY_HOST})
    if alone:
        count = sum(hosts[host] for host in alone)
        return [
            Check(
                NAME, False, f"nobody reads {count} of {hosts.total()}: no worker and no ticking beat on {', '.join(alone)}",
                "start a worker there, or register files on a shared volume with --any-host",
            )
        ]  # fmt: skip
    by_beat = sorted(host for host in hosts if host not in watched | {ANY_HOST})
    slow = f"; on {', '.join(by_beat)} only beat looks" if by_beat else ""
    return [Check(NAME, True, f"{hosts.total()} are read{slow}")]
