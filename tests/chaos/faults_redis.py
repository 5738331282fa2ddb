"""Faults of the server: killed, cut, paused, full."""

from __future__ import annotations

import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from chaos.fault import NOTHING, Fault, Struck
from chaos.losses import WITNESS, Witness, connection, forget_missing, gone_events, last_events
from chaos.world import REFUSALS, World, place
from support.servers import Server


def kill_server(world: World, _: Random) -> Struck:
    witness = Witness(world)
    witness.start()
    world.go_on(0.3)
    before = last_events(world)
    world.server.stop(signal.SIGKILL)
    witness.stop()

    def heal() -> None:
        world.server.start()
        events, writes = gone_events(world, before), witness.lost()
        if events or writes:
            world.violations.append(f"kill -9 of the server lost {events} events and {writes} acknowledged writes")
        world.note(f"{events + writes} of {witness.acknowledged} acknowledged writes lost")

    return Struck(heal=heal)


def restart_server(world: World, _: Random) -> Struck:
    world.server.stop(signal.SIGTERM)
    return Struck(heal=world.server.start)


def newest_increment(server: Server) -> Path:
    """The append-only file that is being written."""
    files = sorted((server.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
    return files[-1]


def cut_tail(world: World, chance: Random) -> Struck:
    before = last_events(world)
    world.set_back |= world.running
    world.server.stop(signal.SIGKILL)
    path = newest_increment(world.server)
    size = path.stat().st_size
    cut = min(size, chance.choice([1, 17, 400, 5_000, 60_000]))
    with path.open("r+b") as file:
        file.truncate(size - cut)

    def heal() -> None:
        world.server.start()
        events, goals = gone_events(world, before), forget_missing(world)
        world.note(f"{cut} bytes cut: {events} goals went back, {len(goals)} were gone")

    return Struck(heal=heal)


def pause_clients(world: World, chance: Random) -> Struck:
    connection(world).client_pause(int(chance.uniform(1500, 3500)), all=True)
    return Struck()


def stop_server(world: World, _: Random) -> Struck:
    assert world.server.process is not None
    world.server.process.send_signal(signal.SIGSTOP)
    return Struck(heal=partial(world.server.process.send_signal, signal.SIGCONT))


def flush_scripts(world: World, _: Random) -> Struck:
    connection(world).script_flush()
    return Struck()


def fill_memory(world: World, _: Random) -> Struck:
    client = connection(world)
    client.config_set("maxmemory", max(1, int(client.info("memory")["used_memory"]) - 10_000))
    return Struck(heal=lambda: client.config_set("maxmemory", 0))


def no_disk_of_its_own() -> str:
    """Why the server's files cannot be given a file system of their own."""
    with place() as (_, mounted):
        return "" if mounted else "needs root and the permission to mount a tmpfs"


def fill_disk(world: World, _: Random) -> Struck:
    ballast = world.server.folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65_536):
            pass
    with suppress(OSError), ballast.open("ab", buffering=0) as file:  # the last partial block
        while file.write(b"\0" * 512):
            pass

    def heal() -> None:
        ballast.unlink()
        world.wait(lambda: _writable(world), 30, "the server writes again")

    return Struck(heal=heal)


def _writable(world: World) -> bool:
    with suppress(*REFUSALS):
        client = connection(world)
        client.set(WITNESS, 0)
        client.delete(WITNESS)
        return True
    return False


REDIS_WINDOW = (1.0, 4.0)

FAULTS = (
    Fault(
        name="kill -9 of Redis, restart on its append-only file",
        does="SIGKILL of the server under load; it comes back seconds later with the same file.",
        holds="Every write that the kernel had is there again; that is every acknowledged one unless a flush to a slow disk held it back. Goals go on.",
        loses="Up to two seconds of acknowledged writes when a flush is that slow. Power loss is another matter: about one second"
        " with `appendfsync everysec`; see below.",
        inject=kill_server,
        lasts=REDIS_WINDOW,
    ),
    Fault(
        name="Restart of Redis",
        does="SIGTERM, and a start seconds later.",
        holds="Workers keep what they have finished and commit it when the server is back; leases get time to be renewed.",
        loses="Nodes longer than the lease may run twice; one commit counts.",
        inject=restart_server,
        lasts=REDIS_WINDOW,
    ),
    Fault(
        name="Tail of the append-only file cut",
        does="SIGKILL of the server, and up to 60 kB cut off the file, mid-command: what a power cut leaves behind.",
        holds="The server loads what is whole (`aof-load-truncated yes`). Each goal is as it was at one earlier moment and goes on."
        " A commit under a lease from the lost time is fenced by its nonce, even where the token repeats.",
        loses="What was written in the lost piece: nodes run again, a goal submitted in it is gone. With an `idempotency_key` it"
        " can be submitted again without harm.",
        inject=cut_tail,
        lasts=REDIS_WINDOW,
    ),
    Fault(
        name="CLIENT PAUSE past the lease",
        does="The server answers nobody for 1.5 to 3.5 s.",
        holds="Leases that could not be renewed are spared for one more lease once the server answers.",
        loses="Nodes may run twice; one commit counts.",
        inject=pause_clients,
        lasts=(3.5, 3.6),
    ),
    Fault(
        name="Redis stands still",
        does="SIGSTOP of the server past the lease.",
        holds="As for CLIENT PAUSE.",
        loses="Nodes may run twice; one commit counts.",
        inject=stop_server,
        lasts=(2.0, 4.0),
    ),
    Fault(
        name="SCRIPT FLUSH",
        does="The server forgets every script.",
        holds="Scripts are sent again with the next call.",
        loses=NOTHING,
        inject=flush_scripts,
    ),
    Fault(
        name="maxmemory reached",
        does="The limit is set below what is used (`noeviction`), for seconds.",
        holds="What would grow is refused before its first write; commits, renewals and clean-up are let through.",
        loses="New submissions are refused. Celery's worker may end, because its broker refuses it; a supervisor starts it again.",
        inject=fill_memory,
        lasts=(2.0, 4.0),
    ),
    Fault(
        name="Disk full under Redis",
        does="The file system of the append-only file (a tmpfs) is filled to the last byte, for seconds.",
        holds="Every write is refused as soon as the server notices; the partial write is taken back. Goals go on with space.",
        loses="What was acknowledged just before is in memory only until there is space again: a power cut in that time loses it.",
        inject=fill_disk,
        needs=no_disk_of_its_own,
        lasts=(2.0, 4.0),
    ),
)
