"""What storing costs: the server's commits, as /metrics counts them, beside a plain write that the disk confirms."""

import http.client
import os
import re
import statistics
import time

PAGE = b"\0" * 4096
SYNCS = 200


def costs(port):
    """Milliseconds of a commit and messages in it, on average since the server's start."""
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
    """The value of one sample in Prometheus' text format; 0 where it is missing."""
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def fsync_ms(folder):
    """The median of writing a page to a file there and having the disk say that it is kept."""
    path = folder / "fsync"
    took = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNCS):
            begun = time.perf_counter()
            file.write(PAGE)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    path.unlink()
    return statistics.median(took) * 1e3
