"""Socket.IO 5 on Engine.IO's sessions: namespaces, rooms, events, acks, recovery. The chat is one of its users.

Packets are served in the loop; tokens, the site's handlers and its acks in jobs, one at a time and in order for each
client. The rules are those of the Socket.IO protocol, revision 5.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from ..auth import Guard, Pass
from ..drivers import Driver
from ..errors import ChatError
from ..hub import Hub
from ..jobs import Jobs
from . import packets, registry
from .codec import SocketIOCodec
from .connection import NOTHING, Connection
from .packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Assembly, Packet, PacketError, Prepared
from .polling import FAREWELL
from .recovery import MemoryRecovery, Saved
from .registry import ConnectRefused, Registry
from .rooms import Rooms
from .sessions import Session

log = logging.getLogger("chat")

#: Attachments of one packet together, as a multiple of the largest message.
MAX_ASSEMBLY = 10
#: Seconds between the answer to CONNECT and what on_connect emitted: some clients wait for the answer alone, and only
#: then listen to what follows, so that both must not arrive in one read.
PAUSE = 0.01

_INVALID_NAMESPACE = {"message": "Invalid namespace"}


class ChatNamespace(Protocol):
    """The chat, as the namespace that it lives in sees it. In the loop."""

    namespace: str

    def welcome(self, connection: Connection, granted: Pass, greet: bool) -> None:
        """Let the client in; ChatError where there is no place."""

    def serves(self, event: Any) -> bool:
        """Tell whether the chat itself serves the event."""

    def event(self, connection: Connection, packet: Packet) -> None:
        """Serve it."""


class Server:
    """All namespaces of one app in one process."""

    def __init__(
        self,
        hub: Hub,
        jobs: Jobs,
        guard: Guard,
        handlers: Registry,
        call_site: Callable[..., Any],
        remember: Callable[[Any], None],
    ) -> None:
        self.hub = hub
        self.jobs = jobs
        self.guard = guard
        self.handlers = handlers
        self.chat: ChatNamespace | None = None
        self.recovery = MemoryRecovery(hub.settings.io_recovery_seconds, lambda: hub.now)
        self.codec = SocketIOCodec(hub.settings.io_chat_namespace or "/", self.recovery)
        self._call_site = call_site
        self._remember = remember
        self.rooms = Rooms(self.recovery)

    @property
    def driver(self) -> Driver:
        """The loop's driver."""
        return self.hub.reactor.driver

    def run(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop, at once or soon; from anywhere but a tick."""
        self.hub.reactor.call(function, *args)

    # ---- engine.Layer ----------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """A client has yet to connect to a namespace."""

    def text(self, session: Session, payload: bytes) -> None:
        """Serve the text part of a packet."""
        if session.assembly is not None:
            raise PacketError("attachments are due")
        packet = packets.decode(payload)
        if packet.attachments:
            session.assembly = Assembly(packet)
        elif packet.type in (packets.BINARY_EVENT, packets.BINARY_ACK):
            self._serve(session, Assembly(packet).finish())
        else:
            self._serve(session, packet)

    def binary(self, session: Session, payload: bytes) -> None:
        """Serve an attachment."""
        assembly = session.assembly
        if assembly is None:
            raise PacketError("an attachment of nothing")
        if assembly.size + len(payload) > MAX_ASSEMBLY * self.hub.settings.max_message_bytes:
            raise PacketError("attachments too big")
        packet = assembly.add(payload)
        if packet is not None:
            session.assembly = None
            self._serve(session, packet)

    def closed(self, session: Session, reason: str) -> None:
        """End all connections of a client whose transport goes; what they miss is kept for a while."""
        final = session.member.close_code in FAREWELL
        for connection in list(session.connections.values()):
            if not connection.accepted:
                continue
            if final:
                connection.send(_packet(DISCONNECT, connection.namespace))
            else:
                self._save(connection)
            self._end(connection, "server namespace disconnect" if final else reason)

    def _serve(self, session: Session, packet: Packet) -> None:
        if packet.type == CONNECT:
            self._connect(session, packet)
            return
        connection = session.connections.get(packet.namespace)
        if connection is None or not connection.accepted:
            raise PacketError("not connected to that namespace")
        if packet.type == EVENT:
            self._event(connection, packet)
        elif packet.type == ACK:
            self._ack(connection, packet)
        else:
            self._end(connection, "client namespace disconnect")

    # ---- coming and going ------------------------------------------------------------------------------------

    def _connect(self, session: Session, packet: Packet) -> None:
        namespace = packet.namespace
        if namespace in session.connections:
            return
        if not self._exists(namespace):
            session.send(_packet(CONNECT_ERROR, namespace, _INVALID_NAMESPACE))
            return
        connection = Connection(self, session, namespace, packet.data)
        session.connections[namespace] = connection
        if not self.jobs.put(session, self._introduce, connection):
            self._refuse(connection, ConnectRefused("Too busy"))

    def _exists(self, namespace: str) -> bool:
        return namespace in self.handlers or self._is_chat(namespace)

    def _is_chat(self, namespace: str) -> bool:
        return self.chat is not None and namespace == self.chat.namespace

    def _introduce(self, connection: Connection) -> None:
        """Find out who it is and ask the site; outside the loop."""
        try:
            granted = self._check_token(connection)
            self.hub.reactor.ask(self._recall, connection)
            self._ask_site(connection)
        except ConnectRefused as refusal:
            self.run(self._refuse, connection, refusal)
        except BaseException as error:  # gevent.Timeout and SystemExit too: the client is waiting
            log.error("on_connect failed", exc_info=error)
            self.run(self._refuse, connection, ConnectRefused("internal"))
        else:
            self.hub.reactor.ask(self._accept, connection, granted)
            if connection.has_early:
                self.driver.sleep(PAUSE)
            self.run(connection.begin)

    def _check_token(self, connection: Connection) -> Pass | None:
        token = connection.auth.get("token") or connection.engine_session.visitor.token
        is_chat = self._is_chat(connection.namespace)
        try:
            granted = self.guard.check(token if isinstance(token, str) else "")
            self._remember(granted.identity)
        except ChatError as error:
            if is_chat:
                raise _refusal(error, connection) from None
            return None
        connection.identity, connection.issued = granted.identity, granted.issued
        return granted

    def _recall(self, connection: Connection) -> None:
        pid, offset = connection.auth.get("pid"), connection.auth.get("offset")
        if not isinstance(pid, str) or not isinstance(offset, str | None):
            return
        saved = self.recovery.recall(pid, offset, connection.namespace)
        user_id = None if connection.identity is None else connection.identity.id
        if saved is None or saved.user_id != user_id:
            return
        connection.restore(saved, pid)
        # Until it is accepted it counts, so that what is said meanwhile is kept.
        self.recovery.present += 1

    def _ask_site(self, connection: Connection) -> None:
        handler = self.handlers.find(connection.namespace, registry.CONNECT)
        if handler is not None and self._call_site(handler, connection, connection.auth) is False:
            raise ConnectRefused

    def _refuse(self, connection: Connection, refusal: ConnectRefused) -> None:
        session = connection.engine_session
        if connection.recovered:
            self.recovery.present -= 1
        if session.connections.pop(connection.namespace, None) is None or session.reason:
            return
        why = {"message": refusal.message} | ({} if refusal.data is None else {"data": refusal.data})
        session.send(_packet(CONNECT_ERROR, connection.namespace, why))

    def _accept(self, connection: Connection, granted: Pass | None) -> None:
        session, namespace = connection.engine_session, connection.namespace
        if session.reason:
            if connection.recovered:
                self.recovery.present -= 1
            return
        try:
            if granted is not None:
                self.guard.confirm(granted)  # a kick may have come since the token was checked
            if granted is not None and self._is_chat(namespace):
                self.hub.find_place(granted.identity, session.member.address)
        except ChatError as error:
            self._refuse(connection, _refusal(error, connection))
            return
        connection.accepted = session.used = True
        if not connection.recovered:
            self.recovery.present += 1
        hello = {"sid": connection.id} | ({"pid": connection.pid} if self.recovery.enabled else {})
        session.send(_packet(CONNECT, namespace, hello))
        if connection.saved is not None:
            for frames in self.recovery.missed(connection.saved):
                session.send(frames)
        connection.position = self.recovery.position
        self.rooms.add(connection)
        if granted is not None and self.chat is not None and self._is_chat(namespace):
            self.chat.welcome(connection, granted, not connection.recovered)
        if namespace not in self.handlers:
            connection.auth = NOTHING  # nobody will look, and a token is long

    def _save(self, connection: Connection) -> None:
        identity, session = connection.identity, connection.engine_session
        namespace = connection.namespace
        scopes: set[Any] = {("all",), ("one", connection.id)} | {
            ("room", room, namespace) for room in connection.rooms
        }
        if identity is not None and self._is_chat(namespace):
            scopes |= {("room", room) for room in session.member.rooms}
            scopes.add(("user", identity.username))
        before = connection.saved.sids if connection.saved is not None else frozenset()
        self.recovery.save(
            connection.pid,
            Saved(
                connection.id,
                namespace,
                connection.rooms,
                connection.data,
                None if identity is None else identity.id,
                frozenset(scopes),
                before | {session.sid},
                connection.position,
                0.0,
            ),
        )

    def _end(self, connection: Connection, reason: str) -> None:
        session, namespace = connection.engine_session, connection.namespace
        if session.connections.pop(namespace, None) is None:
            return
        connection.accepted = False
        self.recovery.present -= 1
        self.rooms.remove(connection)
        if self._is_chat(namespace) and not session.reason:
            self.hub.take_out(session.member)
            session.member.user = None
        handler = self.handlers.find(namespace, registry.DISCONNECT)
        if handler is not None:
            self.jobs.put_last(session, self._call_site, handler, connection, reason)

    def disconnect(self, connection: Connection) -> None:
        """End a connection, as the server."""
        if connection.accepted:
            connection.send(_packet(DISCONNECT, connection.namespace))
            self._end(connection, "server namespace disconnect")

    def expel(self, user_id: str, at_ms: int) -> None:
        """End a user's connections whose token is not newer than `at_ms`; those of the chat the hub ends itself."""
        for connection in self.rooms.everybody():
            who = connection.identity
            if who is not None and who.id == user_id and connection.issued <= at_ms:
                self.disconnect(connection)

    # ---- events and acks -------------------------------------------------------------------------------------

    def _event(self, connection: Connection, packet: Packet) -> None:
        name = packet.data[0]
        if self.chat is not None and self._is_chat(connection.namespace) and self.chat.serves(name):
            self.chat.event(connection, packet)
            return
        handler = self.handlers.find(connection.namespace, name)
        if handler is None:
            return
        if not self.jobs.put(connection.engine_session, self._handle, connection, handler, packet):
            self.jobs.put("log", log.warning, "an event was dropped: its client's queue is full")

    def _handle(self, connection: Connection, handler: registry.Handler, packet: Packet) -> None:
        answer = self._call_site(handler, connection, *packet.data[1:])
        if packet.id is None:
            return
        if answer is None:
            answer = ()
        prepared = packets.prepare(list(answer) if isinstance(answer, tuple) else [answer])
        self.run(connection.answer, packet.id, prepared)

    def _ack(self, connection: Connection, packet: Packet) -> None:
        assert packet.id is not None
        waiting = connection.take_ack(packet.id)
        if waiting is not None:
            self.jobs.put((connection.engine_session, "ack"), self._call_site, waiting, *packet.data)

    def call(self, connection: Connection, event: str, args: tuple[Any, ...], timeout: float) -> Any:
        """Emit and wait for the answer; outside the loop."""
        done = self.driver.event()
        answers: list[tuple[Any, ...]] = []

        def heard(*answer: Any) -> None:
            answers.append(answer)
            done.set()

        connection.emit(event, *args, ack=heard)
        if not done.wait(timeout):
            raise TimeoutError(f"The client did not answer {event!r} within {timeout:g} s.")
        answer = answers[0]
        return answer[0] if len(answer) == 1 else list(answer)

    def note(self, connection: Connection, said: Prepared) -> bytes:
        """Return the frames of an event for one client, kept for it in case that it goes."""
        return self.recovery.note(connection.namespace, (("one", connection.id),), None, EVENT, said)


def _refusal(error: ChatError, connection: Connection) -> ConnectRefused:
    failure = error.failure
    data = {"code": failure.code}
    if error.retry_after is not None:
        data["retry_after"] = round(error.retry_after, 3)  # type: ignore[assignment]
    return ConnectRefused(failure.sentence(connection.language), data)


def _packet(kind: int, namespace: str, data: Any = None) -> bytes:
    return packets.encode(Packet(kind, namespace, data))
