"""One client's connection to one namespace: the `session` that a site's handlers are called with."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from ..identity.guard import now_ms
from ..loop.drivers import Driver
from ..wire.envelope import Identity
from . import handshake, packets
from .acks import Acks, Receiver
from .answers import AckTimeout, single
from .handshake import Handshake
from .packets import ACK, EVENT, Prepared
from .recovery import Saved, Subscriptions
from .registry import SiteNamespace
from .resumption import Resumption
from .sessions import Session

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Owner(Protocol):
    """The server, as its connections see it."""

    @property
    def driver(self) -> Driver:
        """The loop's driver."""

    def run(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function` in the loop."""

    def mark_mixed(self, namespace: str) -> None:
        """The site keeps or emits something of its own in `namespace`."""

    def next_ack(self) -> int:
        """Return a number that no other event of this process has asked for an ack with; in the loop."""

    def encode_for(self, connection: Connection, prepared: Prepared) -> bytes:
        """Return the frames of an event for one client; in the loop."""

    def notify_outgoing(self, receivers: list[Connection], prepared: Prepared) -> None:
        """An event is being sent to clients of one namespace; in the loop."""

    def join(self, connection: Connection, room: str) -> None:
        """Add a connection to a room of the site; in the loop."""

    def leave(self, connection: Connection, room: str) -> None:
        """Remove it from there; in the loop."""

    def disconnect(self, connection: Connection, close: bool = False) -> None:
        """End the connection, or (`close`) its whole session; in the loop."""


class Connection:
    """A client in a namespace. Its public methods may be called from any thread, but not from a tick."""

    __slots__ = (
        *(
            "id",
            "namespace",
            "identity",
            "issued",
            "auth",
            "recovered",
            "accepted",
            "sid",
            "pid",
            "engine_session",
        ),
        *("resumption", "position", "subscriptions", "is_stored", "site", "connected_at"),
        *("_owner", "_acks", "_data", "_deferred", "_joined", "_query"),
    )

    def __init__(
        self, owner: Owner, session: Session, namespace: str, auth: dict[str, Any] | None, query: str = ""
    ) -> None:
        #: Unlike Engine.IO's sid it gives nobody control of the session, so other clients may see it.
        self.id = secrets.token_urlsafe(15)
        self.namespace = namespace
        self.identity: Identity | None = None
        #: Milliseconds (wall clock) at which its token was issued.
        self.issued = 0
        #: The site's log-in session that its token was issued in, "" where the token names none.
        self.sid = ""
        self.auth: Mapping[str, Any] = auth or NOTHING
        self.recovered = False
        self.accepted = False
        self.pid = secrets.token_urlsafe(15)
        self.engine_session = session
        self.resumption: Resumption | None = None
        #: Number of the newest packet at its CONNECT.
        self.position = 0
        #: Rooms of the chat, those that it is still joining included: {name: first seq delivered live}. In the loop.
        self.subscriptions: dict[str, int] = {}
        #: Whether the store has them.
        self.is_stored = False
        #: What the site has registered for its namespace; None where it has nothing.
        self.site: SiteNamespace | None = None
        #: Milliseconds (wall clock) at which it sent CONNECT.
        self.connected_at = now_ms()
        self._query = query
        self._owner = owner
        # Made when they are first needed: thousands of connections never do.
        self._data: dict[str, Any] | None = None
        self._joined: dict[str, int] | None = None
        self._acks: Acks | None = None
        self._deferred: list[Callable[[], None]] | None = []

    def __repr__(self) -> str:
        return f"<Connection {self.id} in {self.namespace}>"

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it has joined."""
        return frozenset(self._joined or ())

    @property
    def data(self) -> dict[str, Any]:
        """The site's own data about this client; a recovery restores it."""
        self._owner.mark_mixed(self.namespace)
        if self._data is None:
            self._data = {}
        return self._data

    def peek_data(self) -> dict[str, Any]:
        """Return `data` for reading alone: an empty one is not kept."""
        return self._data or {}

    @property
    def handshake(self) -> Handshake:
        """How its client connected, as `socket.handshake` on Node; made anew at each access.

        `headers`, `url` and `query` are empty where the site has registered nothing on `chat.io`.
        """
        return handshake.make(self.engine_session.request, self.connected_at, self._query, self.auth)

    @property
    def language(self) -> str:
        """The language of the texts that its client is sent."""
        asked = self.auth.get("lang")
        return asked if asked in ("en", "zh") else self.engine_session.request.language

    @property
    def wants_diffs(self) -> bool:
        """Whether its client wants only the roster's changes; `auth` comes before the query."""
        asked = self.auth.get("roster")
        return self.engine_session.request.diff if asked is None else asked == "diff"

    @property
    def wants_lobby(self) -> bool:
        """Whether it is in the lobby from the start; `auth` comes before the query."""
        asked = self.auth.get("lobby")
        return self.engine_session.request.lobby if asked is None else asked not in (False, 0, "0")

    # ---- for handlers ------------------------------------------------------------------------------------------

    def emit(
        self, event: str, *args: Any, ack: Callable[..., Any] | None = None, volatile: bool = False
    ) -> None:
        """Send an event to this client; `ack(*answer)` is called with the client's answer, if one comes.

        `bytes` in `args` travel as attachments. What is `volatile` is dropped while something waits for the client.
        Raises TypeError for what JSON cannot hold, ValueError for a name that is Socket.IO's own.
        """
        prepared = packets.prepare_event(event, args)
        self._owner.run(self._emit, prepared, ack, volatile)

    def call(self, event: str, *args: Any, timeout: float = 5.0) -> Any:
        """Send an event and return the client's answer, a list where it has several parts; raises AckTimeout."""
        done = self._owner.driver.event()
        answers: list[Any] = []

        def take_answer(*answer: Any) -> None:
            answers.append(single(list(answer)))
            done.set()

        self.emit(event, *args, ack=take_answer)
        if not done.wait(timeout):
            raise AckTimeout(f"The client did not answer {event!r} within {timeout:g} s.")
        return answers[0]

    def join(self, room: str) -> None:
        """Add this client to `room`: it receives what is emitted there."""
        self._owner.run(self._owner.join, self, room)

    def leave(self, room: str) -> None:
        """Remove this client from `room`."""
        self._owner.run(self._owner.leave, self, room)

    def disconnect(self, close: bool = False) -> None:
        """End the connection to this namespace; a stock client does not reconnect by itself.

        `close` ends its connections to all namespaces, and the transport.
        """
        self._owner.run(self._owner.disconnect, self, close)

    # ---- in the loop -------------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether nothing waits for its client: what is volatile is sent to it; in the loop."""
        return not self.engine_session.member.waiting

    def _emit(self, prepared: Prepared, ack: Callable[..., Any] | None, is_volatile: bool) -> None:
        if self._deferred is not None:
            # CONNECT must reach the client first.
            self._deferred.append(lambda: self._emit(prepared, ack, is_volatile))
            return
        if is_volatile and not self.is_ready:
            return
        if ack is None and not is_volatile:
            frames = self._owner.encode_for(self, prepared)
        else:
            number = None if ack is None else self._owner.next_ack()
            frames = packets.assemble(EVENT, packets.prefix(self.namespace), number, prepared)
            if ack is not None and number is not None:
                self.expect(number, ack)
        self._owner.notify_outgoing([self], prepared)
        self.send(frames)

    def expect(self, number: int, receiver: Receiver) -> None:
        """Have `receiver` get the answer to the event `number`; in the loop."""
        if self._acks is None:
            self._acks = Acks(self.id)
        self._acks.expect(number, receiver)

    def expect_no_more(self) -> None:
        """Tell those who collect answers of many clients that this one has gone; in the loop."""
        if self._acks is not None:
            self._acks.end()

    def add_room(self, room: str, position: int) -> None:
        """Record that it has joined `room`, when `position` was the number of the newest packet; in the loop."""
        if self._joined is None:
            self._joined = {}
        self._joined.setdefault(room, position)

    def remove_room(self, room: str) -> None:
        """Record that it has left `room`; in the loop."""
        if self._joined is not None:
            self._joined.pop(room, None)

    def restore(self, resumption: Resumption, pid: str) -> None:
        """Take over the state of the connection that is being resumed."""
        saved = resumption.saved
        self.resumption, self.recovered = resumption, True
        self.id, self.pid, self.position = saved.id, pid, saved.position
        self._data, self._joined = saved.data, dict(saved.rooms)
        self.is_stored = resumption.is_stored
        self.subscriptions = {} if saved.subscriptions is None else dict(saved.subscriptions.rooms)

    def snapshot(
        self, scopes: dict[Any, int], sids: frozenset[str], subscriptions: Subscriptions | None
    ) -> Saved:
        """Return the state that its client may resume; in the loop."""
        joined = self._joined or {}
        of_rooms = {("room", room, self.namespace): number for room, number in joined.items()}
        user_id = None if self.identity is None else self.identity.id
        every = {("all",): 0, ("one", self.id): 0} | of_rooms | scopes
        return Saved(
            self.id,
            self.namespace,
            joined,
            self._data or {},
            user_id,
            every,
            sids,
            self.position,
            subscriptions,
        )

    def send(self, frames: bytes) -> None:
        """Send frames, if the connection is open; in the loop."""
        if self.accepted:
            self.engine_session.send(frames)

    def send_ack(self, id: int, prepared: Prepared) -> None:
        """Acknowledge the client's event `id`; in the loop."""
        self.send(packets.assemble(ACK, packets.prefix(self.namespace), id, prepared))

    @property
    def has_deferred(self) -> bool:
        """Whether events wait for `send_deferred`."""
        return bool(self._deferred)

    def send_deferred(self) -> None:
        """Send what handlers emitted before CONNECT was answered; in the loop."""
        deferred, self._deferred = self._deferred or [], None
        for emit in deferred:
            emit()

    def take_ack(self, id: int) -> Receiver | None:
        """Remove and return what gets the client's answer `id`; in the loop."""
        return None if self._acks is None else self._acks.take(id)
