"""Where a worker serves what its neighbours ask of the sessions that it holds: a neighbour's requests, as its own.

A question is `{"n": number, "do": what, "sid": session}` with a body, its answer `{"n": number}` with one, or
`{"n": number, "code": …, "message": …}`, Engine.IO's refusal. A poll is answered when there is something to take.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable

from ...rooms.client import Taken
from ..engine import BAD_REQUEST, BadRequest, Engine
from ..polling import Poller
from .links import Head, Link
from .sessions import payload

#: What is asked for: BACK has the poll of that number answered at once, PROBE brings a socket and is not answered.
FIND, POLL, POST, REFUSE, PROBE, BACK = "find", "poll", "post", "refuse", "probe", "back"


class ForwardingServer:
    """One neighbour, and its polls that wait; in the loop."""

    def __init__(self, engine: Engine, connection: _socket.socket) -> None:
        self._engine = engine
        self._waits: dict[int, Wait] = {}
        self._do: dict[str, Callable[[Head, bytes], None]] = {
            FIND: self._find,
            POLL: self._poll,
            POST: self._post,
            REFUSE: self._refuse,
            PROBE: self._probe,
            BACK: self._give_back,
        }
        self._link = Link(engine.hub.reactor, connection, self._heard, self._ended)

    def answer(self, number: int, body: bytes = b"") -> None:
        """Answer the question of that number."""
        self._waits.pop(number, None)
        self._link.send({"n": number}, body)

    def _heard(self, link: Link, head: Head, body: bytes) -> None:
        try:
            self._do[head["do"]](head, body)
        except BadRequest as bad:
            self._decline(head, bad)
        except Exception as error:
            # The session's doing: the neighbour's others must not suffer from it.
            session = self._engine.sessions.get(head["sid"])
            if session is not None:
                self._engine.hub.reactor.fail(session.member, error)
            self._decline(head, BadRequest(*BAD_REQUEST))

    def _decline(self, head: Head, bad: BadRequest) -> None:
        self._link.send({"n": head["n"], "code": bad.code, "message": bad.message})

    def _find(self, head: Head, body: bytes) -> None:
        self._engine.find(head["sid"])
        self.answer(head["n"])

    def _poll(self, head: Head, body: bytes) -> None:
        wait = Wait(self, head["n"])
        wait.poller = self._engine.poll(head["sid"], wait)
        self._waits[head["n"]] = wait

    def _post(self, head: Head, body: bytes) -> None:
        if head["sid"] in self._engine.posting:
            self._engine.refuse(head["sid"])
            raise BadRequest(*BAD_REQUEST)
        self._engine.post(head["sid"], body)
        self.answer(head["n"])

    def _refuse(self, head: Head, body: bytes) -> None:
        self._engine.refuse(head["sid"])
        self.answer(head["n"])

    def _probe(self, head: Head, body: bytes) -> None:
        end = head["answer"]
        self._engine.probe(Taken(self._link.take_fd(), body[:end], body[end:]), head["sid"])

    def _give_back(self, head: Head, body: bytes) -> None:
        wait = self._waits.get(head["n"])
        if wait is not None:
            wait.poller.withdraw(wait)
            wait.set()

    def _ended(self, link: Link) -> None:
        for wait in self._waits.values():
            wait.poller.withdraw(wait)


class Wait:
    """A neighbour's poll that waits: a Waiter."""

    __slots__ = ("poller", "_desk", "_number")

    def __init__(self, desk: ForwardingServer, number: int) -> None:
        self.poller: Poller
        self._desk = desk
        self._number = number

    def set(self) -> None:
        """Answer it with what there is."""
        self._desk.answer(self._number, payload(self.poller.answer()))
