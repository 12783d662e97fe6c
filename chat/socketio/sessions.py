"""Engine.IO 4: one client's session on long-polling or WebSocket, and the upgrade from one to the other.

Everything here runs in the loop, and does no I/O of its own. A layer above (Socket.IO, or an echo) receives the
messages and sends frames. The rules are those of the Engine.IO protocol, revision 4.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..config import Settings
from ..identity.networks import network_of
from ..rooms.client import Client
from ..rooms.hub import Hub
from ..rooms.member import Member
from ..wire.codec import Codec
from ..wire.errors import CloseCode
from ..wire.frames import text_frame
from . import engine_packets
from .engine_packets import PacketError
from .packet_limits import BEFORE_CONNECT, PacketRate
from .packets import Assembly
from .polling import NOOP, Poller
from .sids import Sids

#: Seconds that a WebSocket has to finish the upgrade that it began.
UPGRADE_TIMEOUT = 10.0

#: Reasons for the end of a session, as Socket.IO's servers name them.
TRANSPORT_CLOSE, PING_TIMEOUT, FORCED_CLOSE = "transport close", "ping timeout", "forced close"

PROBE = engine_packets.PING + b"probe"
PING, PROBE_PONG = text_frame(engine_packets.PING), text_frame(engine_packets.PONG + b"probe")


class OpeningRequest:
    """Facts about a client from the request that opened its session."""

    __slots__ = ("address", "cookie", "diff", "language", "lobby", "packed", "secure", "token")

    def __init__(
        self,
        address: str,
        language: str,
        token: str,
        diff: bool,
        lobby: bool = True,
        secure: bool = False,
        packed: bytes = b"",
        cookie: str = "",
    ) -> None:
        self.address = address
        self.language = language
        self.token = token
        self.diff = diff
        #: Whether the client is in the lobby from the start.
        self.lobby = lobby
        #: Whether it came over TLS.
        self.secure = secure
        #: Its address and headers as `handshake.pack` makes them; empty where nobody can read them.
        self.packed = packed
        #: What the session's id is bound to; "" for a client that keeps no cookies.
        self.cookie = cookie

    @property
    def network(self) -> str:
        """What its limits count as one address: the address, or for IPv6 its /64."""
        return network_of(self.address)


class Layer(Protocol):
    """The protocol above the sessions: it receives their messages."""

    @property
    def codec(self) -> Codec:
        """The codec of its clients."""

    def on_open(self, session: Session) -> None:
        """A session was opened."""

    def on_text(self, session: Session, payload: bytes) -> None:
        """A text message came; PacketError for a malformed one closes the session."""

    def on_binary(self, session: Session, payload: bytes) -> None:
        """A binary message came; PacketError likewise."""

    def on_close(self, session: Session, reason: str) -> None:
        """The session was closed; what is sent now may still arrive."""


class Owner(Protocol):
    """The engine, as its sessions see it."""

    hub: Hub
    settings: Settings
    layer: Layer
    sids: Sids
    packet_rate: PacketRate
    #: Seconds between two pings, and seconds that a client has for the pong.
    ping_after: float
    pong_in: float

    def closed(self, session: Session) -> None:
        """The session's transport is closing."""


def connection_of(member: Member, namespace: str) -> Any:
    """Return a member's connection to a namespace; None where it has none, or is no Socket.IO client."""
    return member.wire.connections.get(namespace) if isinstance(member.wire, Session) else None


