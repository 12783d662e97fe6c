"""The chat of one app: `app.extensions["chat"]`. Everything here may be called from any view, thread or script."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flask import Flask, current_app, has_request_context

from . import signals
from .cluster.broker import make_broker
from .config import Settings
from .identity.guard import Guard, now_ms
from .identity.jwts import Tokens
from .loop.drivers import allocate_lock, make_driver
from .rooms import access
from .rooms.access import Right
from .rooms.handlers import HANDLERS, Handler
from .runtime import Runtime, Site
from .socketio.io import IO
from .socketio.packets import Prepared
from .socketio.registry import Registry
from .socketio.resume import IoStore
from .store.control import Control
from .store.engine import make_engine
from .store.history import DIRECT, PRIVATE, PUBLIC, Draft, RoomRow, Stored, StoreUnavailable
from .store.io_missed import IoMissed
from .store.io_sessions import IoSessions
from .store.sql import SqlHistory
from .store.users import Users
from .wire.envelope import Envelope, Identity, MessageType
from .wire.errors import ChatError

log = logging.getLogger("chat")

#: Seconds that `drain` waits for the last socket to go, and `roster` for servers to answer.
DRAIN_SECONDS = 2.0
ANSWER_SECONDS = 2.0
#: Identities of a site's own users that were written to the store already.
KNOWN_IDENTITIES = 10_000

_SIGNALS = {
    "connect": signals.client_connected,
    "disconnect": signals.client_disconnected,
    "message": signals.message_sent,
}


class UnknownUser(LookupError):
    """The chat has never seen a user of that name."""


class UnknownRoom(LookupError):
    """There is no room of that name: `create_room` makes one."""


class Process:
    """What a process needs before its first socket."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.driver = make_driver()
        #: Held while the running part is made, which waits for the database.
        self.starting = self.driver.allocate_waiting_lock()


