"""No process that the tests started may outlive them."""

import ctypes
import os
import select
import signal
import time
from pathlib import Path

import pytest

PR_SET_CHILD_SUBREAPER = 36
#: Seconds that a process which was told to end may still take.
GRACE = 5.0
KEY = pytest.StashKey[list[str]]()


def adopt_orphans():
    """Make this process the parent of every descendant whose own parent ends, so that none gets out of sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end():
    """End each descendant that is still there after the grace, and return `pid command line` of each."""
    deadline = time.monotonic() + GRACE
    return [line for pid in descendants(os.getpid()) if (line := end_one(pid, deadline))]


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def children(pid):
    """The pids of a process's children; none when it has ended meanwhile."""
    try:
        tasks = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for task in tasks for child in task.split()]


def end_one(pid, deadline):
    """The line of a process that had to be killed at the deadline, else None; a zombie is not alive."""
    try:
        handle = os.pidfd_open(pid)
        ended = has_ended(handle, deadline)
        os.close(handle)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if not ended:
            os.kill(pid, signal.SIGKILL)
    except OSError:
        return None
    return None if ended else f"{pid} {command.replace(bytes(1), b' ').decode(errors='replace').strip()}"


def has_ended(handle, deadline):
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    return bool(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))