class Session:
    """One client, whichever transport it is on; the wire of its members."""

    __slots__ = (
        "sid",
        "engine",
        "codec",
        "request",
        "member",
        "probe",
        "opened_at",
        "reason",
        "connections",
        "assembly",
        "largest",
        "_full_at",
        "_refused",
        "_pinged_at",
        "_awaits_pong",
    )

    def __init__(self, engine: Owner, request: OpeningRequest) -> None:
        self.sid = engine.sids.new(request.cookie)
        self.engine = engine
        self.codec = engine.layer.codec
        self.request = request
        self.member: Member
        #: The WebSocket of an upgrade that is under way.
        self.probe: Client | None = None
        self.opened_at = engine.hub.now
        #: Why it was closed, empty while it is open.
        self.reason = ""
        #: The layer's own: connections by namespace, and a packet that waits for attachments.
        self.connections: dict[str, Any] = {}
        self.assembly: Assembly | None = None
        #: For the parser: strangers may send little.
        self.largest = min(BEFORE_CONNECT, engine.settings.max_message_bytes)
        #: As `PacketRate.take` returned it, and the packets refused since the last one that was allowed.
        self._full_at = 0.0
        self._refused = 0
        self._pinged_at = self.opened_at
        self._awaits_pong = False

    @property
    def has_connected(self) -> bool:
        """Whether it has ever been connected to a namespace."""
        return not self.largest

    def take_in(self) -> None:
        """The client has connected to a namespace."""
        self.largest = 0

    # ---- to the client ---------------------------------------------------------------------------------------

    def send(self, frames: bytes) -> None:
        """Send whole frames, in order, whatever the transport."""
        self.member.enqueue(frames)

    def close(self, reason: str = FORCED_CLOSE, code: int = CloseCode.NORMAL) -> None:
        """Close the session."""
        self.reason = self.reason or reason
        self.member.close(code)

    def count(self, packets: float = 1.0) -> float:
        """Count packets that count against no user, and return 0; else the seconds after which they would be allowed.

        A client that goes on all the same is closed.
        """
        rate = self.engine.packet_rate
        wait, self._full_at = rate.take(self._full_at, self.engine.hub.now, packets)
        self._refused = self._refused + 1 if wait else 0
        if wait and self._refused >= rate.flood_limit:
            self.close(FORCED_CLOSE, CloseCode.FLOODING)
        return wait

    # ---- member.Wire -----------------------------------------------------------------------------------------

    def on_text(self, member: Any, payload: bytes) -> None:
        """Serve one packet."""
        if member is self.member:
            try:
                self._serve(payload)
            except PacketError:
                self.close("parse error")
        elif isinstance(member, Client):
            self._serve_probe(member, payload)

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Serve one binary packet."""
        if member is not self.member:
            member.close(CloseCode.NORMAL)
            return
        try:
            self.engine.layer.on_binary(self, payload)
        except PacketError:
            self.close("parse error")

    def _serve(self, payload: bytes) -> None:
        kind = payload[:1]
        if kind == engine_packets.MESSAGE:
            self.engine.layer.on_text(self, payload[1:])
            return
        self.count()
        if kind == engine_packets.PONG:
            self._awaits_pong = False
        elif kind == engine_packets.CLOSE:
            self._close_for_client()
        elif kind not in (engine_packets.NOOP, engine_packets.UPGRADE):
            raise PacketError("not for a server")

    def _close_for_client(self) -> None:
        """Close because the client sent CLOSE: a poll that waits, or is on its way, gets a NOOP."""
        self.reason = self.reason or TRANSPORT_CLOSE
        if isinstance(self.member, Poller):
            if not self.member.has_poll:
                self.member.take_all()
            if not self.member.waiting:
                self.member.send(NOOP)
            self.member.drop()
        else:
            self.member.close(CloseCode.NORMAL)

    def on_control(self, member: Any) -> bool:
        """Count a WebSocket's own ping or pong."""
        return not self.count()

    def check_heartbeat(self, member: Any, now: float) -> None:
        """Send pings; close a client that did not answer one, or was too slow to connect or to finish an event."""
        engine = self.engine
        if member is not self.member:
            if now - member.seen >= UPGRADE_TIMEOUT:
                member.close(CloseCode.NORMAL)
        elif self._awaits_pong:
            if now - self._pinged_at >= engine.pong_in:
                self.close(PING_TIMEOUT, CloseCode.TOO_SLOW)
                member.drop()
        elif self.assembly is not None and now - self.assembly.began >= engine.settings.message_timeout:
            self.close("transport error", CloseCode.TOO_SLOW)
        elif not self.has_connected and now - self.opened_at >= engine.settings.io_connect_timeout:
            self.close("connect timeout")
        elif now - self._pinged_at >= engine.ping_after:
            self._pinged_at = now
            self._awaits_pong = True
            self.send(PING)

    def on_close(self, member: Any) -> None:
        """End the session with its transport; the WebSocket of an upgrade that failed does not end it."""
        if member is self.probe:
            self.probe = None
        elif member is self.member:
            self.engine.closed(self)

    # ---- the upgrade -----------------------------------------------------------------------------------------

    def _serve_probe(self, client: Client, payload: bytes) -> None:
        poller = self.member
        if self.count():
            client.close(CloseCode.NORMAL)
        elif payload == PROBE:
            client.enqueue(PROBE_PONG)
            if isinstance(poller, Poller) and poller.has_poll and not poller.waiting:
                poller.send(NOOP)
        elif payload == engine_packets.UPGRADE and isinstance(poller, Poller):
            self._upgrade(poller, client)
        else:
            client.close(CloseCode.NORMAL)

    def _upgrade(self, poller: Poller, client: Client) -> None:
        """Make `client` the session's transport in place of `poller`."""
        is_closing = bool(poller.closing)
        self.probe = None
        self.member = client
        for trait in ("address", "language", "extended", "diff", "expires", "issued", "sid"):
            setattr(client, trait, getattr(poller, trait))
        kept = b"" if poller.has_poll else poller.take_all()
        self.engine.hub.replace(poller, client)
        poller.close_code = poller.close_code or CloseCode.NORMAL
        poller.drop()
        if kept:
            client.enqueue(kept)
        if is_closing:
            client.close(poller.close_code)
