"""Why Chordal is not first where it is not, written by a person who looked: the page puts each beside its figure.

Keyed by workload and by the row that is faster. An entry stays when a later run does not need it; without an entry the page
says that no reason was written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SELF: Final = (
    "the engine is the process that died: whoever starts it again resumes it at once, and nobody else can hold the step. "
    "Chordal waits for the lease to run out, because its worker might still live."
)
WHY: Final[Mapping[tuple[str, str], str]] = {
    ("cold", "huey"): "huey depends on nothing but redis-py: its client and its workers have little to import.",
    ("cold", "langgraph"): "one process that waits for no worker.",
    ("cold", "dbos"): "one process that waits for no worker.",
    ("cold", "temporal"): "one process that is client and worker, and a server that was running already.",
    ("recovery", "langgraph"): _SELF,
    ("recovery", "dbos"): _SELF,
    ("memory", "langgraph"): "one process, no server.",
    ("memory", "dbos"): "one process, no server.",
    ("memory", "huey"): "its processes import little.",
    ("memory", "celery"): "Chordal is Celery and its own modules, with beat beside the worker.",
    ("memory", "dask"): "workers that import little; nothing is stored.",
}
