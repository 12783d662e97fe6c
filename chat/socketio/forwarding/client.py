"""Forwards requests that reach the wrong worker of this machine to the one that holds their session.

gunicorn's workers accept connections from one port, so each request reaches any of them. A worker that gets a request
to a peer's session forwards it over a link between the two. A WebSocket that probes the upgrade of a peer's session is
transferred to the peer, descriptor and all, and costs this worker nothing from then on.
"""

from __future__ import annotations

import _socket
import logging
from collections.abc import Callable
from functools import cached_property

from ...loop.drivers import allocate_lock
from ...rooms.client import Taken
from ..engine import Engine
from .directory import WorkerDirectory
from .links import Listener, close_fd
from .peers import Peer
from .requests import PendingRequest
from .server import ForwardingServer
from .sessions import ForwardedSession, LocalSession, SessionHandle

log = logging.getLogger("flask_chat")


class ForwardingClient:
    """This worker's links to its peers. `make_directory()` returns where they find each other."""

    def __init__(self, engine: Engine, make_directory: Callable[[], WorkerDirectory]) -> None:
        self.engine = engine
        self._reactor = engine.hub.reactor
        self._name = engine.sids.worker
        self._make_directory = make_directory
        self._listener: Listener | None = None
        self._has_begun = False
        self._lock = allocate_lock()
        self._peers: dict[str, Peer] = {}

    # ---- outside the loop --------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Accept peers, from the first call on: call it before a client learns of a session of this worker."""
        with self._lock:
            begins, self._has_begun = not self._has_begun, True
            error = self._start_listener() if begins else None
        if error is not None:
            log.error("other workers cannot forward Socket.IO's long-polling to this one: %s", error)

    def _start_listener(self) -> OSError | None:
        try:
            listening = self._directory.listen(self._name)
        except OSError as error:
            return error
        self._listener = Listener(self._reactor, listening, self._accept)
        self._reactor.call_soon(self._listener.start)
        return None

    @cached_property
    def _directory(self) -> WorkerDirectory:
        return self._make_directory()

    def _accept(self, connection: _socket.socket) -> None:
        ForwardingServer(self.engine, connection)

    def session(self, sid: str) -> SessionHandle:
        """Return the session `sid`, held by the worker that the id names."""
        worker = self.engine.sids.peer_of(sid)
        return LocalSession(self.engine, sid) if worker is None else ForwardedSession(self, worker, sid)

    def close(self) -> None:
        """Leave the directory; the process is about to end."""
        if self._listener is not None:
            self._directory.leave(self._name)

    # ---- in the loop -------------------------------------------------------------------------------------------

    def forward(self, worker: str, request: PendingRequest) -> None:
        """Send a request to a worker; where that has ended, the session is unknown."""
        peer = self._peer(worker)
        if peer is None:
            request.refuse(self.engine.unknown_session())
            return
        peer.forward(request)
        if self.engine.hub.draining:
            peer.release_polls()

    def transfer_socket(self, worker: str, taken: Taken, sid: str) -> None:
        """Give a worker a socket; where it has ended, so has the session, and the socket is closed."""
        peer = self._peer(worker)
        if peer is None:
            close_fd(taken.fd)
        else:
            peer.transfer_socket(taken, sid)

    def release_polls(self) -> None:
        """Have all polls answered that wait here for peers' sessions: their clients must reach another worker."""
        for peer in list(self._peers.values()):
            peer.release_polls()

    def _peer(self, worker: str) -> Peer | None:
        peer = self._peers.get(worker)
        if peer is None and (connection := self._directory.connect(worker)) is not None:
            peer = Peer(self._reactor, connection, lambda: self._peers.pop(worker, None))
            self._peers[worker] = peer
        return peer
