"""Socket.IO 5 on Engine.IO's sessions: namespaces, rooms, events, acks, recovery. The chat is one of its users.

Packets are served in the loop; tokens, the site's handlers and its acks in jobs, one at a time and in order for each
client. The rules are those of the Socket.IO protocol, revision 5.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..identity.guard import Grant, Guard
from ..loop.drivers import Driver
from ..loop.jobs import Jobs
from ..rooms.handlers import Dispatcher
from ..rooms.hub import Hub
from ..rooms.member import Member
from ..store.history import History
from ..wire.errors import ChatError
from . import packets, registry
from .chat_namespace import Chat
from .codec import SocketIOCodec
from .connection import NOTHING, Connection
from .packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Assembly, Packet, PacketError, Prepared
from .polling import FAREWELL
from .recovery import Recovery, Saved
from .registry import ConnectRefused, Registry
from .resume import IoStore, OpenRooms, Returning
from .rooms import Rooms
from .sessions import Session, connection_of
from .subscriptions import SubscriptionStore, seat_of

log = logging.getLogger("chat")

#: Attachments of one packet together, as a multiple of the largest message.
MAX_ASSEMBLY = 10
#: Seconds between the answer to CONNECT and what on_connect emitted: some clients wait for the answer alone, and only
#: then listen to what follows, so that both must not arrive in one read.
PAUSE = 0.01

_INVALID_NAMESPACE = {"message": "Invalid namespace"}


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
        self.chat: Chat | None = None
        self.recovery = Recovery(hub.settings.io_recovery_seconds, lambda: hub.now, self._dropped)
        self.codec = SocketIOCodec(hub.settings.io_chat_namespace or "/", self.recovery)
        self.returning = Returning(hub, guard, self.recovery, self.codec)
        self.seats: SubscriptionStore | None = None
        self._call_site = call_site
        self._remember = remember
        self.rooms = Rooms(self.recovery)

    def serve_chat(
        self, dispatcher: Dispatcher, store: IoStore | None, history: History, open_rooms: OpenRooms
    ) -> None:
        """Serve the chat too, in its namespace. Without a store its clients come back to this process alone."""
        namespace = self.hub.settings.io_chat_namespace
        if store is not None:
            self.seats = SubscriptionStore(self.hub, self.recovery, store.sessions, namespace)
            self.returning.serve(namespace, self.seats, store, history, open_rooms)
        self.chat = Chat(dispatcher, namespace, self.codec, self.jobs, self.seats)

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
            self._end(connection, "server namespace disconnect" if final else reason, not final)

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
            self._recall(connection, granted)
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

    def _check_token(self, connection: Connection) -> Grant | None:
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

    def _recall(self, connection: Connection, granted: Grant | None) -> None:
        comeback = self.returning.find(connection, granted)
        if comeback is not None:
            connection.restore(comeback, connection.auth["pid"])
        elif granted is not None:
            connection.pid = self.returning.new_pid(connection, granted) or connection.pid

    def _ask_site(self, connection: Connection) -> None:
        handler = self.handlers.find(connection.namespace, registry.CONNECT)
        if handler is None:
            return
        self.mix(connection.namespace)
        if self._call_site(handler, connection, connection.auth) is False:
            raise ConnectRefused

    def _refuse(self, connection: Connection, refusal: ConnectRefused) -> None:
        session = connection.engine_session
        self._put_back(connection)
        if session.connections.pop(connection.namespace, None) is None or session.reason:
            return
        why = {"message": refusal.message} | ({} if refusal.data is None else {"data": refusal.data})
        session.send(_packet(CONNECT_ERROR, connection.namespace, why))

    def _accept(self, connection: Connection, granted: Grant | None) -> None:
        session, namespace = connection.engine_session, connection.namespace
        if session.reason:
            self._put_back(connection)
            return
        try:
            if granted is not None:
                self.guard.confirm(granted)  # a kick may have come since the token was checked
            if granted is not None and self._is_chat(namespace):
                self.hub.check_limits(granted.identity, session.member.address)
        except ChatError as error:
            self._refuse(connection, _refusal(error, connection))
            return
        comeback = connection.comeback
        missed = [] if comeback is None else self.returning.frames(comeback)
        if missed is None:
            # More was said in this moment than is kept. The next time it will come anew.
            self._put_back(connection)
            session.close("transport error")
            return
        connection.accepted = session.used = True
        self.recovery.cursor.catch_up()
        hello = {"sid": connection.id} | ({"pid": connection.pid} if self.recovery.enabled else {})
        session.send(_packet(CONNECT, namespace, hello))
        for frames in missed:
            session.send(frames)
        if comeback is None:
            self.recovery.present += 1
            connection.position = self.recovery.position
        self.rooms.add(connection)
        if granted is not None and self.chat is not None and self._is_chat(namespace):
            self.chat.welcome(connection, granted)
        if comeback is not None:
            self.returning.let_in(comeback)
        if namespace not in self.handlers:
            connection.auth = NOTHING  # nobody will look, and a token is long

    def _put_back(self, connection: Connection) -> None:
        if connection.comeback is not None:
            self.returning.put_back(connection.comeback)
            connection.comeback = None

    def _save(self, connection: Connection) -> None:
        if not self.recovery.enabled:
            return
        identity, session, seat = connection.identity, connection.engine_session, None
        scopes: dict[Any, int] = {}
        if identity is not None and self._is_chat(connection.namespace):
            seat = seat_of(connection, session.member, self.hub.lobby.name)
            scopes = {("room", room): 0 for room in seat.rooms} | {("user", identity.id): 0}
            self.hub.add_absent(identity.id, seat.rooms, self.codec)
        before = connection.comeback.saved.sids if connection.comeback is not None else frozenset()
        self.recovery.save(connection.pid, connection.state(scopes, before | {session.sid}, seat))

    def _dropped(self, saved: Saved) -> None:
        self.returning.forget(saved)

    def _end(self, connection: Connection, reason: str, saved: bool = False) -> None:
        session, namespace = connection.engine_session, connection.namespace
        if session.connections.pop(namespace, None) is None:
            return
        connection.accepted = False
        self.recovery.present -= 1
        self.rooms.remove(connection)
        if connection.kept and self.seats is not None and not saved:
            self.seats.went(connection.id)
        if self._is_chat(namespace) and not session.reason:
            self.hub.remove(session.member)
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

    # ---- the site's own, and the chat's rooms ----------------------------------------------------------------

    def mix(self, namespace: str) -> None:
        """Take note that the site has something of its own in `namespace`, which is in no store."""
        if self._is_chat(namespace):
            self.recovery.cursor.mixed = True

    def emit(self, namespace: str, room: str | None, said: Prepared, skip: Connection | None) -> None:
        """Send an event of the site to a room, a client (by its id) or a whole namespace; in the loop."""
        self.mix(namespace)
        self.rooms.emit(namespace, room, said, skip)

    def join(self, connection: Connection, room: str) -> None:
        """Let a connection hear what the site emits to `room`; in the loop."""
        self.mix(connection.namespace)
        self.rooms.join(connection, room)

    def note(self, comings: list[tuple[Member, str, int]]) -> None:
        """Keep that members come into rooms of the chat, each to hear them from a seq on; it may block."""
        if self.seats is not None:
            self.seats.note(comings)

    def left(self, member: Member, room: str) -> None:
        """Take note that the server has put a member out of a room; in the loop."""
        if self.chat is None or self.seats is None:
            return
        connection = connection_of(member, self.chat.namespace)
        if connection is not None and connection.seats.pop(room, None) is not None:
            self.jobs.put_last((member.wire, "seats"), self.seats.keep, connection)

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

    def say_to(self, connection: Connection, said: Prepared) -> bytes:
        """Return the frames of an event for one client, kept for it in case that it goes."""
        self.mix(connection.namespace)
        return self.recovery.note(connection.namespace, (("one", connection.id),), None, EVENT, said)


def _refusal(error: ChatError, connection: Connection) -> ConnectRefused:
    failure = error.failure
    data = {"code": failure.code}
    if error.retry_after is not None:
        data["retry_after"] = round(error.retry_after, 3)  # type: ignore[assignment]
    return ConnectRefused(failure.sentence(connection.language), data)


def _packet(kind: int, namespace: str, data: Any = None) -> bytes:
    return packets.encode(Packet(kind, namespace, data))
