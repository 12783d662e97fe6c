"""One peer that a worker forwards requests to, and the answers that it owes."""

from __future__ import annotations

import _socket
import itertools
from collections.abc import Callable
from typing import Any

from ...loop.reactor import Reactor
from ...rooms.client import Taken
from ..bad_request import UNKNOWN_SID, BadRequest
from .links import Head, Link
from .requests import POLL, PROBE, RELEASE, PendingRequest


class Peer:
    """Another worker of this machine, at the other end of a link; in the loop. `on_close()` is called once."""

    def __init__(self, reactor: Reactor, connection: _socket.socket, on_close: Callable[[], Any]) -> None:
        self._requests: dict[int, PendingRequest] = {}
        self._numbers = itertools.count(1)
        self._on_close = on_close
        self._link = Link(reactor, connection, self._receive, self._closed)

    def forward(self, request: PendingRequest) -> None:
        """Send a request."""
        number = next(self._numbers)
        self._requests[number] = request
        request.cancel = lambda: self._cancel(number)
        self._link.send({"n": number, "do": request.do, "sid": request.sid}, request.body)

    def transfer_socket(self, taken: Taken, sid: str) -> None:
        """Give it a socket that probes its session `sid`; it does not answer."""
        head = {"n": 0, "do": PROBE, "sid": sid, "answer": len(taken.answer)}
        self._link.send(head, taken.answer + taken.early, taken.fd)

    def release_polls(self) -> None:
        """Have it answer all polls that wait."""
        for number, request in list(self._requests.items()):
            if request.do == POLL:
                self._release(number, request)

    def _release(self, number: int, poll: PendingRequest) -> None:
        self._link.send({"n": number, "do": RELEASE, "sid": poll.sid})

    def _cancel(self, number: int) -> None:
        request = self._requests.pop(number, None)
        if request is not None and request.do == POLL:
            self._release(number, request)

    def _receive(self, link: Link, head: Head, body: bytes) -> None:
        request = self._requests.pop(head["n"], None)
        if request is None:
            return
        if "code" in head:
            request.refuse(BadRequest(head["code"], head["message"]))
        else:
            request.answer(body)

    def _closed(self, link: Link) -> None:
        self._on_close()
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.refuse(BadRequest(*UNKNOWN_SID))
