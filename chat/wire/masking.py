"""Masking of a client's frames (RFC 6455 section 5.3)."""

from __future__ import annotations

#: A single huge integer does not fit the processor's cache: slices of 4 KiB measured twice as fast.
_CHUNK = 4096
_integer = int.from_bytes


def unmask(payload: bytes, key: bytes) -> bytes:
    """Return `payload` XORed with the 4 bytes of `key`, repeated."""
    size = len(payload)
    if size > _CHUNK:
        return _unmask_long(payload, key)
    mask = _integer((key * (size + 3 >> 2))[:size], "little")
    return (_integer(payload, "little") ^ mask).to_bytes(size, "little")


def _unmask_long(payload: bytes, key: bytes) -> bytes:
    mask = _integer(key * (_CHUNK >> 2), "little")
    whole = len(payload) - len(payload) % _CHUNK
    chunks = [
        (_integer(payload[at : at + _CHUNK], "little") ^ mask).to_bytes(_CHUNK, "little")
        for at in range(0, whole, _CHUNK)
    ]
    chunks.append(unmask(payload[whole:], key))
    return b"".join(chunks)
