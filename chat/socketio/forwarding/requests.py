"""Requests between two workers of one machine, and the wait for their answers.

A request is `{"n": number, "do": what, "sid": session}` with a body. Its answer is `{"n": number}` with a body, or
Engine.IO's refusal, `{"n": number, "code": …, "message": …}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..bad_request import BadRequest

#: Values of `do`. RELEASE has the poll of that number answered at once; PROBE brings a socket. Neither is answered.
FIND, POLL, POST, ABORT, PROBE, RELEASE = "find", "poll", "post", "refuse", "probe", "back"


class PendingRequest:
    """A request to a peer, and its answer."""

    __slots__ = ("do", "sid", "body", "cancel", "_done", "_answer", "_refusal")

    def __init__(self, do: str, sid: str, body: bytes, done: Any) -> None:
        """`done` is an event of the loop's driver."""
        self.do = do
        self.sid = sid
        self.body = body
        #: Called in the loop when the wait for the answer is given up.
        self.cancel: Callable[[], None] = _nothing
        self._done = done
        self._answer = b""
        self._refusal: BadRequest | None = None

    def answer(self, body: bytes) -> None:
        """Record the answer; in the loop."""
        self._answer = body
        self._done.set()

    def refuse(self, bad: BadRequest) -> None:
        """Record a refusal; in the loop."""
        self._refusal = bad
        self._done.set()

    def wait(self, seconds: float) -> bytes | None:
        """Return the answer, or None where there is none after `seconds`; raise BadRequest for a refusal."""
        if not self._done.wait(seconds):
            return None
        if self._refusal is not None:
            raise self._refusal
        return self._answer


def _nothing() -> None:
    pass
