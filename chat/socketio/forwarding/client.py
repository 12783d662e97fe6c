"""The other workers of this machine: a request that reaches the wrong one is passed to the one that holds its session.

gunicorn's workers take connections from one port, each request whoever is free. So a worker that gets a request of
another's session asks the other for the answer over a link between the two; a WebSocket that is to take a session over
is handed to the other as it is, descriptor and all, and costs nobody anything from then on.
"""

from __future__ import annotations

import _socket
import itertools
import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ...loop.drivers import allocate_lock
from ...rooms.client import Taken
from ..engine import UNKNOWN_SID, BadRequest, Engine
from .directory import WorkerDirectory
from .links import Head, Link, Listener, close_fd
from .server import BACK, FIND, POLL, POST, PROBE, REFUSE, ForwardingServer
from .sessions import LocalSession, SessionHandle

log = logging.getLogger("chat")

#: Seconds that a neighbour has for an answer that needs no waiting.
PROMPT = 10.0


class ForwardingClient:
    """All that a worker has to do with the others. `make_folder()` returns where they meet."""

    def __init__(self, engine: Engine, make_folder: Callable[[], WorkerDirectory]) -> None:
        self.engine = engine
        self._reactor = engine.hub.reactor
        self._name = engine.sids.worker
        self._make_folder = make_folder
        self._listener: Listener | None = None
        self._began = False
        self._lock = allocate_lock()
        self._neighbours: dict[str, Neighbour] = {}

    # ---- outside the loop --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Let the others in, from the first call on: before anybody hears of a session that they may be asked for."""
        with self._lock:
            begins, self._began = not self._began, True
            trouble = self._listen() if begins else None
        if trouble is not None:
            log.error("other workers cannot pass on Socket.IO's long-polling to this one: %s", trouble)

    def _listen(self) -> OSError | None:
        try:
            listening = self._folder.listen(self._name)
        except OSError as error:
            return error
        self._listener = Listener(self._reactor, listening, self._meet)
        self._reactor.call_soon(self._listener.begin)
        return None

    @cached_property
    def _folder(self) -> WorkerDirectory:
        return self._make_folder()

    def _meet(self, connection: _socket.socket) -> None:
        ForwardingServer(self.engine, connection)

    def holder(self, sid: str) -> SessionHandle:
        """Return who holds the session `sid`, by what the id tells."""
        worker = self.engine.sids.neighbour_of(sid)
        return LocalSession(self.engine, sid) if worker is None else ForwardedSession(self, worker, sid)

    def end(self) -> None:
        """Be found no more; the process is about to end."""
        if self._listener is not None:
            self._folder.leave(self._name)

    # ---- in the loop -------------------------------------------------------------------------------------------

    def ask(self, worker: str, call: Call) -> None:
        """Put a question to a worker; where it is gone, nobody knows the session."""
        neighbour = self._neighbour(worker)
        if neighbour is None:
            call.refuse(self.engine.unknown())
            return
        neighbour.ask(call)
        if self.engine.hub.draining:
            neighbour.give_back()

    def hand_over(self, worker: str, taken: Taken, sid: str) -> None:
        """Give a worker a socket; where it is gone, so is the session, and the socket is closed."""
        neighbour = self._neighbour(worker)
        if neighbour is None:
            close_fd(taken.fd)
        else:
            neighbour.hand_over(taken, sid)

    def give_back(self) -> None:
        """Have all polls that wait here for others' sessions answered: their clients are to come by another way."""
        for neighbour in list(self._neighbours.values()):
            neighbour.give_back()

    def _neighbour(self, worker: str) -> Neighbour | None:
        neighbour = self._neighbours.get(worker)
        if neighbour is None and (connection := self._folder.connect(worker)) is not None:
            neighbour = Neighbour(self.engine, connection, lambda: self._neighbours.pop(worker, None))
            self._neighbours[worker] = neighbour
        return neighbour


