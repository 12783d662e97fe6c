"""The chat of one app: `app.extensions["chat"]`. Everything here may be called from any view, thread or script."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask, current_app, has_request_context

from . import metrics, signals
from .auth import Guard, now_ms
from .config import Settings
from .drivers import allocate_lock, make_driver
from .envelope import Identity
from .handlers import HANDLERS, Handler
from .jwts import Tokens
from .live import Live, Site
from .socketio.io import IO
from .socketio.packets import Prepared
from .socketio.registry import Registry
from .store.control import Control
from .store.engine import make_engine
from .store.users import Users

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


class Process:
    """What a process needs before its first socket."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.driver = make_driver()
        #: Held while the running part is made, which waits for the database.
        self.starting = self.driver.allocate_waiting_lock()


class ChatState:
    """Settings, users, tokens and, once a socket came, the running part of one app's chat."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.database_url = settings.database_url or _instance_database(app)
        engine = make_engine(self.database_url)
        #: Users and the control table; each call is one transaction, off the event loop.
        self.users = Users(engine, self.run_blocking)
        self.control = Control(engine, self.run_blocking)
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
            self.guard, self.control, self._announce, receivers, self._call, self._note, self.events
        )
        #: The site's own events over Socket.IO.
        self.io = IO(lambda: [self.events], self._io_emit)
        self._live: Live | None = None
        self._current: Process | None = None
        self._lock = allocate_lock()
        self._known: set[Identity] = set()

    @cached_property
    def metrics_registry(self) -> metrics.CollectorRegistry:
        """What Prometheus reads, of this app alone."""
        return metrics.make_registry(lambda: self.live)

    # ---- the running part --------------------------------------------------------------------------------------

    @property
    def live(self) -> Live | None:
        """The running part in this process, None before its first socket."""
        live = self._live
        return live if live is not None and live.pid == os.getpid() else None

    def start(self) -> Live:
        """Return the running part, made now if this process had none; not from a tick."""
        live = self.live
        if live is None:
            with self._process().starting:
                live = self.live or self._make_live()
        return live

    def _make_live(self) -> Live:
        last = self.control.last_id()
        self.guard.load(self.users.revocations())
        if self.settings.metrics_port:
            metrics.serve(self.metrics_registry, self.settings.metrics_port)
        live = self._live = Live(self.settings, self._site, self.handlers, last)
        return live

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

    def remember(self, identity: Identity) -> None:
        """See to it that a site's own user has a row, so that it can be kicked and banned by name."""
        if identity in self._known:
            return
        self.users.ensure(identity)
        if len(self._known) >= KNOWN_IDENTITIES:
            self._known.clear()
        self._known.add(identity)

    def _identify(self, claims: Mapping[str, Any]) -> Identity:
        # The chat's own tokens, which carry iat_ms, are no business of a site's claims loader.
        if self.load_claims is None or "iat_ms" in claims:
            return self._tokens.identity_of(claims)
        with self._tokens.context():
            return self.load_claims(claims)

    # ---- what a site says --------------------------------------------------------------------------------------

    def send(self, room: str, text: str) -> None:
        """Say `text` in `room` as the house: here if this process serves, else through the control table."""
        self._check_text(text)
        if self.live is not None:
            self.live.send(room, text)
        else:
            self.control.post("send", {"room": room, "text": text})

    def direct(self, to: str, text: str) -> None:
        """Say `text` to the user named `to`, as the house."""
        self._check_text(text)
        if self.live is not None:
            self.live.direct(to, text)
        else:
            self.control.post("direct", {"to": to, "text": text})

    def _check_text(self, text: str) -> None:
        if not isinstance(text, str) or len(text) > self.settings.max_message_chars:
            raise ValueError(f"A message is text of at most {self.settings.max_message_chars} characters.")

    def roster(self, room: str = "lobby") -> list[Identity]:
        """Return the users in `room`: of this process if it serves, else of the servers that answer in 2 s."""
        if self.live is not None:
            return self.live.roster(room)
        if has_request_context():
            return []
        return self.ask_roster(room) or []

    def ask_roster(self, room: str) -> list[Identity] | None:
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

    # ---- who may stay ------------------------------------------------------------------------------------------

    def revoke(self, user_id: str, failure: str = "token_invalid") -> None:
        """End all sockets of this user, and let no token count that was issued before now; on every server."""
        at = now_ms()
        self.users.revoke(user_id, at)
        self.control.post("revoke", {"user_id": user_id, "at": at, "failure": failure})
        if self.live is not None:
            self.live.revoke(user_id, at, failure)

    def kick(self, username: str) -> None:
        """Close this user's sockets with 4403; a new token lets the user in again. Raises UnknownUser."""
        self.revoke(self._id_of(username), "kicked")

    def ban(self, username: str) -> None:
        """Close this user's sockets with 4403 and let the user in no more. Raises UnknownUser."""
        user_id = self._id_of(username)
        self.users.ban(user_id)
        self.control.post("ban", {"user_id": user_id})
        self.guard.ban(user_id)
        self.revoke(user_id, "banned")

    def unban(self, username: str) -> None:
        """Let a banned user in again. Raises UnknownUser."""
        user_id = self._id_of(username)
        self.users.unban(user_id)
        self.control.post("unban", {"user_id": user_id})
        self.guard.unban(user_id)

    def _id_of(self, username: str) -> str:
        user = self.users.by_name(username)
        if user is None:
            raise UnknownUser(username)
        return user.id

    # ---- the end -----------------------------------------------------------------------------------------------

    def begin_drain(self) -> None:
        """Have everyone closed with 1012 and new sockets refused; returns at once, safe in a signal handler."""
        if self.live is not None:
            self.live.begin_drain()

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Close everyone with 1012 and wait until they have gone; True when all have within `seconds`."""
        return self.live is None or self.live.drain(seconds)

    def drain_at_exit(self) -> None:
        """The fallback of a server that never called `drain`."""
        if self.live is not None:
            self.live.drain_at_exit()

    # ---- signals -----------------------------------------------------------------------------------------------

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        with self.app.app_context():
            return function(*args)

    def _note(self, identity: Identity) -> None:
        if self.load_claims is not None:
            self.remember(identity)

    def _io_emit(self, namespace: str, room: str | None, said: Prepared, skip: Any) -> None:
        if self.live is not None:
            self.live.io.run(self.live.io.rooms.emit, namespace, room, said, skip)
        elif said.buffers:
            raise RuntimeError("Only a serving process can emit bytes.")
        else:
            self.control.post("io_emit", {"namespace": namespace, "room": room, "said": said.json.decode()})

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
