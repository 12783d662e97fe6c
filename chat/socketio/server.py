"""Socket.IO 5 on Engine.IO's sessions: decodes packets and dispatches them; emits what the site emits.

Packets are served in the loop; tokens, the site's handlers and its acks in jobs, one at a time and in order for each
client. The rules are those of the Socket.IO protocol, revision 5.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from typing import Any

from ..identity.guard import Guard
from ..loop.drivers import Driver
from ..loop.jobs import Jobs
from ..rooms.dispatcher import Dispatcher
from ..rooms.hub import Hub
from ..rooms.member import Member
from ..store.history import History
from ..wire.errors import FAILURES
from . import packets
from .admission import INVALID_NAMESPACE, Admission
from .answers import Collector
from .attachments import Attachments
from .chat_namespace import ChatNamespace
from .codec import SocketIOCodec
from .connection import Connection
from .engine_packets import PacketError
from .lifecycle import Lifecycle
from .namespaces import Namespaces
from .packets import CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Assembly, Packet, Prepared
from .recovery import Recovery
from .registry import Registry
from .replay import OpenRooms, Replay
from .resume import IoStore, Resumer
from .rooms import Rooms
from .selection import Selection
from .sessions import Session, connection_of
from .site_events import SiteEvents
from .subscriptions import SubscriptionStore

log = logging.getLogger("flask_chat")

#: Seconds between two log lines about events that are dropped.
LOG_EVERY = 60.0
DROPPED = "events were dropped: a Socket.IO client sends more than 5 times CHAT_RATE_LIMIT packets a second"

_INVALID_NAMESPACE = {"message": INVALID_NAMESPACE}


class Server:
    """All namespaces of one app in one process: the layer above its Engine.IO sessions.

    `call_site(function, *args)` calls a handler in an app context; `remember(identity)` is called with each user.
    """

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
        self.recovery = Recovery(
            hub.settings.io_recovery_seconds, lambda: hub.now, lambda saved: self._resumer.expired(saved)
        )
        self.codec = SocketIOCodec(hub.settings.io_chat_namespace or "/", self.recovery)
        self._namespaces = Namespaces(handlers, self.recovery, call_site)
        self._ack_numbers = itertools.count()
        self._rooms = Rooms(self.recovery)
        self._subscriptions: SubscriptionStore | None = None
        self._silent_until = 0.0
        self._attachments = Attachments(hub, self._log_dropped)
        self._site_events = SiteEvents(jobs, call_site, self.run)
        self._resumer = Resumer(hub, guard, self._namespaces, self.recovery, self.codec)
        admission = Admission(hub, guard, self._namespaces, self._resumer, call_site, remember)
        self._lifecycle = Lifecycle(
            hub, jobs, self._namespaces, self._rooms, self.recovery, self._resumer, admission, call_site
        )

    def serve_chat(
        self, dispatcher: Dispatcher, store: IoStore | None, history: History, open_rooms: OpenRooms
    ) -> None:
        """Serve the chat too, in its namespace. Without a store its clients can resume on this process alone."""
        namespace = self.hub.settings.io_chat_namespace
        if store is not None:
            self._subscriptions = SubscriptionStore(self.hub, self.recovery, store.sessions, namespace)
            replay = Replay(self.hub, self.recovery, self.codec, store.missed, history, open_rooms)
            self._resumer.use_store(store.key(), self._subscriptions, replay)
        self._namespaces.chat = ChatNamespace(
            dispatcher, namespace, self.codec, self.jobs, self._subscriptions
        )

    @property
    def driver(self) -> Driver:
        """The loop's driver."""
        return self.hub.reactor.driver

    def run(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop, at once or soon; from anywhere but a tick."""
        self.hub.reactor.call(function, *args)

    # ---- sessions.Layer --------------------------------------------------------------------------------------

    def on_open(self, session: Session) -> None:
        """The client has yet to connect to a namespace."""

    def on_text(self, session: Session, payload: bytes) -> None:
        """Serve the text part of a packet."""
        if session.assembly is not None:
            raise PacketError("attachments are due")
        packet = packets.decode(payload)
        if packet.attachments:
            self._connection(session, packet)  # so nothing is kept of a client that has not connected
            self._attachments.begin(session, packet, payload)
        elif packet.type in (packets.BINARY_EVENT, packets.BINARY_ACK):
            self._serve(session, Assembly(payload, 0).finish())
        else:
            self._serve(session, packet)

    def on_binary(self, session: Session, payload: bytes) -> None:
        """Serve an attachment."""
        packet = self._attachments.add(session, payload)
        if packet is not None:
            self._serve(session, packet)

    def on_close(self, session: Session, reason: str) -> None:
        """End all connections of a session."""
        self._attachments.end(session)
        self._lifecycle.closed(session, reason)

    # ---- packets ---------------------------------------------------------------------------------------------

    def _serve(self, session: Session, packet: Packet) -> None:
        if packet.type == CONNECT:
            self._connect(session, packet)
            return
        connection = self._connection(session, packet)
        if packet.type == EVENT:
            self._event(connection, packet)
            return
        wait = session.count()
        if packet.type == DISCONNECT:
            self._lifecycle.disconnected(connection)
        elif not wait:
            self._site_events.take_ack(connection, packet)

    def _connection(self, session: Session, packet: Packet) -> Connection:
        """Return the connection that a packet belongs to; PacketError before it is accepted."""
        connection = session.connections.get(packet.namespace)
        if connection is None or not connection.accepted:
            raise PacketError("not connected to that namespace")
        return connection

    def _connect(self, session: Session, packet: Packet) -> None:
        namespace = packet.namespace
        if wait := session.count():
            data = {"code": "rate_limited", "retry_after": round(wait, 3)}
            why = {"message": FAILURES["rate_limited"].sentence(session.request.language), "data": data}
            session.send(packets.encode(Packet(CONNECT_ERROR, namespace, why)))
            return
        if namespace in session.connections:
            return
        if not self._namespaces.may_have(namespace):
            session.send(packets.encode(Packet(CONNECT_ERROR, namespace, _INVALID_NAMESPACE)))
            return
        self._lifecycle.connect(Connection(self, session, namespace, packet.data, packet.query))

    def _event(self, connection: Connection, packet: Packet) -> None:
        name, namespace, chat = packet.data[0], connection.namespace, self._namespaces.chat
        if chat is not None and namespace == chat.name and chat.serves(name):
            chat.event(connection, packet)
            return
        if connection.engine_session.count():
            self._log_dropped()
            return
        self._site_events.serve(connection, packet)

    def _log_dropped(self) -> None:
        """Log, from time to time, that events are dropped: any client can cause any number."""
        if self.hub.now >= self._silent_until:
            self._silent_until = self.hub.now + LOG_EVERY
            self.jobs.put("log", log.warning, DROPPED)

    # ---- connection.Owner ------------------------------------------------------------------------------------

    def mark_mixed(self, namespace: str) -> None:
        """Record that the site keeps or emits something of its own in a namespace."""
        self._namespaces.mark_mixed(namespace)

    def next_ack(self) -> int:
        """Return a number that no other event of this process has asked for an ack with; in the loop."""
        return next(self._ack_numbers)

    def notify_outgoing(self, receivers: list[Connection], prepared: Prepared) -> None:
        """Have the site's listeners hear of an event that is sent to clients of one namespace; in the loop."""
        self._site_events.notify_outgoing(receivers, prepared)

    def encode_for(self, connection: Connection, prepared: Prepared) -> bytes:
        """Return the frames of an event for one client; they are kept in case that it is cut off."""
        self.mark_mixed(connection.namespace)
        return self.recovery.record(connection.namespace, (("one", connection.id),), None, EVENT, prepared)

    def join(self, connection: Connection, room: str) -> None:
        """Add a connection to a room of the site; in the loop."""
        self.mark_mixed(connection.namespace)
        self._rooms.join(connection, room)

    def leave(self, connection: Connection, room: str) -> None:
        """Remove a connection from a room of the site; in the loop."""
        self._rooms.leave(connection, room)

    def disconnect(self, connection: Connection, close: bool = False) -> None:
        """End a connection, or (`close`) its whole session, as the server; in the loop."""
        self._lifecycle.disconnect(connection, close)

    # ---- for the runtime -------------------------------------------------------------------------------------

    def emit(self, selection: Selection, prepared: Prepared, is_volatile: bool = False) -> None:
        """Send an event of the site to clients of this process; in the loop."""
        self.mark_mixed(selection.namespace)
        self.notify_outgoing(self._rooms.emit(selection, prepared, is_volatile), prepared)

    def ask(
        self,
        selection: Selection,
        prepared: Prepared,
        timeout: float,
        is_volatile: bool,
        collector: Collector,
    ) -> None:
        """Send an event whose answers of `timeout` seconds `collector` gets; in the loop."""
        number = self.next_ack()
        receivers = self._rooms.ask(selection, prepared, is_volatile, number, collector)
        self.notify_outgoing(receivers, prepared)
        self.hub.reactor.call_later(timeout, _forget_ack, number, receivers)

    def select(self, selection: Selection) -> list[Connection]:
        """Return the connections of this process that a selection means; in the loop."""
        return self._rooms.select(selection)

    def find(self, namespace: str, id: str) -> Connection | None:
        """Return the connection of that id, or None; in the loop."""
        return self._rooms.find(namespace, id)

    def expel(self, user_id: str, is_meant: Callable[[Connection], bool]) -> None:
        """End those of a user's connections for which `is_meant` is true; the hub ends those to the chat itself."""
        for connection in self._rooms.connections():
            user = connection.identity
            if user is not None and user.id == user_id and is_meant(connection):
                self.disconnect(connection)

    def save_joins(self, joins: list[tuple[Member, str, int]]) -> None:
        """Store that members join rooms of the chat: (member, room, first seq delivered live); it may block."""
        if self._subscriptions is not None:
            self._subscriptions.save_joins(joins)

    def removed(self, member: Member, room: str) -> None:
        """Record that the server has removed a member from a room of the chat; in the loop."""
        chat, subscriptions = self._namespaces.chat, self._subscriptions
        if chat is None or subscriptions is None:
            return
        connection = connection_of(member, chat.name)
        if connection is not None and connection.subscriptions.pop(room, None) is not None:
            self.jobs.put_last((member.wire, "subscriptions"), subscriptions.save, connection)


def _forget_ack(number: int, receivers: Iterable[Connection]) -> None:
    """Free what waits for an answer that did not come in time."""
    for connection in receivers:
        connection.take_ack(number)
