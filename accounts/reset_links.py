"""Links by which users who have forgotten their password choose a new one: each works once, and for some hours.

A link's key is signed, and names the user, its end, and the state that the new password changes: so nothing is stored,
and a link is worth nothing once it was used, or once the password was changed in another way.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from flask import current_app, url_for
from itsdangerous import BadData, URLSafeSerializer

from chat import Identity, User


def make(user: Identity, hours: float) -> str:
    """Return the address at which this user may choose a new password, once, for `hours`; needs a request.

    The key is in the query, which no log keeps.
    """
    known = current_app.extensions["chat"].users.get(user.id)
    key = _serializer().dumps([user.id, int(time.time() + hours * 3600), _state(known)])
    return url_for("accounts.reset_password", key=key, _external=True)


def user_of(key: str) -> User | None:
    """Return the user whose link has this key; None for a key that is wrong, too old or used."""
    try:
        user_id, end, state = _serializer().loads(key)
    except BadData:
        return None
    user = current_app.extensions["chat"].users.get(user_id)
    if user is None or user.banned or time.time() > end or not hmac.compare_digest(state, _state(user)):
        return None
    return user


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key, salt="flask-chat new password")


def _state(user: User) -> str:
    """Return a hash of the site, the password's hash, and the time of the last log-out everywhere."""
    site = current_app.extensions["chat"].stores.site
    seen = f"{site} {user.id} {user.password_hash} {user.tokens_valid_after}"
    return hashlib.sha256(seen.encode()).hexdigest()[:32]
