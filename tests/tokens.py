"""Tokens for users who need no row in the store, good ones and bad ones; signed here, not by what is under test."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from uuid import uuid4

from tests.servers import SECRET

DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def claims(username, /, ttl=900, **others):
    """What a token of `username` says; its id is "id-" and the name. Others are set or, with None, taken away."""
    now = time.time()
    said = {
        "fresh": False,
        "iat": int(now),
        "jti": uuid4().hex,
        "type": "access",
        "sub": f"id-{username}",
        "nbf": int(now),
        "exp": int(now) + ttl,
        "username": username,
        "iat_ms": int(now * 1000),
    }
    return {name: value for name, value in {**said, **others}.items() if value is not None}


def token(username, /, ttl=900, *, key=SECRET, algorithm="HS256", **others):
    """A JWT signed with the servers' own key, unless told otherwise."""
    return sign({"alg": algorithm, "typ": "JWT"}, claims(username, ttl, **others), key)


def sign(header, body, key=SECRET):
    """A JWT of this header, which is believed about the algorithm; one of none has no signature."""
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(body).encode())}"
    if header["alg"] not in DIGESTS:
        return f"{signed}."
    return f"{signed}.{encode(hmac.digest(key.encode(), signed.encode(), DIGESTS[header['alg']]))}"


def encode(raw):
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
