"""Memory, processor time, descriptors and threads of a process and its children, from Linux's /proc."""

import os
import threading
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid):
    """Return the pid and those of all its descendants."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += map(int, read(f"/proc/{pid}/task/{pid}/children").split())
    return found


def read(path):
    """Return the file's text; empty if it does not exist."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def stat(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def resident(pid):
    """Return the resident bytes of the whole tree."""
    return sum(int(fields[21]) * PAGE for fields in map(stat, tree(pid)) if fields)


def cpu_seconds(pid):
    """Return the processor time of the whole tree, in seconds."""
    return sum((int(fields[11]) + int(fields[12])) / TICKS for fields in map(stat, tree(pid)) if fields)


def waited_seconds(pid):
    """Return the seconds that the main threads of the tree were ready to run but waited for a processor."""
    texts = (read(f"/proc/{one}/schedstat").split() for one in tree(pid))
    return sum(int(words[1]) / 1e9 for words in texts if words)


def threads(pid):
    return sum(int(fields[17]) for fields in map(stat, tree(pid)) if fields)


def descriptors(pid):
    count = 0
    for one in tree(pid):
        try:
            count += len(os.listdir(f"/proc/{one}/fd"))
        except OSError:
            continue
    return count


class Sampler(threading.Thread):
    """Calls `probe()` every `interval` seconds inside its `with` block."""

    def __init__(self, probe, interval):
        super().__init__(daemon=True)
        self._probe = probe
        self._interval = interval
        self._stopped = threading.Event()

    def run(self):
        while not self._stopped.wait(self._interval):
            self._probe()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self._stopped.set()
        self.join()
