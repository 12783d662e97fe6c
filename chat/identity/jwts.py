"""JWTs (RFC 7519) as flask-jwt-extended issues and validates them, with a key of sufficient length."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from flask import Flask, current_app, has_app_context
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.default_callbacks import default_decode_key_callback
from jwt.exceptions import ExpiredSignatureError

from ..wire.envelope import Identity
from ..wire.errors import ChatError
from .guard import now_ms
from .tokens import OwnTokens

#: Minimum length of a key for HS256 in bytes (RFC 7518 section 3.2).
KEY_BYTES = 32

#: The claim of the chat's own tokens that names their site. Not `aud` or `iss`: a site may have both decided already.
SITE_CLAIM = "chat_site"

#: The name of flask-jwt-extended in `app.extensions`.
_EXTENSION = "flask-jwt-extended"

#: flask-jwt-extended's settings under which the chat's own tokens can be recognised without it.
_PLAIN = {
    "JWT_ALGORITHM": "HS256",
    "JWT_DECODE_ALGORITHMS": None,
    "JWT_DECODE_AUDIENCE": None,
    "JWT_DECODE_ISSUER": None,
    "JWT_DECODE_LEEWAY": 0,
    "JWT_IDENTITY_CLAIM": "sub",
}


class Tokens:
    """Issues and decodes the tokens of one app. A JWTManager that the site has created is used unchanged.

    The site may create it after the chat, so the chat looks for it at the first token, and creates one only then.
    `site` returns what names this site in the chat's tokens: they count at no other site that has the same secret.
    """

    def __init__(self, app: Flask, site: Callable[[], str]) -> None:
        self._app = app
        self._site = site
        self._own: tuple[Any, Any, OwnTokens | None] | None = None
        self._has_key = False
        if not app.config.get("SECRET_KEY"):
            app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY")

    def issue(self, identity: Identity, ttl: float, sid: str = "", issued_ms: int | None = None) -> str:
        """Return an access token for `identity` that is valid for `ttl` seconds, and ends with the session `sid`.

        `issued_ms` is the time at which it counts as issued where revocations are concerned: now by default.
        """
        self._prepare()
        claims = {
            self._app.config["JWT_IDENTITY_CLAIM"]: identity.id,
            "username": identity.username,
            "iat_ms": now_ms() if issued_ms is None else issued_ms,
            SITE_CLAIM: self._site(),
        } | ({"sid": sid} if sid else {})
        with self._app.app_context():
            # A site's own user_identity_loader gets an object with an id; the claim above overrides its result.
            return create_access_token(
                identity, additional_claims=claims, expires_delta=timedelta(seconds=ttl)
            )

    def decode(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a valid access token; raise ChatError: token_expired or token_invalid."""
        own = self._own_tokens()
        recognised = own.claims(token, time.time()) if own is not None else None
        claims = recognised if recognised is not None else self._decode_any(token)
        self._check_site(claims)
        return claims

    def _check_site(self, claims: Mapping[str, Any]) -> None:
        """Raise ChatError for a token of another site's chat.

        Tokens without the claim count: those that the site issued itself, and those from before the chat wrote it.
        """
        named = claims.get(SITE_CLAIM)
        if named is not None and named != self._site():
            raise ChatError("token_invalid")

    def identity_of(self, claims: Mapping[str, Any]) -> Identity:
        """Return the user of a token that the chat issued; raise KeyError or TypeError if its claims name none."""
        username = claims["username"]
        if not isinstance(username, str):
            raise TypeError("username is not a string")
        return Identity(str(claims[self._app.config["JWT_IDENTITY_CLAIM"]]), username)

    def derive(self, purpose: str) -> bytes:
        """Derive a key for another purpose from this app's secret; a random key if the app has no secret."""
        self._prepare()
        config = self._app.config
        secret = config.get("JWT_SECRET_KEY") or config.get("SECRET_KEY") or config.get("JWT_PRIVATE_KEY")
        if not secret:
            return os.urandom(KEY_BYTES)
        raw = secret.encode() if isinstance(secret, str) else secret
        return hmac.digest(raw, purpose.encode(), "sha256")

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context manager that enters the app's context, unless the caller is in it already."""
        if has_app_context() and current_app == self._app:
            return contextlib.nullcontext()
        return self._app.app_context()

    def _decode_any(self, token: str) -> Mapping[str, Any]:
        with self.context():
            try:
                claims = decode_token(token)
            except ExpiredSignatureError:
                raise ChatError("token_expired") from None
            except Exception:  # whatever PyJWT or flask-jwt-extended raise, the token is invalid
                raise ChatError("token_invalid") from None
        if claims.get("type") != "access":
            raise ChatError("token_invalid")
        return claims

    def _own_tokens(self) -> OwnTokens | None:
        """Return the fast check of the chat's own tokens; None if the site's JWT settings differ from the defaults."""
        self._prepare()
        config, manager = self._app.config, self._app.extensions[_EXTENSION]
        key = config.get("JWT_SECRET_KEY")
        if self._own is None or self._own[0] is not manager or self._own[1] != key:
            plain = all(config.get(name) == value for name, value in _PLAIN.items())
            default_key = manager._decode_key_callback is default_decode_key_callback
            self._own = (manager, key, OwnTokens(key) if key and plain and default_key else None)
        return self._own[2]

    def _prepare(self) -> None:
        """Use the site's JWTManager, else create one, with a key of sufficient length once there is a secret."""
        if self._has_key:
            return
        if _EXTENSION not in self._app.extensions:
            _install_manager(self._app)
        elif not isinstance(self._app.extensions[_EXTENSION], _ChatManager):
            self._has_key = True  # whatever the site signs with
            return
        self._derive_key()

    def _derive_key(self) -> None:
        """Derive the tokens' key from the secret as soon as there is one: a site may set it after Chat(app)."""
        config = self._app.config
        secret = config.get("JWT_SECRET_KEY") or os.environ.get("JWT_SECRET_KEY") or config.get("SECRET_KEY")
        if config.get("JWT_PRIVATE_KEY"):
            self._has_key = True
        elif secret:
            config["JWT_SECRET_KEY"] = _long_key(secret)
            self._has_key = True


class _ChatManager(JWTManager):
    """The manager of a site that has none of its own."""


def _install_manager(app: Flask) -> None:
    # Not JWTManager(app): it adds error handlers, which Flask refuses once the app has served a request.
    manager = _ChatManager()
    manager._set_default_configuration_options(app)
    app.extensions[_EXTENSION] = manager


def _long_key(secret: str | bytes) -> str | bytes:
    raw = secret.encode() if isinstance(secret, str) else secret
    if len(raw) >= KEY_BYTES:
        return secret
    return hmac.new(raw, b"flask-chat JWT key", hashlib.sha256).hexdigest()
