"""Engine.IO 4: all sessions that a path serves, and what its requests ask for. Everything here runs in the loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from ..config import Settings
from ..rooms.client import CLOSE_TIMEOUT, Taken
from ..rooms.hub import Hub
from ..rooms.member import Member
from ..rooms.sweeper import sweep_round
from ..wire.codec import Codec
from ..wire.errors import CloseCode
from ..wire.frames import text_frame
from . import packets
from .packets import PacketError
from .polling import NOOP, Poller, Waiter
from .sessions import PING_TIMEOUT, TRANSPORT_CLOSE, Layer, Session, Visitor
from .sids import Sids

if TYPE_CHECKING:
    from .forwarding.client import ForwardingClient

POLLING, WEBSOCKET = "polling", "websocket"
#: Seconds between two lines in the log about sessions that nobody knows: anybody may ask for one.
LOG_EVERY = 60.0


class BadRequest(Exception):
    """A request that the protocol does not allow; `code` and `message` are Engine.IO's own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


UNKNOWN_TRANSPORT = 0, "Transport unknown"
UNKNOWN_SID = 1, "Session ID unknown"
BAD_METHOD = 2, "Bad handshake method"
BAD_REQUEST = 3, "Bad request"
FORBIDDEN = 4, "Forbidden"
BAD_VERSION = 5, "Unsupported protocol version"


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
        #: The other workers of this machine, where their requests may come here and ours there.
        self.neighbours: ForwardingClient | None = None
        self.sessions: dict[str, Session] = {}
        #: Ids of those whose POST is being read: each may have one at a time.
        self.posting: set[str] = set()
        #: Sessions that were told to go while no poll waited; the next poll hears why.
        self._parting: dict[str, Poller] = {}
        self._addresses: Counter[str] = Counter()
        self._silent_until = 0.0
        slack = sweep_round(settings)
        #: Early by up to a round, as the sweeper comes by once a round.
        self.ping_after = max(settings.io_ping_interval - slack, slack)
        self.pong_in = max(settings.io_ping_timeout - slack, slack)

    def find(self, sid: str) -> Session:
        """Return the session of that id; raise BadRequest where there is none."""
        session = self.sessions.get(sid)
        if session is None:
            raise self.unknown()
        return session

    def unknown(self) -> BadRequest:
        """Return what is raised for a session that nobody knows; the log is told why that may be."""
        if self.hub.now >= self._silent_until:
            self._silent_until = self.hub.now + LOG_EVERY
            self.log(UNKNOWN)
        return BadRequest(*UNKNOWN_SID)

    def has_place(self, address: str) -> bool:
        """Tell whether the limits leave a place for one more session from `address`."""
        settings = self.settings
        if self.hub.draining or len(self.sessions) >= min(settings.max_connections, self.hub.limit):
            return False
        return not address or self._addresses[address] < settings.max_connections_per_ip

    def open_polling(self, visitor: Visitor) -> bytes:
        """Begin a session and return the answer to its first request."""
        session = Session(self, visitor)
        poller = Poller(self.hub, session)
        self.hub.pollers.add(poller)
        self._begin(session, poller)
        upgrades = [WEBSOCKET] if WEBSOCKET in self.settings.io_transports else []
        return self._greeting(session, upgrades)

    def open_websocket(self, taken: Taken, visitor: Visitor) -> None:
        """Begin a session over a parked socket."""
        session = Session(self, visitor)
        client = self.hub.park(taken, session)
        self._begin(session, client)
        session.send(text_frame(self._greeting(session, [])))
        self.hub.feed(client, taken.early)

    def probe(self, taken: Taken, sid: str) -> None:
        """Try out a parked socket that wants to take over the session `sid`; one that may not is closed."""
        session = self.sessions.get(sid)
        if session is None or session.probe is not None or not isinstance(session.member, Poller):
            client = self.hub.park(taken, Stranger(self.layer.codec))
            client.close(CloseCode.NORMAL)
            return
        client = self.hub.park(taken, session)
        session.probe = client
        self.hub.feed(client, taken.early)

    def _begin(self, session: Session, member: Member) -> None:
        session.member = member
        member.address = session.visitor.address
        member.language = session.visitor.language
        member.diff = session.visitor.diff
        member.extended = True
        self.sessions[session.sid] = session
        self._addresses[member.address] += 1
        self.layer.opened(session)

    def _greeting(self, session: Session, upgrades: list[str]) -> bytes:
        return packets.OPEN + orjson.dumps(
            {
                "sid": session.sid,
                "upgrades": upgrades,
                "pingInterval": round(self.settings.io_ping_interval * 1000),
                "pingTimeout": round(self.settings.io_ping_timeout * 1000),
                "maxPayload": self.settings.max_message_bytes,
            }
        )

    def poll(self, sid: str, waiter: Waiter) -> Poller:
        """Have `waiter` set when there is something to take; raise BadRequest.

        A second poll beside the first breaks the protocol: it ends the session.
        """
        parting = self._parting.get(sid)
        if parting is not None and parting.waiting and not parting.polled:
            parting.wait(waiter)
            return parting
        poller = self._poller(session := self.find(sid))
        if poller.polled:
            session.close("transport error")
            raise BadRequest(*BAD_REQUEST)
        if session.probe is not None and not poller.waiting:
            poller.send(NOOP)
        poller.seen = self.hub.now
        poller.wait(waiter)
        return poller

    def post(self, sid: str, body: bytes) -> None:
        """Serve what a POST brought; raise BadRequest for a session that is not polling, or a malformed payload."""
        poller = self._poller(session := self.find(sid))
        try:
            parts = packets.decode_payload(body)
        except PacketError:
            session.close("parse error")
            raise BadRequest(*BAD_REQUEST) from None
        poller.seen = self.hub.now
        for binary, payload in parts:
            if session.reason:
                break
            (session.on_binary if binary else session.on_text)(poller, payload)
        if session.reason == "parse error":
            raise BadRequest(*BAD_REQUEST)

    def _poller(self, session: Session) -> Poller:
        """Return the member of a session that is polling; raise BadRequest for another one."""
        if session.probe is not None:
            # What it said before this request must count before it: it may have taken over.
            self.hub.reactor.read_now(session.probe)
        if not isinstance(session.member, Poller):
            raise BadRequest(*BAD_REQUEST)
        return session.member

    def refuse(self, sid: str) -> None:
        """End a session whose POST is not as it may be; raise BadRequest where there is none."""
        self.find(sid).close("parse error")

    def ended(self, session: Session) -> None:
        """Forget a session whose transport goes."""
        is_told = session.reason != TRANSPORT_CLOSE  # or it has said so itself
        session.reason = session.reason or TRANSPORT_CLOSE
        if self.sessions.pop(session.sid, None) is None:
            return
        self._count_out(session.visitor.address)
        if isinstance(session.member, Poller) and _hears_why(session.member, session.reason):
            self._part(session.sid, session.member)
        # A client in the middle of the upgrade polls no more: it hears over the WebSocket why it is sent away.
        if session.probe is not None and not (is_told and session.sid in self._parting):
            session.probe.close(CloseCode.NORMAL)
        self.layer.closed(session, session.reason)

    def _part(self, sid: str, poller: Poller) -> None:
        parting = self._parting
        while parting and self.hub.now - next(iter(parting.values())).closing >= CLOSE_TIMEOUT:
            del parting[next(iter(parting))]
        parting[sid] = poller

    def _count_out(self, address: str) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


def _hears_why(poller: Poller, reason: str) -> bool:
    if reason == TRANSPORT_CLOSE:
        return not poller.polled  # a poll may have been sent before the close, and come behind it
    # Who did not answer in time is told as the protocol has it: there is no such session.
    return poller.close_code >= CloseCode.RESTARTING and reason != PING_TIMEOUT


class Stranger:
    """The wire of a socket that is told to go."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def on_text(self, member: Any, payload: bytes) -> None:
        """Heard by nobody."""

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Heard by nobody."""

    def check_heartbeat(self, member: Any, now: float) -> None:
        """It is closing already."""

    def on_close(self, member: Any) -> None:
        """Nobody waits for it."""


UNKNOWN = (
    "a Socket.IO request named a session that no worker of this machine knows: it has ended, or, with several "
    "machines, the proxy does not send a client's requests back to the one that it began on (sticky sessions)"
)