class Call:
    """A question to a neighbour, and its answer."""

    __slots__ = ("do", "sid", "body", "forget", "_done", "_answer", "_refusal")

    def __init__(self, do: str, sid: str, body: bytes, done: Any) -> None:
        self.do = do
        self.sid = sid
        self.body = body
        #: Waits for the answer no more; in the loop.
        self.forget: Callable[[], None] = _nothing
        self._done = done
        self._answer = b""
        self._refusal: BadRequest | None = None

    def answer(self, body: bytes) -> None:
        """Take note of the answer; in the loop."""
        self._answer = body
        self._done.set()

    def refuse(self, bad: BadRequest) -> None:
        """Take note that it is refused; in the loop."""
        self._refusal = bad
        self._done.set()

    def wait(self, seconds: float) -> bytes | None:
        """Return the answer, or None where there is none after `seconds`; raise BadRequest."""
        if not self._done.wait(seconds):
            return None
        if self._refusal is not None:
            raise self._refusal
        return self._answer


class Neighbour:
    """One worker that is asked, and what it has yet to answer; in the loop."""

    def __init__(self, engine: Engine, connection: _socket.socket, ended: Callable[[], Any]) -> None:
        self._calls: dict[int, Call] = {}
        self._numbers = itertools.count(1)
        self._gone = ended
        self._link = Link(engine.hub.reactor, connection, self._heard, self._ended)

    def ask(self, call: Call) -> None:
        """Put a question."""
        number = next(self._numbers)
        self._calls[number] = call
        call.forget = lambda: self._forget(number)
        self._link.send({"n": number, "do": call.do, "sid": call.sid}, call.body)

    def hand_over(self, taken: Taken, sid: str) -> None:
        """Give it a socket; it answers nothing."""
        head = {"n": 0, "do": PROBE, "sid": sid, "answer": len(taken.answer)}
        self._link.send(head, taken.answer + taken.early, taken.fd)

    def give_back(self) -> None:
        """Have it answer all polls that wait."""
        for number, call in list(self._calls.items()):
            if call.do == POLL:
                self._link.send({"n": number, "do": BACK, "sid": call.sid})

    def _forget(self, number: int) -> None:
        call = self._calls.pop(number, None)
        if call is not None and call.do == POLL:
            self._link.send({"n": number, "do": BACK, "sid": call.sid})

    def _heard(self, link: Link, head: Head, body: bytes) -> None:
        call = self._calls.pop(head["n"], None)
        if call is None:
            return
        if "code" in head:
            call.refuse(BadRequest(head["code"], head["message"]))
        else:
            call.answer(body)

    def _ended(self, link: Link) -> None:
        self._gone()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.refuse(BadRequest(*UNKNOWN_SID))


class ForwardedSession:
    """A session that another worker of this machine holds, or nobody: a Holder."""

    def __init__(self, neighbours: ForwardingClient, worker: str, sid: str) -> None:
        self._neighbours = neighbours
        self._engine = neighbours.engine
        self._worker = worker
        self._sid = sid

    def find(self) -> None:
        self._ask(FIND, b"", PROMPT)

    def poll(self) -> bytes:
        # Its session says something, if only a ping, before that.
        settings = self._engine.settings
        return self._ask(POLL, b"", settings.io_ping_interval + settings.io_ping_timeout)

    def post(self, body: bytes) -> None:
        self._ask(POST, body, PROMPT)

    def refuse(self) -> None:
        self._ask(REFUSE, b"", PROMPT)

    def probe(self, taken: Taken) -> None:
        self._engine.hub.reactor.call(self._neighbours.hand_over, self._worker, taken, self._sid)

    def _ask(self, do: str, body: bytes, seconds: float) -> bytes:
        reactor = self._engine.hub.reactor
        call = Call(do, self._sid, body, reactor.driver.event())
        reactor.call(self._neighbours.ask, self._worker, call)
        answer = call.wait(seconds)
        if answer is None:
            reactor.call(call.forget)
            raise self._engine.unknown()
        return answer


def _nothing() -> None:
    pass
