"""Engine.IO 4: one client's session, on long-polling or WebSocket, and the change from one to the other.

Everything here runs in the loop, and does no I/O of its own. A layer above (Socket.IO, or an echo) takes the messages
and sends frames. The rules are those of the Engine.IO protocol, revision 4.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..config import Settings
from ..rooms.client import Client
from ..rooms.hub import Hub
from ..rooms.member import Member
from ..wire.codec import Codec
from ..wire.errors import CloseCode
from ..wire.frames import text_frame
from . import packets
from .packets import PacketError
from .polling import NOOP, Poller
from .sids import Sids

#: Seconds that a WebSocket has to finish the upgrade that it began.
UPGRADE_TIMEOUT = 10.0

#: Reasons for an end, as Socket.IO's servers name them.
TRANSPORT_CLOSE, PING_TIMEOUT = "transport close", "ping timeout"

PROBE = packets.PING + b"probe"
PING, PROBED = text_frame(packets.PING), text_frame(packets.PONG + b"probe")


class Visitor:
    """What the request that opened a session told of its client."""

    __slots__ = ("address", "diff", "language", "lobby", "token")

    def __init__(self, address: str, language: str, token: str, diff: bool, lobby: bool = True) -> None:
        self.address = address
        self.language = language
        self.token = token
        self.diff = diff
        #: It is in the lobby from the start.
        self.lobby = lobby


class Layer(Protocol):
    """What stands on the sessions."""

    @property
    def codec(self) -> Codec:
        """How its clients are spoken to."""

    def opened(self, session: Session) -> None:
        """A session began."""

    def text(self, session: Session, payload: bytes) -> None:
        """A text message came; PacketError for a malformed one closes the session."""

    def binary(self, session: Session, payload: bytes) -> None:
        """A binary message came; PacketError likewise."""

    def closed(self, session: Session, reason: str) -> None:
        """The session ended; what is sent now may still arrive."""


class Owner(Protocol):
    """What a session asks of its engine."""

    hub: Hub
    settings: Settings
    layer: Layer
    sids: Sids
    #: Seconds after which it is time for a ping, and for which its answer is waited for.
    ping_after: float
    pong_in: float

    def ended(self, session: Session) -> None:
        """The session's transport goes."""


def connection_of(member: Member, namespace: str) -> Any:
    """Return a member's connection to a namespace; None where it has none, or does not speak Socket.IO."""
    return member.wire.connections.get(namespace) if isinstance(member.wire, Session) else None


class Session:
    """One client, whichever transport it is on; the wire of its members."""

    __slots__ = (
        "sid",
        "engine",
        "codec",
        "visitor",
        "member",
        "probe",
        "opened",
        "reason",
        "connections",
        "assembly",
        "used",
        "_beat_at",
        "_awaiting",
    )

    def __init__(self, engine: Owner, visitor: Visitor) -> None:
        self.sid = engine.sids.new()
        self.engine = engine
        self.codec = engine.layer.codec
        self.visitor = visitor
        self.member: Member
        #: The WebSocket that is to take over, while it is tried out.
        self.probe: Client | None = None
        self.opened = engine.hub.now
        #: Why it ended, empty while it lives.
        self.reason = ""
        #: The layer's own: connections by namespace, and a packet whose attachments have not all come.
        self.connections: dict[str, Any] = {}
        self.assembly: packets.Assembly | None = None
        #: It has been connected to something.
        self.used = False
        self._beat_at = self.opened
        self._awaiting = False

    # ---- to the client ---------------------------------------------------------------------------------------

    def send(self, frames: bytes) -> None:
        """Send whole frames, in order, whatever the transport."""
        self.member.enqueue(frames)

    def close(self, reason: str = "forced close", code: int = CloseCode.NORMAL) -> None:
        """End the session."""
        self.reason = self.reason or reason
        self.member.close(code)

    # ---- member.Wire -----------------------------------------------------------------------------------------

    def on_text(self, member: Any, payload: bytes) -> None:
        """Serve one packet."""
        if member is self.member:
            try:
                self._serve(payload)
            except PacketError:
                self.close("parse error")
        elif isinstance(member, Client):
            self._try_out(member, payload)

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Serve one binary packet."""
        if member is not self.member:
            member.close(CloseCode.NORMAL)
            return
        try:
            self.engine.layer.binary(self, payload)
        except PacketError:
            self.close("parse error")

    def _serve(self, payload: bytes) -> None:
        kind = payload[:1]
        if kind == packets.MESSAGE:
            self.engine.layer.text(self, payload[1:])
        elif kind == packets.PONG:
            self._awaiting = False
        elif kind == packets.CLOSE:
            self.end_by_client()
        elif kind not in (packets.NOOP, packets.UPGRADE):
            raise PacketError("not for a server")

    def end_by_client(self) -> None:
        """The client said that it goes: a poll that waits, or is on its way, is let go without a word."""
        self.reason = self.reason or TRANSPORT_CLOSE
        if isinstance(self.member, Poller):
            if not self.member.polled:
                self.member.take()
            if not self.member.waiting:
                self.member.send(NOOP)
            self.member.drop()
        else:
            self.member.close(CloseCode.NORMAL)

    def check_heartbeat(self, member: Any, now: float) -> None:
        """Ping in time, close who did not answer, and who never came to anything."""
        engine = self.engine
        if member is not self.member:
            if now - member.seen >= UPGRADE_TIMEOUT:
                member.close(CloseCode.NORMAL)
        elif self._awaiting:
            if now - self._beat_at >= engine.pong_in:
                self.close(PING_TIMEOUT, CloseCode.TOO_SLOW)
                member.drop()
        elif not self.used and now - self.opened >= engine.settings.io_connect_timeout:
            self.close("connect timeout")
        elif now - self._beat_at >= engine.ping_after:
            self._beat_at = now
            self._awaiting = True
            self.send(PING)

    def on_close(self, member: Any) -> None:
        """The transport goes: so does the session, unless another one has taken over."""
        if member is self.probe:
            self.probe = None
        elif member is self.member:
            self.engine.ended(self)

    # ---- the upgrade -----------------------------------------------------------------------------------------

    def _try_out(self, client: Client, payload: bytes) -> None:
        poller = self.member
        if payload == PROBE:
            client.enqueue(PROBED)
            if isinstance(poller, Poller) and poller.polled and not poller.waiting:
                poller.send(NOOP)
        elif payload == packets.UPGRADE and isinstance(poller, Poller):
            self._take_over(poller, client)
        else:
            client.close(CloseCode.NORMAL)

    def _take_over(self, poller: Poller, client: Client) -> None:
        over = bool(poller.closing)
        self.probe = None
        self.member = client
        for trait in ("address", "language", "extended", "diff", "expires", "issued"):
            setattr(client, trait, getattr(poller, trait))
        kept = b"" if poller.polled else poller.take()
        self.engine.hub.replace(poller, client)
        poller.close_code = poller.close_code or CloseCode.NORMAL
        poller.drop()
        if kept:
            client.enqueue(kept)
        if over:
            client.close(poller.close_code)
