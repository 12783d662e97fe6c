"""Who a request or a token belongs to: the site's loaders, the chat's tokens, rows for the site's own users."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, current_app

from ..identity.guard import KEEP_SESSIONS_MS, Guard
from ..identity.jwts import Tokens
from ..identity.names import SITE_MAX_CHARS, BadName, check_site_name
from ..wire.envelope import Identity
from .bad_identity import BadIdentity
from .stores import Stores

log = logging.getLogger("flask_chat")

#: Identities that this process remembers to have a row in the users' table.
MAX_ENSURED = 10_000


class Identities:
    """Names the users of one app."""

    def __init__(self, app: Flask, stores: Stores, token_ttl: int) -> None:
        self._stores = stores
        # Not a set: one of 5,000 takes 105 bytes an entry, a dict 29.
        self._ensured: dict[Identity, None] = {}
        #: Kinds of faults, and the difference of ids, that the log has been told of.
        self._logged: set[str] = set()
        self.tokens = Tokens(app, lambda: stores.site)
        self.guard = Guard(self.tokens.decode, self._identify, max(KEEP_SESSIONS_MS, token_ttl * 1000))
        #: Returns who is logged in on the current request, or None.
        self.load_identity: Callable[[], Identity | None] = self._flask_login_identity
        #: Makes an Identity of the claims of a site's own JWT; None where all tokens are the chat's.
        self.load_claims: Callable[[Mapping[str, Any]], Identity] | None = None

    def current(self) -> Identity | None:
        """Return who is logged in to the site on this request, with the id and the name as text.

        Raises BadIdentity where the site's loader returned something that cannot be used; the log says so once.
        """
        with self._logging_faults():
            identity = self.load_identity()
            return None if identity is None else self._checked(identity, self._loader_name())

    def claim_name(self, identity: Identity) -> None:
        """Create or rename this user's row; raise BadIdentity if another user has exactly this name."""
        if identity in self._ensured:
            return
        holder = self._stores.open().users.claim(identity)
        if holder is not None:
            with self._logging_faults():
                raise BadIdentity(
                    "name_duplicate", self._loader_name(), value=repr(holder.username), other=holder.id
                )
        self._remember(identity)

    def ensure_users(self, *identities: Identity) -> None:
        """Create rows for users who have none: direct messages, kicks and bans reach only users with a row."""
        fresh = [identity for identity in identities if identity not in self._ensured]
        if not fresh:
            return
        self._stores.open().users.ensure_many(fresh)
        self._remember(*fresh)

    def _remember(self, *identities: Identity) -> None:
        if len(self._ensured) >= MAX_ENSURED:
            self._ensured.clear()
        self._ensured.update(dict.fromkeys(identities))

    def ensure_site_user(self, identity: Identity) -> None:
        """Create a row for a user whose token the site may have issued itself."""
        if self.load_claims is not None:
            self.ensure_users(identity)

    def rename(self, identity: Identity) -> None:
        """Give this user the name, and take it from any other user of the site."""
        self._ensured.clear()
        self._stores.open().users.rename(identity)

    def site_id(self, user: Any) -> str | None:
        """Return the chat's id of a user object of Flask-Login; None where the site's own loader chooses the ids."""
        return user_id_of(user) if self.load_identity == self._flask_login_identity else None

    def _identify(self, claims: Mapping[str, Any]) -> Identity:
        # Only the chat's own tokens carry iat_ms: a site's claims loader does not see them.
        if self.load_claims is None or "iat_ms" in claims:
            return self.tokens.identity_of(claims)
        with self.tokens.context(), self._logging_faults():
            return self._checked(self.load_claims(claims), _called("claims loader", self.load_claims))

    def _checked(self, identity: Any, loader: str) -> Identity:
        """Return an identity with text in it; raise BadIdentity for one that cannot be used."""
        try:
            id, username = identity.id, identity.username
        except AttributeError:
            raise BadIdentity("not_identity", loader, value=type(identity).__name__) from None
        if id is None or not str(id).strip():
            raise BadIdentity("no_id", loader, value=repr(id))
        if username is None:
            raise BadIdentity("no_username", loader, value="None", other=id)
        try:
            check_site_name(str(username))
        except BadName as error:
            raise BadIdentity(
                error.code, loader, value=_shown(str(username), error.code), other=id, most=SITE_MAX_CHARS
            ) from None
        return Identity(str(id), str(username))

    def _loader_name(self) -> str:
        if self.load_identity == self._flask_login_identity:
            return "default loader (Flask-Login's current_user)"
        return _called("identity loader", self.load_identity)

    @contextlib.contextmanager
    def _logging_faults(self) -> Any:
        """Log the first fault of each kind, and raise it again."""
        try:
            yield
        except BadIdentity as error:
            self._log_once(logging.ERROR, error.code, str(error))
            raise

    def _log_once(self, level: int, kind: str, sentence: str) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            log.log(level, "%s", sentence)

    def _flask_login_identity(self) -> Identity | None:
        """Return Flask-Login's current user, if there is one; raise BadIdentity for one without a username."""
        if not hasattr(current_app, "login_manager"):
            return None
        from flask_login import current_user

        if not current_user.is_authenticated:
            return None
        user = current_user._get_current_object()
        id = user_id_of(user)
        if id != str(user.get_id()):
            self._log_once(logging.WARNING, "get_id", _OTHER_ID)
        if not hasattr(user, "username"):
            raise BadIdentity(
                "no_username",
                self._loader_name(),
                value=f"{type(user).__name__} has no attribute username",
                other=id,
            )
        return Identity(id, user.username)


_OTHER_ID = (
    "the chat uses your users' primary key as their id, not get_id(), which differs: a get_id() that changes with the "
    "password would make another user. To use another id, return an Identity from @chat.identity_loader."
)


def user_id_of(user: Any) -> str:
    """Return the primary key of a Flask-Login user as text: SQLAlchemy's, else `user.id`, else `get_id()`."""
    state = getattr(user, "_sa_instance_state", None)
    key: tuple[Any, ...] = getattr(state, "identity", None) or ()
    id = key[0] if len(key) == 1 else getattr(user, "id", None)
    return str(user.get_id() if id is None else id)


def _called(kind: str, loader: Callable[..., Any]) -> str:
    name = getattr(loader, "__qualname__", type(loader).__qualname__)
    return f"{kind} {getattr(loader, '__module__', '')}.{name}"


def _shown(name: str, code: str) -> str:
    """Return what a sentence shows of a bad name: its length, or the character that it cannot hold."""
    if code == "name_too_long":
        return str(len(name))
    return next((f"U+{ord(char):04X}" for char in name if not char.isprintable()), "")
