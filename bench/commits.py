"""The cost of storing: the server's commits from /metrics, and a plain write with fdatasync for comparison."""

import http.client
import os
import re
import statistics
import time

PAGE = b"\0" * 4096
SYNCS = 200


def costs(port):
    """Return the average duration of a commit in ms and the messages in it, since the server's start."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    count = number(text, "chat_commit_seconds_count")
    if not count:
        return {}
    return {
        "commit_ms": number(text, "chat_commit_seconds_sum") / count * 1e3,
        "commit_messages": number(text, "chat_commit_messages_sum") / count,
    }


def number(text, name):
    """Return the value of one sample in Prometheus' text format; 0 if it is missing."""
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def fsync_ms(folder):
    """Return the median time in ms to write a page to a file in `folder` and fdatasync it."""
    path = folder / "fsync"
    took = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNCS):
            start = time.perf_counter()
            file.write(PAGE)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    path.unlink()
    return statistics.median(took) * 1e3
