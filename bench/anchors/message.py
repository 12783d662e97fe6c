"""The message that all Python servers here send, with the same fields as the chat's."""

import itertools
import time

PREFIX = f"{time.time_ns() // 1_000_000:x}5eed00-"
serial = itertools.count(1)


def message(username, data):
    seq = next(serial)
    return {
        "type": 2,
        "user": {"id": username[4:], "username": username},
        "data": data,
        "room": "lobby",
        "seq": seq,
        "id": f"{PREFIX}{seq:x}",
        "ts": time.time_ns() // 1_000_000,
    }
