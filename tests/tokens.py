"""Valid and invalid tokens, for users without a row in the store; signed here, not by the code under test."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from uuid import uuid4

#: The SECRET_KEY of the servers under test.
SECRET = "test-secret-test-secret-test-secret-0123456789"
DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def claims(username, /, ttl=900, **changes):
    """The claims of a token of `username`, whose id is "id-" plus the name. `changes` set claims; None removes one."""
    now = time.time()
    usual = {
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
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def token(username, /, ttl=900, *, key=SECRET, algorithm="HS256", **changes):
    """A JWT, by default signed with the servers' own key."""
    return sign({"alg": algorithm, "typ": "JWT"}, claims(username, ttl, **changes), key)


def sign(header, body, key=SECRET):
    """A JWT with this header, signed with the algorithm that it names; with "none" it has no signature."""
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(body).encode())}"
    if header["alg"] not in DIGESTS:
        return f"{signed}."
    return f"{signed}.{encode(hmac.digest(key.encode(), signed.encode(), DIGESTS[header['alg']]))}"


def encode(raw):
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
