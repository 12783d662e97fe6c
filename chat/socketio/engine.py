"""Engine.IO 4: all sessions that a path serves, and the requests to them. Everything here runs in the loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from ..config import Settings
from ..identity.networks import network_of
from ..rooms.client import Taken
from ..rooms.hub import Hub
from ..rooms.member import Member
from ..rooms.sweeper import sweep_round
from ..wire.codec import Codec
from ..wire.errors import CloseCode
from ..wire.frames import text_frame
from . import engine_packets
from .bad_request import BAD_REQUEST, UNKNOWN_SID, BadRequest
from .engine_packets import PacketError
from .packet_limits import PacketRate
from .polling import NOOP, ClosingPollers, Poller, Waiter
from .sessions import FORCED_CLOSE, PING_TIMEOUT, TRANSPORT_CLOSE, Layer, OpeningRequest, Session
from .sids import Sids

POLLING, WEBSOCKET = "polling", "websocket"
#: Seconds between two log lines about unknown sessions, of which any client can cause any number.
LOG_EVERY = 60.0


class Engine:
    """All sessions of one app in one process that a path serves."""

    def __init__(
        self,
        hub: Hub,
        settings: Settings,
        layer: Layer,
        log: Callable[[str], None] = lambda sentence: None,
        worker: int = 0,
    ) -> None:
        self.hub = hub
        self.settings = settings
        self.layer = layer
        self.log = log
        #: `worker` is the random number of this process.
        self.sids = Sids(settings.node, worker)
        self.packet_rate = PacketRate(settings)
        self.sessions: dict[str, Session] = {}
        #: Ids of sessions whose POST is being read: each may have one at a time.
        self.posting: set[str] = set()
        #: Sessions that were closed while no poll waited; the next poll gets the reason.
        self._closing = ClosingPollers()
        #: Sessions by the network of their address.
        self._networks: Counter[str] = Counter()
        self._silent_until = 0.0
        slack = sweep_round(settings)
        #: Shorter by a round of the sweeper, which checks each session once a round.
        self.ping_after = max(settings.io_ping_interval - slack, slack)
        self.pong_in = max(settings.io_ping_timeout - slack, slack)

    def find(self, sid: str) -> Session:
        """Return the session of that id; raise BadRequest where there is none."""
        session = self.sessions.get(sid)
        if session is None:
            raise self.unknown_session()
        return session

    def unknown_session(self) -> BadRequest:
        """Return the exception for an unknown session id; from time to time, log the possible causes."""
        if self.hub.now >= self._silent_until:
            self._silent_until = self.hub.now + LOG_EVERY
            self.log(UNKNOWN_SESSION)
        return BadRequest(*UNKNOWN_SID)

    # ---- opening -----------------------------------------------------------------------------------------------

    def has_place(self, address: str) -> bool:
        """Tell whether the limits allow one more session from `address`."""
        settings = self.settings
        if self.hub.draining or len(self.sessions) >= min(settings.max_connections, self.hub.limit):
            return False
        return not address or self._networks[network_of(address)] < settings.max_connections_per_ip

    def open_polling(self, request: OpeningRequest) -> bytes:
        """Open a session on long-polling and return the payload of its first response."""
        session = Session(self, request)
        poller = Poller(self.hub, session)
        self.hub.pollers.add(poller)
        self._open(session, poller)
        upgrades = [WEBSOCKET] if WEBSOCKET in self.settings.io_transports else []
        return self._open_packet(session, upgrades)

    def open_websocket(self, taken: Taken, request: OpeningRequest) -> None:
        """Open a session on a parked socket."""
        session = Session(self, request)
        client = self.hub.park(taken, session)
        self._open(session, client)
        session.send(text_frame(self._open_packet(session, [])))
        self.hub.feed(client, taken.early)

    def _open(self, session: Session, member: Member) -> None:
        session.member = member
        member.address = session.request.address
        member.language = session.request.language
        member.diff = session.request.diff
        member.extended = True
        self.sessions[session.sid] = session
        self._networks[session.request.network] += 1
        self.layer.on_open(session)

    def _open_packet(self, session: Session, upgrades: list[str]) -> bytes:
        return engine_packets.OPEN + orjson.dumps(
            {
                "sid": session.sid,
                "upgrades": upgrades,
                "pingInterval": round(self.settings.io_ping_interval * 1000),
                "pingTimeout": round(self.settings.io_ping_timeout * 1000),
                "maxPayload": self.settings.max_message_bytes,
            }
        )

    # ---- requests of a session -----------------------------------------------------------------------------------

    def probe(self, taken: Taken, sid: str) -> None:
        """Let a parked socket probe the upgrade of the session `sid`; close it where that is not possible."""
        session = self.sessions.get(sid)
        if session is None or session.probe is not None or not isinstance(session.member, Poller):
            client = self.hub.park(taken, ClosingWire(self.layer.codec))
            client.close(CloseCode.NORMAL)
            return
        client = self.hub.park(taken, session)
        session.probe = client
        self.hub.feed(client, taken.early)

    def poll(self, sid: str, waiter: Waiter) -> Poller:
        """Have `waiter` set once there are frames to take; return the poller that has them. Raises BadRequest.

        A second poll beside the first breaks the protocol: it ends the session.
        """
        closing = self._closing.find(sid)
        if closing is not None:
            closing.begin_poll(waiter)
            return closing
        poller = self._poller(session := self.find(sid))
        if poller.has_poll:
            session.close("transport error")
            raise BadRequest(*BAD_REQUEST)
        if session.probe is not None and not poller.waiting:
            poller.send(NOOP)
        poller.seen = self.hub.now
        poller.begin_poll(waiter)
        return poller

    def post(self, sid: str, body: bytes) -> None:
        """Serve the payload of a POST; raise BadRequest for a session that is not polling, or a malformed payload."""
        poller = self._poller(session := self.find(sid))
        try:
            parts = engine_packets.decode_payload(body)
        except PacketError:
            session.close("parse error")
            raise BadRequest(*BAD_REQUEST) from None
        poller.seen = self.hub.now
        if len(body) > (session.largest or len(body)):
            session.close("parse error")
        for binary, payload in parts:
            if session.reason:
                break
            (session.on_binary if binary else session.on_text)(poller, payload)
        if session.reason == "parse error":
            raise BadRequest(*BAD_REQUEST)

    def _poller(self, session: Session) -> Poller:
        """Return the member of a session that is polling; raise BadRequest for another one."""
        if session.probe is not None:
            # What the WebSocket sent before this request counts before it: it may have upgraded the session.
            self.hub.reactor.read_now(session.probe)
        if not isinstance(session.member, Poller):
            raise BadRequest(*BAD_REQUEST)
        return session.member

    def abort(self, sid: str) -> None:
        """Close a session because of an invalid POST; raise BadRequest where there is none."""
        self.find(sid).close("parse error")

    # ---- closing -------------------------------------------------------------------------------------------------

    def closed(self, session: Session) -> None:
        """Forget a session whose transport is closing."""
        is_ours = session.reason != TRANSPORT_CLOSE  # not the client's own CLOSE
        session.reason = session.reason or TRANSPORT_CLOSE
        if self.sessions.pop(session.sid, None) is None:
            return
        self._uncount(session.request.network)
        if isinstance(session.member, Poller) and _gets_reason(session.member, session.reason):
            self._closing.add(session.sid, session.member, self.hub.now)
        # A client in the middle of the upgrade polls no more: it gets the reason over the WebSocket.
        if session.probe is not None and not (is_ours and session.sid in self._closing):
            session.probe.close(CloseCode.NORMAL)
        self.layer.on_close(session, session.reason)

    def _uncount(self, network: str) -> None:
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]


def _gets_reason(poller: Poller, reason: str) -> bool:
    if reason == TRANSPORT_CLOSE:
        return not poller.has_poll  # a poll may have been sent before the CLOSE, and arrive after it
    if reason == FORCED_CLOSE:
        return True  # the DISCONNECTs of a site that ends the session have to arrive
    # A client that missed a pong gets "Session ID unknown", as in the protocol.
    return poller.close_code >= CloseCode.RESTARTING and reason != PING_TIMEOUT


class ClosingWire:
    """The wire of a socket that is being closed: it ignores what the client sends."""

    largest = 0

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def on_text(self, member: Any, payload: bytes) -> None:
        """Ignore it."""

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Ignore it."""

    def on_control(self, member: Any) -> bool:
        """Answer no ping."""
        return False

    def check_heartbeat(self, member: Any, now: float) -> None:
        """The socket is closing already."""

    def on_close(self, member: Any) -> None:
        """No session belongs to it."""


UNKNOWN_SESSION = (
    "a Socket.IO request named a session that no worker of this machine knows: it has ended, or, with several "
    "machines, the proxy does not send a client's requests back to the one that it began on (sticky sessions)"
)
