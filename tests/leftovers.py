"""Finds and ends processes that the tests started and that outlive them."""

import ctypes
import os
import select
import signal
import time
from pathlib import Path

import pytest

PR_SET_CHILD_SUBREAPER = 36
#: Seconds that a process may take to end by itself.
GRACE = 5.0
KEY = pytest.StashKey[list[str]]()


def adopt_orphans():
    """Make this process the parent of every descendant whose own parent ends, so that `descendants` finds it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end():
    """Kill each descendant that is still alive after the grace; return `pid command line` of each."""
    deadline = time.monotonic() + GRACE
    return [line for pid in descendants(os.getpid()) if (line := end_one(pid, deadline))]


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def children(pid):
    """The pids of a process's children; none once it has ended."""
    try:
        tasks = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for task in tasks for child in task.split()]


def end_one(pid, deadline):
    """The line of a process that had to be killed at the deadline, else None; a zombie counts as ended."""
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
