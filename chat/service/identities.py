"""Who a request or a token belongs to: the site's loaders, the chat's tokens, rows for the site's own users."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, current_app

from ..identity.guard import KEEP_SESSIONS_MS, Guard
from ..identity.jwts import Tokens
from ..wire.envelope import Identity
from .stores import Stores

#: Identities that this process remembers to have a row in the users' table.
MAX_ENSURED = 10_000


class Identities:
    """Names the users of one app."""

    def __init__(self, app: Flask, stores: Stores, token_ttl: int) -> None:
        self._stores = stores
        # Not a set: one of 5,000 takes 105 bytes an entry, a dict 29.
        self._ensured: dict[Identity, None] = {}
        self.tokens = Tokens(app)
        self.guard = Guard(self.tokens.decode, self._identify, max(KEEP_SESSIONS_MS, token_ttl * 1000))
        #: Returns who is logged in on the current request, or None.
        self.load_identity: Callable[[], Identity | None] = flask_login_identity
        #: Makes an Identity of the claims of a site's own JWT; None where all tokens are the chat's.
        self.load_claims: Callable[[Mapping[str, Any]], Identity] | None = None

    def current(self) -> Identity | None:
        """Return who is logged in to the site on this request, with the id and the name as text."""
        identity = self.load_identity()
        return None if identity is None else Identity(str(identity.id), str(identity.username))

    def ensure_users(self, *identities: Identity) -> None:
        """Create rows for users who have none: direct messages, kicks and bans reach only users with a row."""
        fresh = [identity for identity in identities if identity not in self._ensured]
        if not fresh:
            return
        self._stores.open().users.ensure_many(fresh)
        if len(self._ensured) >= MAX_ENSURED:
            self._ensured.clear()
        self._ensured.update(dict.fromkeys(fresh))

    def ensure_site_user(self, identity: Identity) -> None:
        """Create a row for a user whose token the site may have issued itself."""
        if self.load_claims is not None:
            self.ensure_users(identity)

    def _identify(self, claims: Mapping[str, Any]) -> Identity:
        # Only the chat's own tokens carry iat_ms: a site's claims loader does not see them.
        if self.load_claims is None or "iat_ms" in claims:
            return self.tokens.identity_of(claims)
        with self.tokens.context():
            return self.load_claims(claims)


def user_id_of(user: Any) -> str:
    """Return the chat's id for a user object of Flask-Login."""
    return str(user.get_id())


def flask_login_identity() -> Identity | None:
    """Return Flask-Login's current user, where the site uses Flask-Login; TypeError for users without a username."""
    with contextlib.suppress(ImportError):
        from flask_login import current_user

        if hasattr(current_app, "login_manager") and current_user.is_authenticated:
            if not hasattr(current_user, "username"):
                raise TypeError(
                    "Your users have no `username`: return an Identity from @chat.identity_loader."
                )
            return Identity(str(current_user.get_id()), str(current_user.username))
    return None
