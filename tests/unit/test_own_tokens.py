"""OwnTokens accepts nothing that flask-jwt-extended would refuse."""

import json
import time

import jwt
import pytest
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token
from hypothesis import given
from hypothesis import strategies as st

from chat.identity.tokens import HEADER, OwnTokens

KEY = "k" * 40
NOW = time.time()
CLAIMS = {
    "sub": "1",
    "username": "ann",
    "type": "access",
    "jti": "j",
    "fresh": False,
    "iat": int(NOW) - 10,
    "nbf": int(NOW) - 10,
    "exp": int(NOW) + 600,
    "iat_ms": int(NOW * 1000) - 10_000,
}
own = OwnTokens(KEY)


@pytest.fixture(scope="module")
def app():
    app = Flask(__name__)
    app.config["JWT_SECRET_KEY"] = KEY
    JWTManager(app)
    return app


def signed(claims, key=KEY, **options):
    return jwt.encode(claims, key, **options)


def test_an_issued_token_is_recognised(app):
    with app.app_context():
        token = create_access_token("1", additional_claims={"username": "ann", "iat_ms": 5})
        assert own.claims(token, time.time()) == decode_token(token)
    assert token.startswith(HEADER + ".")


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(NOW) - 1},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"nbf": int(NOW) + 60},
        {"iat": int(NOW) + 60},
        {"type": "refresh"},
        {"type": None},
        {"iat_ms": None},
        {"iat_ms": "5"},
    ],
    ids="over endless exp-text exp-true nbf-later iat-later refresh no-type no-iat_ms iat_ms-text".split(),
)
def test_other_claims_are_left_to_the_library(changed):
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    # PyJWT would not sign some of these, so the parts are joined by hand.
    api = jwt.PyJWS()
    token = api.encode(json.dumps(claims).encode(), KEY, algorithm="HS256")
    assert own.claims(token, NOW) is None


def test_a_token_with_another_signature_is_not_recognised(app):
    with app.app_context():
        assert own.claims(create_refresh_token("1"), time.time()) is None
    assert own.claims(signed(CLAIMS, "x" * 40), NOW) is None
    assert own.claims(signed(CLAIMS, algorithm="HS512", key="k" * 64), NOW) is None
    assert own.claims(signed(CLAIMS, None, algorithm="none"), NOW) is None


def test_an_empty_signature_or_another_header_is_not_recognised():
    header, body, signature = signed(CLAIMS).split(".")
    none = signed(CLAIMS, None, algorithm="none").split(".")[0]
    for token in (
        f"{header}.{body}.",
        f"{none}.{body}.{signature}",
        f"{header}.{body}",
        f".{header}.{body}.{signature}",
        "",
    ):
        assert own.claims(token, NOW) is None


@given(st.data())
def test_a_token_with_one_changed_character_is_not_recognised(data):
    token = signed(CLAIMS)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[at]))
    assert own.claims(token[:at] + other + token[at + 1 :], NOW) is None


@given(st.text())
def test_no_text_raises(text):
    assert own.claims(text, NOW) is None
    assert own.claims(f"{HEADER}.{text}", NOW) is None
