"""The chat of one app: `app.extensions["chat"]`. Everything here may be called from any view, thread or script."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask, current_app, has_app_context, has_request_context
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.default_callbacks import default_decode_key_callback
from jwt.exceptions import ExpiredSignatureError

from . import signals
from .auth import Guard, now_ms
from .config import Settings
from .drivers import allocate_lock, make_driver
from .envelope import Identity
from .errors import ChatError
from .handlers import HANDLERS, Handler
from .live import Live, Site
from .metrics import make_registry
from .metrics import serve as serve_metrics
from .store.control import Control
from .store.engine import make_engine
from .store.users import Users
from .tokens import OwnTokens

log = logging.getLogger("chat")

#: Seconds that `drain` waits for the last socket to go, and `roster` for servers to answer.
DRAIN_SECONDS = 2.0
ANSWER_SECONDS = 2.0
#: Bytes that a key for HS256 must have at the least (RFC 7518 section 3.2).
KEY_BYTES = 32
#: Identities of a site's own users that were written to the store already.
KNOWN_IDENTITIES = 10_000

#: flask-jwt-extended's settings under which our own tokens can be recognised without it.
_PLAIN_JWT = {
    "JWT_ALGORITHM": "HS256",
    "JWT_DECODE_ALGORITHMS": None,
    "JWT_DECODE_AUDIENCE": None,
    "JWT_DECODE_ISSUER": None,
    "JWT_DECODE_LEEWAY": 0,
    "JWT_IDENTITY_CLAIM": "sub",
}

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
        self.load_claims: Callable[[Mapping[str, Any]], Identity] = self._own_claims
        #: The site has its own users in its own JWTs: their rows are made when they come.
        self.has_own_users = False
        self.guard = Guard(self._decode, self._identify)
        self._site = Site(self.guard, self.control, self._announce, self._listens)
        self._live: Live | None = None
        self._current: Process | None = None
        self._lock = allocate_lock()
        self._own: tuple[Any, OwnTokens | None] | None = None
        self._known: set[Identity] = set()
        #: What Prometheus reads, of this app alone.
        self.metrics_registry = make_registry(lambda: self.live)
        self._derives_key = _set_up_tokens(app)
        self._derive_key()

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
            serve_metrics(self.metrics_registry, self.settings.metrics_port)
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

    # ---- tokens ------------------------------------------------------------------------------------------------

    def token_for(self, identity: Identity, ttl: float | None = None) -> str:
        """Return a JWT that lets `identity` into the chat for `ttl` seconds (CHAT_TOKEN_TTL)."""
        self._derive_key()
        claims = {
            self.app.config["JWT_IDENTITY_CLAIM"]: identity.id,
            "username": identity.username,
            "iat_ms": now_ms(),
        }
        with self.app.app_context():
            # A site's own user_identity_loader gets something with an id, as from its users; our claim holds.
            return create_access_token(
                identity,
                additional_claims=claims,
                expires_delta=timedelta(seconds=self.settings.token_ttl if ttl is None else ttl),
            )

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

    def _decode(self, token: str) -> Mapping[str, Any]:
        own = self._own_tokens()
        claims = own.claims(token, time.time()) if own is not None else None
        return claims if claims is not None else self._decode_any(token)

    def _derive_key(self) -> None:
        """Make a proper key for tokens of the secret, once there is one: a site may set it after Chat(app)."""
        config = self.app.config
        secret = config.get("JWT_SECRET_KEY") or os.environ.get("JWT_SECRET_KEY") or config.get("SECRET_KEY")
        if self._derives_key and secret:
            config["JWT_SECRET_KEY"] = _proper_key(secret)
            self._derives_key = False

    def _own_tokens(self) -> OwnTokens | None:
        """Return what recognises our own tokens; None where the site configured JWTs in a way that it cannot know."""
        self._derive_key()
        config = self.app.config
        key = config.get("JWT_SECRET_KEY")
        if self._own is None or self._own[0] != key:
            plain = all(config.get(name) == value for name, value in _PLAIN_JWT.items())
            default_key = (
                self.app.extensions["flask-jwt-extended"]._decode_key_callback is default_decode_key_callback
            )
            self._own = (key, OwnTokens(key) if key and plain and default_key else None)
        return self._own[1]

    def _decode_any(self, token: str) -> Mapping[str, Any]:
        with self._context():
            try:
                claims = decode_token(token)
            except ExpiredSignatureError:
                raise ChatError("token_expired") from None
            except Exception:  # whatever PyJWT or flask-jwt-extended raise, it is not a token of ours
                raise ChatError("token_invalid") from None
        if claims.get("type") != "access":
            raise ChatError("token_invalid")
        return claims

    def _identify(self, claims: Mapping[str, Any]) -> Identity:
        try:
            # The chat's own tokens, which carry iat_ms, are no business of a site's claims loader.
            if "iat_ms" in claims:
                return self._own_claims(claims)
            with self._context():
                identity = self.load_claims(claims)
            return Identity(str(identity.id), str(identity.username))
        except Exception as error:
            log.warning("a token with a good signature names nobody: %s", type(error).__name__)
            raise ChatError("token_invalid") from None

    def _context(self) -> contextlib.AbstractContextManager[Any]:
        """Enter the app's context, unless the caller is in it already."""
        if has_app_context() and current_app == self.app:
            return contextlib.nullcontext()
        return self.app.app_context()

    def _own_claims(self, claims: Mapping[str, Any]) -> Identity:
        username = claims["username"]
        if not isinstance(username, str):
            raise TypeError("a user's name is text")
        return Identity(str(claims[self.app.config["JWT_IDENTITY_CLAIM"]]), username)

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

    def _listens(self, kind: str) -> bool:
        return bool(_SIGNALS[kind].receivers)

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


def _set_up_tokens(app: Flask) -> bool:
    """See to it that flask-jwt-extended is there; tell whether it is ours, so that its key is ours to make too."""
    if not app.config.get("SECRET_KEY"):
        app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY")
    if "flask-jwt-extended" in app.extensions:
        return False
    JWTManager(app)
    return not app.config.get("JWT_PRIVATE_KEY")


def _proper_key(secret: str | bytes) -> str | bytes:
    raw = secret.encode() if isinstance(secret, str) else secret
    if len(raw) >= KEY_BYTES:
        return secret
    return hmac.new(raw, b"flask-chat JWT key", hashlib.sha256).hexdigest()
