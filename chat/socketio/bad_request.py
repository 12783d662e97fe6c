"""Engine.IO's refusals of a request, by their codes and messages."""

from __future__ import annotations


class BadRequest(Exception):
    """A request that the protocol does not allow; `code` and `message` are Engine.IO's own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


UNKNOWN_TRANSPORT = 0, "Transport unknown"
UNKNOWN_SID = 1, "Session ID unknown"
BAD_METHOD = 2, "Bad handshake method"
BAD_REQUEST = 3, "Bad request"
FORBIDDEN = 4, "Forbidden"
BAD_VERSION = 5, "Unsupported protocol version"