class ChatService:
    """Settings, users, tokens and, once a socket came, the running part of one app's chat."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.database_url = settings.database_url or _instance_database(app)
        engine = make_engine(self.database_url)
        #: Users and the control table; each call is one transaction, off the event loop.
        self.users = Users(engine, self.run_blocking)
        self.control = Control(engine, self.run_blocking)
        #: Rooms, members and messages; its methods block, off the event loop.
        self.history = SqlHistory(engine, self.run_blocking)
        # psycopg waits as greenlets do; SQLite holds up whoever calls it.
        self._commits_off_loop = engine.dialect.name == "sqlite"
        #: {type: handler} of this app alone; add to it before the first socket.
        self.handlers: dict[int, Handler] = dict(HANDLERS)
        self.load_identity: Callable[[], Identity | None] = _flask_login_identity
        #: Makes an Identity of a site's own JWT; None where all tokens are the chat's.
        self.load_claims: Callable[[Mapping[str, Any]], Identity] | None = None
        self._tokens = Tokens(app)
        self.guard = Guard(self._tokens.decode, self._identify)
        self.events = Registry()
        receivers = {kind: signal.receivers for kind, signal in _SIGNALS.items()}
        self._site = Site(
            self.guard,
            self.control,
            self.history,
            self._commit,
            self._announce,
            receivers,
            self._call,
            self.ensure_users,
            self._note,
            self.mark_read,
            self.events,
            IoStore(
                IoSessions(engine, self.run_blocking),
                IoMissed(engine, self.run_blocking),
                lambda: self._tokens.derive("flask-chat Socket.IO pid"),
            ),
            lambda: self._tokens.derive(f"flask-chat neighbours {self.database_url} {settings.redis_prefix}"),
            lambda driver, origin: make_broker(settings, driver, origin),
        )
        #: The site's own events over Socket.IO.
        self.io = IO(lambda: [self.events], self._io_emit)
        #: Called, once a process, before its runtime is made.
        self.before_start: list[Callable[[], object]] = []
        self._runtime: Runtime | None = None
        self._current: Process | None = None
        self._lock = allocate_lock()
        self._known: set[Identity] = set()

    # ---- the running part --------------------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime | None:
        """The running part in this process, None before its first socket."""
        runtime = self._runtime
        return runtime if runtime is not None and runtime.pid == os.getpid() else None

    def start(self) -> Runtime:
        """Return the running part, made now if this process had none; not from a tick."""
        runtime = self.runtime
        if runtime is None:
            with self._process().starting:
                runtime = self.runtime or self._make_runtime()
        return runtime

    def _make_runtime(self) -> Runtime:
        last = self.control.last_id()
        self.guard.load(self.users.revocations())
        for prepare in self.before_start:
            prepare()
        runtime = self._runtime = Runtime(self.settings, self._site, self.handlers, last)
        return runtime

    def run_blocking(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, run in the thread pool under gevent and directly elsewhere."""
        return self._process().driver.run_blocking(function, *args)

    def _process(self) -> Process:
        """Return what belongs to this process; another one after a fork."""
        with self._lock:
            if self._current is None or self._current.pid != os.getpid():
                self._current = Process()
            return self._current

    # ---- who somebody is ---------------------------------------------------------------------------------------

    def token_for(self, identity: Identity, ttl: float | None = None) -> str:
        """Return a JWT that lets `identity` into the chat for `ttl` seconds (CHAT_TOKEN_TTL)."""
        return self._tokens.issue(identity, self.settings.token_ttl if ttl is None else ttl)

    def current_identity(self) -> Identity | None:
        """Return who is logged in to the site on this request; ids that are numbers there are texts here."""
        identity = self.load_identity()
        return None if identity is None else Identity(str(identity.id), str(identity.username))

    def ensure_users(self, *identities: Identity) -> None:
        """See to it that users have rows, so that they can be written to while they are away, kicked, and banned."""
        fresh = [identity for identity in identities if identity not in self._known]
        if not fresh:
            return
        self.users.ensure_many(fresh)
        if len(self._known) >= KNOWN_IDENTITIES:
            self._known.clear()
        self._known.update(fresh)

    def _identify(self, claims: Mapping[str, Any]) -> Identity:
        # The chat's own tokens, which carry iat_ms, are no business of a site's claims loader.
        if self.load_claims is None or "iat_ms" in claims:
            return self._tokens.identity_of(claims)
        with self._tokens.context():
            return self.load_claims(claims)

    # ---- what a site says --------------------------------------------------------------------------------------

    def send(self, room: str, text: str) -> None:
        """Say `text` in `room` as the house; return once it is stored.

        Raises UnknownRoom, StoreUnavailable, and ValueError for a text that is too long. Sockets of other processes
        hear it within a second.
        """
        self._say(Envelope(MessageType.GROUP_CHAT, text, room))

    def direct(self, to: str, text: str) -> None:
        """Say `text` to the user named `to`, as the house; it waits for one who is away.

        Raises UnknownUser, StoreUnavailable, and ValueError for a text that is too long.
        """
        self._say(Envelope(MessageType.SINGLE_CHAT, text, None, to))

    def _say(self, envelope: Envelope) -> None:
        self._check_text(envelope.data)
        code = self.runtime.send(envelope) if self.runtime is not None else self._say_elsewhere(envelope)
        if code == "unknown_room":
            raise UnknownRoom(envelope.room)
        if code == "unknown_user":
            raise UnknownUser(envelope.to)
        if code is not None:
            raise StoreUnavailable(code)

    def _say_elsewhere(self, envelope: Envelope) -> str | None:
        room, to = envelope.room, envelope.to
        if room is not None and self._keeps_nothing(room):
            self._post("send", {"room": room, "text": envelope.data})
        elif to is not None and "dm:*" in self.settings.ephemeral_rooms:
            self._post("direct", {"to": to, "text": envelope.data})
        else:
            draft = Draft(
                int(envelope.type), room, None, secrets.token_urlsafe(9), False, envelope.data or "", to
            )
            (result,) = self._commit([draft], 0)
            return result if isinstance(result, str) else None
        return None

    def _keeps_nothing(self, room: str) -> bool:
        if self.settings.is_ephemeral(room):
            return True
        row = self.history.room(room)
        return row is not None and row.ephemeral

    def _commit(self, drafts: list[Draft], origin: int) -> list[Stored | str]:
        if self._commits_off_loop:
            return self.run_blocking(self.history.append, drafts, origin)
        return self.history.append(drafts, origin)

    def _check_text(self, text: str | None) -> None:
        if not isinstance(text, str) or len(text) > self.settings.max_message_chars:
            raise ValueError(f"A message is text of at most {self.settings.max_message_chars} characters.")

    def roster(self, room: str = "lobby") -> list[Identity]:
        """Return the users in `room`: of this process if it serves, else of the servers that answer in 2 s."""
        if self.runtime is not None:
            return self.runtime.roster(room)
        if has_request_context():
            return []
        return self.request_roster(room) or []

    def request_roster(self, room: str) -> list[Identity] | None:
        """Ask the running servers who is in `room`, through the control table; None if none answered in 2 s."""
        nonce = os.urandom(8).hex()
        last = self.control.post("who", {"room": room, "nonce": nonce})
        end = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < end:
            time.sleep(0.05)
            for row in self.control.after(last):
                last = row.id
                if row.kind == "who_reply" and row.payload["nonce"] == nonce:
                    return [Identity(**user) for user in row.payload["users"]]
        return None

    # ---- rooms ---------------------------------------------------------------------------------------------------

    def create_room(
        self,
        title: str,
        *,
        private: bool = False,
        creator: Identity | None = None,
        topic: str = "",
        ephemeral: bool = False,
    ) -> RoomRow:
        """Make a room and return it; raise RoomTaken. Its `name` is what messages and addresses call it.

        A public room's name is its title; a private one's tells nothing. `creator` becomes its owner.
        """
        return self.history.create_room(title, PRIVATE if private else PUBLIC, creator, topic, ephemeral)

    def connected_ids(self, room: str) -> set[str]:
        """Return the ids of the users who are in `room` now, on this process's sockets."""
        return {user.id for user in self.runtime.roster(room)} if self.runtime is not None else set()

    def mark_read(self, user: Identity, room: str, seq: int) -> dict[str, Any]:
        """Note that `user` has read `room` up to `seq`, and tell the user's sockets; return what holds now.

        {"room", "seq", "unread", "mentions"}. Raises ChatError: `unknown_room`, or `not_joined` for who is no member.
        """
        row = self._readable(room, user.id)
        read = self.history.mark_read(row.id, user.id, seq)
        if read is None and (row.name == access.LOBBY or row.kind == DIRECT):
            self.history.join(row.id, user)
            read = self.history.mark_read(row.id, user.id, seq)
        if read is None:
            raise ChatError("not_joined")
        self.push_read_mark(user.id, room, *read)
        return dict(zip(("room", "seq", "unread", "mentions"), (room, *read), strict=True))

    def _readable(self, room: str, user_id: str) -> RoomRow:
        row = self.history.room(room)
        role = self.history.role(row.id, user_id) if row is not None else None
        return access.check(row, user_id, role, Right.READ)

    def push_read_mark(self, user_id: str, room: str, seq: int, unread: int, mentions: int) -> None:
        """Tell a user's sockets, on every server, how far the user has read."""
        self._tell(
            user_id, MessageType.READ, {"room": room, "seq": seq, "unread": unread, "mentions": mentions}
        )

    def push_room_change(self, user_id: str, room: str, change: str) -> None:
        """Tell a user's sockets, on every server, that the list of rooms is another: joined, left or updated."""
        self._tell(user_id, MessageType.ROOMS, {"room": room, "change": change})

    def unsubscribe_user(self, user_id: str, room: str) -> None:
        """Let a user's sockets, on every server, hear `room` no more."""
        if self.runtime is not None:
            self.runtime.unsubscribe_user(user_id, room)
        self._post("removed", {"user_id": user_id, "room": room, "origin": self._origin})

    def _tell(self, user_id: str, kind: MessageType, fields: dict[str, Any]) -> None:
        if self.runtime is not None:
            self.runtime.push_to_user(user_id, kind, fields)
        row = {"user_id": user_id, "type": int(kind), "fields": fields, "origin": self._origin}
        self._post("tell", row)

    def _post(self, kind: str, payload: dict[str, Any]) -> None:
        """Ask something of all other processes: they find it in the table, and are told to look."""
        self.control.post(kind, payload)
        if self.runtime is not None:
            self.runtime.wake_control_pollers()

    @property
    def _origin(self) -> int:
        return self.runtime.group_commit.origin if self.runtime is not None else 0

    # ---- who may stay ------------------------------------------------------------------------------------------

    def revoke(self, user_id: str, failure: str = "token_invalid") -> None:
        """End all sockets of this user, and let no token count that was issued before now; on every server."""
        at = now_ms()
        self.users.revoke(user_id, at)
        self._post("revoke", {"user_id": user_id, "at": at, "failure": failure})
        if self.runtime is not None:
            self.runtime.revoke(user_id, at, failure)

    def kick(self, username: str) -> None:
        """Close this user's sockets with 4403; a new token lets the user in again. Raises UnknownUser."""
        self.revoke(self._id_of(username), "kicked")

    def ban(self, username: str) -> None:
        """Close this user's sockets with 4403 and let the user in no more. Raises UnknownUser."""
        user_id = self._id_of(username)
        self.users.ban(user_id)
        self._post("ban", {"user_id": user_id})
        self.guard.ban(user_id)
        self.revoke(user_id, "banned")

    def unban(self, username: str) -> None:
        """Let a banned user in again. Raises UnknownUser."""
        user_id = self._id_of(username)
        self.users.unban(user_id)
        self._post("unban", {"user_id": user_id})
        self.guard.unban(user_id)

    def _id_of(self, username: str) -> str:
        user = self.users.by_name(username)
        if user is None:
            raise UnknownUser(username)
        return user.id

    # ---- the end -----------------------------------------------------------------------------------------------

    def begin_drain(self, seconds: float | None = None) -> None:
        """Have everyone closed with 1012 within `seconds` (CHAT_DRAIN_SECONDS) and new sockets refused.

        It returns at once, and is safe in a signal handler.
        """
        if self.runtime is not None:
            self.runtime.begin_drain(seconds)

    def finish_drain(self, seconds: float) -> bool:
        """Wait until everyone has gone, `seconds` after the drain began at the most; True when all have."""
        return self.runtime is None or self.runtime.finish_drain(seconds)

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Close everyone with 1012 and wait until they have gone; True when all have within `seconds`."""
        return self.runtime is None or self.runtime.drain(seconds)

    def drain_at_exit(self) -> None:
        """The fallback of a server that never called `drain`."""
        if self.runtime is not None:
            self.runtime.drain_at_exit()

    # ---- signals -----------------------------------------------------------------------------------------------

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        with self.app.app_context():
            return function(*args)

    def _note(self, identity: Identity) -> None:
        if self.load_claims is not None:
            self.ensure_users(identity)

    def _io_emit(self, namespace: str, room: str | None, said: Prepared, skip: Any) -> None:
        if self.runtime is not None:
            self.runtime.emit(namespace, room, said, skip)
        elif said.buffers:
            raise RuntimeError("Only a serving process can emit bytes.")
        else:
            self._post("io_emit", {"namespace": namespace, "room": room, "said": said.json.decode()})

    def _announce(self, kind: str, **facts: Any) -> None:
        with self.app.app_context():
            _SIGNALS[kind].send(self.app, **facts)


def _instance_database(app: Flask) -> str:
    folder = Path(app.instance_path)
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'chat.db'}"


def _flask_login_identity() -> Identity | None:
    with contextlib.suppress(ImportError):
        from flask_login import current_user

        if hasattr(current_app, "login_manager") and current_user.is_authenticated:
            if not hasattr(current_user, "username"):
                raise TypeError("Your users have no `username`: say who they are with @chat.identity_loader.")
            return Identity(str(current_user.get_id()), str(current_user.username))
    return None
