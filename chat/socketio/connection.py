"""One client's connection to one namespace: what a site's handlers get as `session`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..wire.envelope import Identity
from . import packets
from .packets import ACK, EVENT, Prepared
from .recovery import Saved, Subscriptions
from .sessions import Session

if TYPE_CHECKING:
    from .resume import Comeback
    from .server import Server

#: Answers that one connection may owe at once; the oldest is forgotten first.
MAX_ACKS = 1_000
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Connection:
    """A client in a namespace. Its public methods may be called from any thread, but not from a tick."""

    __slots__ = (
        "id",
        "namespace",
        "identity",
        "issued",
        "auth",
        "recovered",
        "accepted",
        "pid",
        "engine_session",
        "comeback",
        "position",
        "seats",
        "kept",
        "_server",
        "_acks",
        "_data",
        "_early",
        "_joined",
        "_number",
    )

    def __init__(self, server: Server, session: Session, namespace: str, auth: dict[str, Any] | None) -> None:
        #: Unlike Engine.IO's sid nobody can take a session over with it, so others may see it.
        self.id = secrets.token_urlsafe(15)
        self.namespace = namespace
        self.identity: Identity | None = None
        #: Milliseconds (wall clock) at which its token was issued.
        self.issued = 0
        self.auth: Mapping[str, Any] = auth or NOTHING
        self.recovered = False
        self.accepted = False
        self.pid = secrets.token_urlsafe(15)
        self.engine_session = session
        self.comeback: Comeback | None = None
        self.position = 0
        #: Rooms of the chat, also those that it is coming into: {name: seq from which on it hears it}. In the loop.
        self.seats: dict[str, int] = {}
        #: Whether the store has them.
        self.kept = False
        self._server = server
        # Made when they are needed first: thousands of connections never do.
        self._data: dict[str, Any] | None = None
        self._joined: dict[str, int] | None = None
        self._acks: dict[int, Callable[..., Any]] | None = None
        self._number = 0
        self._early: list[Callable[[], None]] | None = []

    def __repr__(self) -> str:
        return f"<Connection {self.id} in {self.namespace}>"

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it has joined."""
        return frozenset(self._joined or ())

    @property
    def data(self) -> dict[str, Any]:
        """What the site keeps of this client; a recovery gives it back."""
        self._server.mix(self.namespace)
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def language(self) -> str:
        """The language that its client is spoken to in."""
        asked = self.auth.get("lang")
        return asked if asked in ("en", "zh") else self.engine_session.visitor.language

    @property
    def wants_diffs(self) -> bool:
        """Whether its client wants the roster's changes alone; `auth` comes before the query."""
        asked = self.auth.get("roster")
        return self.engine_session.visitor.diff if asked is None else asked == "diff"

    @property
    def wants_lobby(self) -> bool:
        """Whether it is in the lobby from the start; `auth` comes before the query."""
        asked = self.auth.get("lobby")
        return self.engine_session.visitor.lobby if asked is None else asked not in (False, 0, "0")

    # ---- what handlers call ------------------------------------------------------------------------------------

    def emit(self, event: str, *args: Any, ack: Callable[..., Any] | None = None) -> None:
        """Send an event to this client; `ack(*answer)` is called with the client's answer, if one comes.

        `bytes` in `args` travel as binary attachments. Raises TypeError for what JSON cannot hold.
        """
        said = packets.prepare([event, *args])
        self._server.run(self._emit, said, ack)

    def call(self, event: str, *args: Any, timeout: float = 5.0) -> Any:
        """Send an event and return the client's answer (a list where it has several parts).

        Raises TimeoutError when none has come in `timeout` seconds.
        """
        return self._server.call(self, event, args, timeout)

    def join(self, room: str) -> None:
        """Let this client hear what is emitted to `room`."""
        self._server.run(self._server.join, self, room)

    def leave(self, room: str) -> None:
        """Let it hear that no more."""
        self._server.run(self._server.rooms.leave, self, room)

    def disconnect(self) -> None:
        """End the connection to this namespace; a stock client does not come back by itself."""
        self._server.run(self._server.disconnect, self)

    # ---- in the loop -------------------------------------------------------------------------------------------

    def _emit(self, said: Prepared, ack: Callable[..., Any] | None) -> None:
        if self._early is not None:
            # The client must hear of its connection first.
            self._early.append(lambda: self._emit(said, ack))
            return
        if ack is None:
            frames = self._server.say_to(self, said)
        else:
            frames = packets.assemble(EVENT, packets.prefix(self.namespace), self._expect(ack), said)
        self.send(frames)

    def _expect(self, ack: Callable[..., Any]) -> int:
        if self._acks is None:
            self._acks = {}
        number, self._number = self._number, self._number + 1
        self._acks[number] = ack
        if len(self._acks) > MAX_ACKS:
            del self._acks[next(iter(self._acks))]
        return number

    def enter(self, room: str, position: int) -> None:
        """Note that it has joined `room`, when `position` was the number of the newest packet; in the loop."""
        if self._joined is None:
            self._joined = {}
        self._joined.setdefault(room, position)

    def exit(self, room: str) -> None:
        """Note that it has left `room`; in the loop."""
        if self._joined is not None:
            self._joined.pop(room, None)

    def restore(self, comeback: Comeback, pid: str) -> None:
        """Be again what it was."""
        saved = comeback.saved
        self.comeback, self.recovered = comeback, True
        self.id, self.pid, self.position = saved.id, pid, saved.position
        self._data, self._joined = saved.data, dict(saved.rooms)
        self.kept, self.seats = comeback.kept, dict(saved.seat.rooms) if saved.seat is not None else {}

    def state(self, scopes: dict[Any, int], sids: frozenset[str], seat: Subscriptions | None) -> Saved:
        """Return what it is to be when it comes back; in the loop."""
        joined = self._joined or {}
        of_rooms = {("room", room, self.namespace): number for room, number in joined.items()}
        user_id = None if self.identity is None else self.identity.id
        every = {("all",): 0, ("one", self.id): 0} | of_rooms | scopes
        data = {} if self._data is None else self._data
        return Saved(self.id, self.namespace, joined, data, user_id, every, sids, self.position, seat)

    def send(self, frames: bytes) -> None:
        """Send frames, if the connection still stands; in the loop."""
        if self.accepted:
            self.engine_session.send(frames)

    def answer(self, id: int, prepared: Prepared) -> None:
        """Acknowledge the client's event `id`; in the loop."""
        self.send(packets.assemble(ACK, packets.prefix(self.namespace), id, prepared))

    @property
    def has_early(self) -> bool:
        """Whether something waits for `begin`."""
        return bool(self._early)

    def begin(self) -> None:
        """Send what handlers said before the client was told that it is connected; in the loop."""
        early, self._early = self._early or [], None
        for emit in early:
            emit()

    def take_ack(self, id: int) -> Callable[..., Any] | None:
        """Return who waits for the client's answer `id`, once; in the loop."""
        return None if self._acks is None else self._acks.pop(id, None)
