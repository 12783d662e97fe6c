"""A connection's way from CONNECT to its end.

Admission runs in a job; accepting, refusing and ending run in the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..identity.guard import Grant
from ..loop.jobs import Jobs
from ..rooms.hub import Hub
from . import registry
from .admission import Admission
from .connection import NOTHING, Connection
from .namespaces import Namespaces
from .packets import CONNECT, CONNECT_ERROR, DISCONNECT, Packet, encode
from .polling import FINAL_CODES
from .recovery import Recovery
from .registry import ConnectRefused
from .resume import Resumer
from .rooms import Rooms
from .sessions import Session

log = logging.getLogger("flask_chat")

#: Seconds between the answer to CONNECT and the events that on_connect emitted. Some clients wait for the answer and
#: begin to listen only then, so both must not arrive in one read.
PAUSE = 0.01
SERVER_DISCONNECT, CLIENT_DISCONNECT = "server namespace disconnect", "client namespace disconnect"


class Lifecycle:
    """Connects and disconnects the clients of all namespaces."""

    def __init__(
        self,
        hub: Hub,
        jobs: Jobs,
        namespaces: Namespaces,
        rooms: Rooms,
        recovery: Recovery,
        resumer: Resumer,
        admission: Admission,
        call_site: Callable[..., Any],
    ) -> None:
        self._hub = hub
        self._jobs = jobs
        self._namespaces = namespaces
        self._rooms = rooms
        self._recovery = recovery
        self._resumer = resumer
        self._admission = admission
        self._call_site = call_site

    # ---- connecting ----------------------------------------------------------------------------------------------

    def connect(self, connection: Connection) -> None:
        """Serve the CONNECT of a new connection."""
        session = connection.engine_session
        session.connections[connection.namespace] = connection
        if not self._jobs.put(session, self._admit, connection):
            self._refuse(connection, _packet(connection, ConnectRefused("Too busy")))

    def _admit(self, connection: Connection) -> None:
        """Accept or refuse a connection; outside the loop."""
        reactor = self._hub.reactor
        try:
            granted = self._admission.check(connection)
        except ConnectRefused as refusal:
            reactor.call(self._refuse, connection, _packet(connection, refusal))
        except BaseException as error:  # gevent.Timeout and SystemExit too: the client is waiting
            log.error("a middleware or on_connect failed", exc_info=error)
            reactor.call(self._refuse, connection, _packet(connection, ConnectRefused("internal")))
        else:
            reactor.call_and_wait(self._accept, connection, granted)
            if connection.has_deferred:
                reactor.driver.sleep(PAUSE)
            reactor.call(connection.send_deferred)

    def _refuse(self, connection: Connection, packet: bytes) -> None:
        session = connection.engine_session
        self._put_back(connection)
        if session.connections.pop(connection.namespace, None) is None or session.reason:
            return
        session.send(packet)

    def _accept(self, connection: Connection, granted: Grant | None) -> None:
        session = connection.engine_session
        if session.reason:
            self._put_back(connection)
            return
        if granted is not None:
            try:
                self._admission.confirm(connection, granted)
            except ConnectRefused as refusal:
                self._refuse(connection, _packet(connection, refusal))
                return
        resumption = connection.resumption
        missed = [] if resumption is None else self._resumer.frames(resumption)
        if missed is None:
            # More was sent in this moment than the memory keeps. The client reconnects, and starts over.
            self._put_back(connection)
            session.close("transport error")
            return
        self._open(connection, granted, missed)

    def _open(self, connection: Connection, granted: Grant | None, missed: list[bytes]) -> None:
        """Answer CONNECT, send what was missed, and add the connection to its rooms."""
        session, namespace, chat = connection.engine_session, connection.namespace, self._namespaces.chat
        connection.accepted = True
        session.take_in()
        self._recovery.cursor.catch_up()
        answer = {"sid": connection.id} | ({"pid": connection.pid} if self._recovery.enabled else {})
        session.send(encode(Packet(CONNECT, namespace, answer)))
        for frames in missed:
            session.send(frames)
        if connection.resumption is None:
            self._recovery.connections += 1
            connection.position = self._recovery.position
        self._rooms.add(connection)
        if granted is not None and chat is not None and self._namespaces.is_chat(namespace):
            chat.admit(connection, granted)
        if connection.resumption is not None:
            self._resumer.finish(connection.resumption)
        if connection.site is None:
            connection.auth = NOTHING  # nothing reads it, and a token is long

    def _put_back(self, connection: Connection) -> None:
        if connection.resumption is not None:
            self._resumer.put_back(connection.resumption)
            connection.resumption = None

    # ---- disconnecting -------------------------------------------------------------------------------------------

    def closed(self, session: Session, reason: str) -> None:
        """End all connections of a session that was closed; their clients may resume, but for a final close code."""
        is_final = session.member.close_code in FINAL_CODES
        for connection in list(session.connections.values()):
            if not connection.accepted:
                continue
            if is_final:
                self.disconnect(connection)
            else:
                self._resumer.save(connection)
                self._end(connection, reason)

    def disconnect(self, connection: Connection, close: bool = False) -> None:
        """End a connection, as the server; `close`: all connections of its session, and the session."""
        if not connection.accepted:
            return
        session = connection.engine_session
        for each in list(session.connections.values()) if close else [connection]:
            self._disconnect(each)
        if close:
            session.close()

    def _disconnect(self, connection: Connection) -> None:
        if connection.accepted:
            connection.send(encode(Packet(DISCONNECT, connection.namespace)))
            self._resumer.forget(connection)
            self._end(connection, SERVER_DISCONNECT)

    def disconnected(self, connection: Connection) -> None:
        """End a connection because its client sent DISCONNECT."""
        self._resumer.forget(connection)
        self._end(connection, CLIENT_DISCONNECT)

    def _end(self, connection: Connection, reason: str) -> None:
        session, namespace = connection.engine_session, connection.namespace
        if session.connections.pop(namespace, None) is None:
            return
        connection.accepted = False
        self._recovery.connections -= 1
        self._rooms.remove(connection)
        connection.expect_no_more()
        if self._namespaces.is_chat(namespace) and not session.reason:
            self._hub.remove(session.member)
            session.member.user = None
        handler = None if connection.site is None else connection.site.find(registry.DISCONNECT)
        if handler is not None:
            self._jobs.put_last(session, self._call_site, handler, connection, reason)


def _packet(connection: Connection, refusal: ConnectRefused) -> bytes:
    """Return the frames of CONNECT_ERROR; where JSON cannot hold the data, log that and send the message alone."""
    why = {"message": str(refusal.message)} | ({} if refusal.data is None else {"data": refusal.data})
    try:
        return encode(Packet(CONNECT_ERROR, connection.namespace, why))
    except TypeError as error:
        log.error("a refusal's data cannot be sent: %s", error)
        return encode(Packet(CONNECT_ERROR, connection.namespace, {"message": str(refusal.message)}))
