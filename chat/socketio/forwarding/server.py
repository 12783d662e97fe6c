"""Serves the requests that a peer forwards to sessions of this worker; requests.py has their form.

A forwarded request is served as the worker's own. A poll is answered when there are frames to take.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable

from ...rooms.client import Taken
from ..bad_request import BAD_REQUEST, BadRequest
from ..engine import Engine
from ..polling import Poller, payload_of
from .links import Head, Link
from .requests import ABORT, FIND, POLL, POST, PROBE, RELEASE


class ForwardingServer:
    """One peer, and its polls that wait; in the loop."""

    def __init__(self, engine: Engine, connection: _socket.socket) -> None:
        self._engine = engine
        self._polls: dict[int, ForwardedPoll] = {}
        self._do: dict[str, Callable[[Head, bytes], None]] = {
            FIND: self._find,
            POLL: self._poll,
            POST: self._post,
            ABORT: self._abort,
            PROBE: self._probe,
            RELEASE: self._release,
        }
        self._link = Link(engine.hub.reactor, connection, self._receive, self._closed)

    def answer(self, number: int, body: bytes = b"") -> None:
        """Answer the request of that number."""
        self._polls.pop(number, None)
        self._link.send({"n": number}, body)

    def _receive(self, link: Link, head: Head, body: bytes) -> None:
        try:
            self._do[head["do"]](head, body)
        except BadRequest as bad:
            self._refuse(head, bad)
        except Exception as error:
            # One session failed: the peer's other requests must not fail with it.
            session = self._engine.sessions.get(head["sid"])
            if session is not None:
                self._engine.hub.reactor.fail(session.member, error)
            self._refuse(head, BadRequest(*BAD_REQUEST))

    def _refuse(self, head: Head, bad: BadRequest) -> None:
        self._link.send({"n": head["n"], "code": bad.code, "message": bad.message})

    def _find(self, head: Head, body: bytes) -> None:
        self._engine.find(head["sid"])
        self.answer(head["n"])

    def _poll(self, head: Head, body: bytes) -> None:
        poll = ForwardedPoll(self, head["n"])
        poll.poller = self._engine.poll(head["sid"], poll)
        self._polls[head["n"]] = poll

    def _post(self, head: Head, body: bytes) -> None:
        if head["sid"] in self._engine.posting:
            self._engine.abort(head["sid"])
            raise BadRequest(*BAD_REQUEST)
        self._engine.post(head["sid"], body)
        self.answer(head["n"])

    def _abort(self, head: Head, body: bytes) -> None:
        self._engine.abort(head["sid"])
        self.answer(head["n"])

    def _probe(self, head: Head, body: bytes) -> None:
        end = head["answer"]
        self._engine.probe(Taken(self._link.take_fd(), body[:end], body[end:]), head["sid"])

    def _release(self, head: Head, body: bytes) -> None:
        poll = self._polls.get(head["n"])
        if poll is not None:
            poll.poller.cancel_poll(poll)
            poll.set()

    def _closed(self, link: Link) -> None:
        for poll in self._polls.values():
            poll.poller.cancel_poll(poll)


class ForwardedPoll:
    """A peer's poll that waits: a Waiter."""

    __slots__ = ("poller", "_server", "_number")

    def __init__(self, server: ForwardingServer, number: int) -> None:
        self.poller: Poller
        self._server = server
        self._number = number

    def set(self) -> None:
        """Answer it with the frames that there are."""
        self._server.answer(self._number, payload_of(self.poller.take_for_poll()))
