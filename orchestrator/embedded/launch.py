"""Runs a command in a process that the kernel ends when the supervisor dies, even by SIGKILL. Linux only.

    python -I -S launch.py SIGNAL PARENT_PID COMMAND [ARGUMENT ...]

It stays set across exec, so the command keeps this process's pid. A small program of its own (12 ms) because the other
way, Python code between fork and exec, may deadlock in a process with threads. The kernel watches the *thread* that
started this process: that thread has to live as long as the child should.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(orphan_signal: str, parent: str, *command: str) -> None:
    """Set the death signal and become `command`."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the supervisor ended while it started this process")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
