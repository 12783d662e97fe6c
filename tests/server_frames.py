"""Frames and messages parsed from a server's bytes: for tests that have bytes instead of a socket."""

import json

TEXT = 1


def frames(data):
    """(opcode, payload) of each frame in `data`, which must consist of whole frames."""
    found, at = [], 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        assert size < 0x80, "a server's frames are not masked"
        if size > 125:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : start], "big")
        payload = bytes(data[start : start + size])
        assert len(payload) == size, "the last frame is cut"
        found.append((data[at] & 0x0F, payload))
        at = start + size
    return found


def messages(data):
    """The JSON messages in `data`, in order."""
    return [json.loads(payload) for opcode, payload in frames(data) if opcode == TEXT]


def message(data):
    """The only JSON message in `data`."""
    (only,) = messages(data)
    return only
