"""The fast check of tokens that the chat issued itself: one HMAC (docs/decisions/0005).

It only accepts, and never refuses: flask-jwt-extended decides about every token that it does not recognise.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Any

import orjson

#: The header of every token that the chat issues, as PyJWT writes it. No part of a token chooses how it is checked.
HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
_TIMES = ("nbf", "iat", "exp", "iat_ms")


class OwnTokens:
    """Recognises unexpired access tokens signed with `key` by HS256 (RFC 7519; RFC 7518 section 3.2)."""

    def __init__(self, key: str | bytes) -> None:
        self._key = key.encode() if isinstance(key, str) else key

    def claims(self, token: str, now: float) -> dict[str, Any] | None:
        """Return the claims of a token that the chat issued and that is valid at `now` (Unix seconds), else None."""
        signed, _, signature = token.rpartition(".")
        header, _, body = signed.partition(".")
        if header != HEADER or not token.isascii() or not self._signed(signed, signature):
            return None
        claims = _read(body)
        return claims if claims is not None and _is_valid(claims, now) else None

    def _signed(self, signed: str, signature: str) -> bool:
        expected = urlsafe_b64encode(hmac.digest(self._key, signed.encode(), "sha256")).rstrip(b"=")
        return hmac.compare_digest(expected, signature.encode())


def _read(body: str) -> dict[str, Any] | None:
    try:
        claims = orjson.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (Base64Error, ValueError):
        return None
    return claims if type(claims) is dict else None


def _is_valid(claims: dict[str, Any], now: float) -> bool:
    """Return whether these are claims as `token_for` writes them, and valid at `now`."""
    if claims.get("type") != "access" or not all(type(claims.get(name)) is int for name in _TIMES):
        return False
    return claims["nbf"] <= now and claims["iat"] <= now < claims["exp"]
