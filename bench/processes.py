"""What Linux knows of a process and its children: memory, processor time, descriptors, threads."""

import os
import threading
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid):
    """The pid and those of all its descendants."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += map(int, read(f"/proc/{pid}/task/{pid}/children").split())
    return found


def read(path):
    """The file's text, empty where it is gone."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def stat(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def resident(pid):
    """Resident bytes of the whole tree."""
    return sum(int(fields[21]) * PAGE for fields in map(stat, tree(pid)) if fields)


def cpu_seconds(pid):
    """Seconds of processor time of the whole tree."""
    return sum((int(fields[11]) + int(fields[12])) / TICKS for fields in map(stat, tree(pid)) if fields)


def waited_seconds(pid):
    """Seconds that the main threads of the tree could have run and had to wait for a processor."""
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
        self._over = threading.Event()

    def run(self):
        while not self._over.wait(self._interval):
            self._probe()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self._over.set()
        self.join()
