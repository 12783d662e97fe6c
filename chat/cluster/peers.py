"""This process among its peers: publishes what happens here, and handles the bus messages of other processes.

Bus messages may be lost (broker/base.py). Stored messages whose bus message is lost are read from the store by
chat.rooms.catch_up; rosters and counts are requested again when a version number shows that something is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ..rooms.group_commit import GroupCommit
from ..rooms.hub import Hub
from ..rooms.room import Room
from ..store.history import Message
from ..wire.envelope import Envelope, Identity, MessageType, participants
from ..wire.errors import ChatError
from . import bus_messages
from .broker.base import Broker, BusMessage
from .heartbeat import Heartbeat
from .presence import Presence
from .presence_publisher import PresencePublisher
from .presence_sync import PresenceSync
from .requests import Handler, Requests

log = logging.getLogger("flask_chat")

#: Seconds to wait for the response of one process.
RESPONSE_SECONDS = 2.0
#: Stored messages in one bus message.
MAX_MESSAGES = 200


class ClusterPeers:
    """Implements chat.rooms.peers.Peers, and listens to the broker.

    `control_changed()` is called when another process has written to the control table, `received_other(kind, parts)`
    for bus messages of kinds that this module does not know. Both are called in the loop.
    """

    alone = False

    def __init__(
        self,
        hub: Hub,
        group_commit: GroupCommit,
        broker: Broker,
        control_changed: Callable[[], None],
        received_other: Callable[[str, list[Any]], None],
    ) -> None:
        self._hub, self._group_commit, self._broker = hub, group_commit, broker
        self._control_changed, self._received_other = control_changed, received_other
        self.origin = group_commit.origin
        self.presence = Presence()
        self._requests = Requests(hub.reactor, self._publish, self.presence)
        self._publisher = PresencePublisher(hub, self._publish, self._requests)
        self._sync = PresenceSync(hub, self._publish, self.presence)
        self._heartbeat = Heartbeat(hub, broker, self.presence, self._publisher, self._sync)
        #: Users whose direct messages this process receives.
        self._users: set[str] = set()
        #: {channel: rows of messages that are not stored and wait for `flush`}
        self._unstored: dict[str, list[list[Any]]] = {}
        self._stopped = False
        self._handlers: dict[str, Handler] = {
            **self._publisher.handlers,
            **self._sync.handlers,
            **self._requests.handlers,
            bus_messages.MESSAGES: self._handle_messages,
            bus_messages.UNSTORED: self._handle_unstored,
            bus_messages.CONTROL: lambda origin, channel, parts: self._control_changed(),
        }

    def start(self) -> None:
        """Connect to the peers."""
        self._hub.use_peers(self)
        self._broker.subscribe(bus_messages.ALL, bus_messages.process_channel(self.origin))
        self._hub.reactor.call(self._subscribe_rooms)
        self._broker.start(self)

    def _subscribe_rooms(self) -> None:
        for room in self._hub.rooms:
            self.room_opened(room)

    def stop(self) -> None:
        """Tell the peers that this process has no users any more, and publish nothing after that. From any thread."""
        self._hub.reactor.call(self._leave)

    def _leave(self) -> None:
        self._publisher.publish_pending()
        self._publish(bus_messages.ALL, bus_messages.LEAVE)
        self._stopped = True

    def announce_control(self) -> None:
        """Tell the peers that the control table has a new row; from any thread."""
        self._publish(bus_messages.ALL, bus_messages.CONTROL)

    def publish(self, kind: str, *parts: Any) -> None:
        """Send all peers a bus message of another module's kind: their `received_other` gets it. From any thread."""
        self._publish(bus_messages.ALL, kind, *parts)

    def publish_to(self, origin: int, kind: str, *parts: Any) -> None:
        """Send one peer such a bus message; from any thread."""
        self._publish(bus_messages.process_channel(origin), kind, *parts)

    def _publish(self, channel: str, kind: str, *parts: Any) -> None:
        if self._stopped:
            return
        self._broker.publish(channel, bus_messages.encode(kind, *parts))

    # ---- requests --------------------------------------------------------------------------------------------------

    def ask(self, origin: int, what: str, *parts: Any) -> Any:
        if not self._broker.is_up:
            return None
        responses = self._requests.call(origin, what, *parts, seconds=RESPONSE_SECONDS)
        return responses[0] if responses else None

    def ask_all(self, what: str, *parts: Any) -> list[Any]:
        """Return the responses of all peers that respond in time; never call it from a tick, for it waits."""
        if not self._broker.is_up:
            return []
        return self._requests.call(None, what, *parts, seconds=RESPONSE_SECONDS)

    def handle_requests(self, what: str, function: Callable[..., Any]) -> None:
        """Answer other processes' requests with `function(*parts)`; it runs in the loop, from JSON to JSON."""
        self._requests.functions[what] = function

    def fetch_roster(self, room: str) -> list[Identity]:
        """Return the users whom responding peers have in a room; never call it from a tick, for it waits."""
        return self._publisher.fetch_roster(room) if self._broker.is_up else []

    # ---- the broker's listener; outside the loop -------------------------------------------------------------------

    def received(self, messages: list[BusMessage]) -> None:
        """Handle bus messages of other processes."""
        decoded = []
        for channel, sender, payload in messages:
            try:
                decoded.append((channel, sender, *bus_messages.decode(payload)))
            except ValueError:
                log.warning("a bus message of another process cannot be read")
        self._hub.reactor.call_and_wait(self._handle_all, decoded)

    def subscribed(self, channels: list[str]) -> None:
        """Request the rosters of rooms whose channel is subscribed from now on."""
        rooms = [name[2:] for name in channels if name.startswith("r:")]
        self._hub.reactor.call_and_wait(self._sync.request_rosters, rooms)

    def connection_changed(self, is_up: bool) -> None:
        """Start or resume the heartbeat, or wait for the connection."""
        self._hub.reactor.call_and_wait(self._heartbeat.connected if is_up else self._heartbeat.disconnected)

    # ---- bus messages; in the loop ---------------------------------------------------------------------------------

    def _handle_all(self, messages: list[tuple[str, int, str, list[Any]]]) -> None:
        for channel, sender, kind, parts in messages:
            handle = self._handlers.get(kind)
            try:
                if handle is not None:
                    handle(sender, channel, parts)
                else:
                    self._received_other(kind, parts)
            except Exception as error:
                # Another version may have sent it. The next message must still be handled.
                self._hub.reactor.report("a bus message could not be handled", error)

    def _handle_messages(self, origin: int, channel: str, rows: list[Any]) -> None:
        self._group_commit.delivery.receive([bus_messages.message_of(row, origin) for row in rows])

    def _handle_unstored(self, origin: int, channel: str, rows: list[Any]) -> None:
        for row in rows:
            self._deliver_unstored(bus_messages.envelope_of(row))

    def _deliver_unstored(self, envelope: Envelope) -> None:
        hub, ts = self._hub, envelope.ts
        is_direct = envelope.type == MessageType.SINGLE_CHAT
        room = None if is_direct else hub.rooms.get(envelope.room)
        dedupe = hub.direct.dedupe if is_direct else room.dedupe if room is not None else None
        if dedupe is None:
            return
        try:
            fresh = dedupe.register(envelope)
        except ChatError:
            return
        envelope.ts = ts
        if fresh and room is not None:
            room.broadcast(envelope)
        elif fresh:
            hub.direct.send(envelope)

    # ---- what happens in this process (the Peers protocol) ---------------------------------------------------------

    def publish_stored(self, messages: Iterable[Message]) -> None:
        by_channel: dict[str, list[list[Any]]] = {}
        for message in messages:
            for channel in _channels(message.type, message.room):
                by_channel.setdefault(channel, []).append(bus_messages.message_row(message))
        for channel, rows in by_channel.items():
            for start in range(0, len(rows), MAX_MESSAGES):
                self._publish(channel, bus_messages.MESSAGES, *rows[start : start + MAX_MESSAGES])

    def publish_ephemeral(self, envelope: Envelope) -> None:
        row = bus_messages.envelope_row(envelope)
        for channel in _channels(envelope.type, envelope.room or ""):
            self._unstored.setdefault(channel, []).append(row)

    def flush(self) -> None:
        if self._unstored:
            self._publish_unstored()
        self._broker.flush()

    def _publish_unstored(self) -> None:
        unstored, self._unstored = self._unstored, {}
        for channel, rows in unstored.items():
            self._publish(channel, bus_messages.UNSTORED, *rows)

    def room_opened(self, room: Room) -> None:
        self._broker.subscribe(bus_messages.room_channel(room.name))

    def room_closed(self, room: Room) -> None:
        self._broker.unsubscribe(bus_messages.room_channel(room.name))
        self._sync.room_closed(room)
        self._publisher.room_closed(room)

    def user_joined(self, room: Room, user: Identity) -> None:
        self._publisher.user_joined(room, user)

    def user_left(self, room: Room, user: Identity) -> None:
        self._publisher.user_left(room, user)

    def watch_user(self, user_id: str) -> None:
        if user_id not in self._users:
            self._users.add(user_id)
            self._broker.subscribe(bus_messages.user_channel(user_id))

    def unwatch_user(self, user_id: str) -> None:
        if user_id in self._users:
            self._users.discard(user_id)
            self._broker.unsubscribe(bus_messages.user_channel(user_id))

    def publish_counts(self, user: Identity, sockets: int, address: str, from_there: int) -> None:
        self._publisher.counts_changed(user, sockets, address, from_there)

    # ---- what is known of other processes (the Peers protocol) -----------------------------------------------------

    def sockets_of(self, user_id: str) -> int:
        return self.presence.sockets_of(user_id)

    def sockets_from(self, address: str) -> int:
        return self.presence.sockets_from(address)

    def named(self, username: str) -> list[Identity]:
        return self.presence.named(username)

    def find_user(self, user_id: str) -> Identity | None:
        return self.presence.find_user(user_id)

    def served_recently(self, origin: int) -> bool:
        return self._sync.served_recently(origin)


def _channels(kind: int, room: str) -> list[str]:
    """Return the channels of the processes that a message concerns."""
    if kind != MessageType.SINGLE_CHAT:
        return [bus_messages.room_channel(room)]
    return [
        bus_messages.user_channel(user_id) for user_id in dict.fromkeys(participants(room) or ()) if user_id
    ]
