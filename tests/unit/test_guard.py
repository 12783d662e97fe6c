"""Which tokens are valid, and which origins may connect."""

import time

import pytest

from chat.identity.guard import Guard, now_ms, origin_allowed
from chat.wire.envelope import Identity
from chat.wire.errors import ChatError

ANN = Identity("1", "ann")


@pytest.fixture
def guard():
    """A guard for tokens that are their own claims."""
    return Guard(lambda token: token, lambda claims: Identity(claims["sub"], claims["username"]))


def token(**claims):
    return {"sub": "1", "username": "ann", "iat_ms": 5_000, "exp": 9_000} | claims


def refusal(guard, claims):
    with pytest.raises(ChatError) as refused:
        guard.check(claims)
    return refused.value.code


# -- tokens


def test_a_valid_token_grants_an_identity_and_its_times(guard):
    assert guard.check(token()) == (ANN, 9_000.0, 5_000, "")


def test_a_token_without_exp_never_expires(guard):
    assert guard.check(token(exp=None)).expires == float("inf")


def test_a_token_without_iat_ms_was_issued_in_its_second(guard):
    assert guard.check(token(iat_ms=None, iat=5)).issued == 5_000
    assert guard.check(token(iat_ms="soon", iat=5.5)).issued == 5_500
    assert guard.check(token(iat_ms=None)).issued == 0


def test_a_token_that_cannot_be_decoded_is_refused():
    def decode(_):
        raise ChatError("token_expired")

    assert refusal(Guard(decode, None), token()) == "token_expired"


def test_tokens_issued_before_a_revocation_are_refused(guard):
    guard.revoke("1", 5_001)
    assert refusal(guard, token()) == "token_invalid"
    assert (
        refusal(guard, token(iat_ms=5_001)) == "token_invalid"
    )  # of the same millisecond: it may have been issued before
    assert guard.check(token(iat_ms=5_002)).identity == ANN
    assert guard.check(token(sub="2")).identity.id == "2"


def test_an_earlier_revocation_does_not_undo_a_later_one(guard):
    guard.revoke("1", 6_000)
    guard.revoke("1", 5_000)
    assert refusal(guard, token()) == "token_invalid"


def test_a_banned_user_is_refused_until_unban(guard):
    guard.ban("1")
    assert guard.is_banned("1")
    assert refusal(guard, token(iat_ms=10**15)) == "banned"
    guard.unban("1")
    assert guard.check(token()).identity == ANN


def test_revocations_from_before_the_start_are_loaded(guard):
    guard.load({"1": (6_000, False), "2": (0, True), "3": (0, False)})
    assert refusal(guard, token()) == "token_invalid"
    assert refusal(guard, token(sub="2")) == "banned"
    assert guard.check(token(sub="3")).identity.id == "3"


def test_a_grant_can_be_confirmed_later(guard):
    granted = guard.check(token())
    guard.confirm(granted)
    guard.revoke("1", 5_001)
    with pytest.raises(ChatError, match="token_invalid"):
        guard.confirm(granted)


@pytest.mark.parametrize("user", [{"sub": ""}, {"username": ""}, {"username": "\ud800"}, {"sub": "\ud800"}])
def test_a_user_that_cannot_be_encoded_is_refused(guard, user):
    assert refusal(guard, token(**user)) == "token_invalid"


def test_now_is_in_milliseconds():
    assert abs(now_ms() - time.time() * 1000) < 1_000


# -- origins: (origin, host of the request, allowed, whether it may)

OWN = [
    (None, "chat.example", True),
    ("https://chat.example", "chat.example", True),
    ("http://chat.example", "chat.example", True),
    ("https://CHAT.example", "chat.EXAMPLE", True),
    ("http://chat.example:8000", "chat.example:8000", True),
    ("http://chat.example", "chat.example:80", True),
    ("https://chat.example", "chat.example:443", True),
    ("http://[::1]:8000", "[::1]:8000", True),
    ("https://chat.example:8443", "chat.example", False),
    ("http://chat.example", "chat.example:8000", False),
    ("http://chat.example", "chat.example:443", False),
    ("https://evil.example", "chat.example", False),
    ("https://chat.example.evil.example", "chat.example", False),
    ("https://evilchat.example", "chat.example", False),
    ("https://chat.example@evil.example", "chat.example", False),
    ("https://evil.example/chat.example", "chat.example", False),
    ("null", "chat.example", False),
    ("", "chat.example", False),
    ("file://", "chat.example", False),
    ("https://[bad", "chat.example", False),
    ("https://chat.example:port", "chat.example", False),
    ("https://chat.example:99999", "chat.example", False),
    # a user part, wherever it points
    ("http://chat.example@evil.example", "chat.example", False),
    ("http://user@chat.example", "chat.example", False),
    ("http://user:password@chat.example", "chat.example", False),
    ("http://@chat.example", "chat.example", False),
    # anything after host and port, or odd characters in them
    ("http://chat.example/", "chat.example", False),
    ("http://chat.example?", "chat.example", False),
    ("http://chat.example#", "chat.example", False),
    ("http://chat.example\\@evil.example", "chat.example", False),
    ("http:\\\\chat.example", "chat.example", False),
    ("http:/chat.example", "chat.example", False),
    ("http:chat.example", "chat.example", False),
    ("//chat.example", "chat.example", False),
    ("chat.example", "chat.example", False),
    (" http://chat.example", "chat.example", False),
    ("http://chat.example ", "chat.example", False),
    ("http://chat.example\n", "chat.example", False),
    ("http://ch\tat.example", "chat.example", False),
    ("http://chat%2Eexample", "chat.example", False),
    # several
    ("http://chat.example http://evil.example", "chat.example", False),
    ("http://chat.example, http://evil.example", "chat.example", False),
    ("http://chat.example,http://chat.example", "chat.example", False),
    # a dot at the end makes another host, in browsers too
    ("http://chat.example.", "chat.example", False),
    ("http://chat.example", "chat.example.", False),
    ("http://chat.example.", "chat.example.", True),
    # international names arrive in ASCII
    ("http://xn--bcher-kva.example", "xn--bcher-kva.example", True),
    ("http://b\u00fccher.example", "xn--bcher-kva.example", False),
    ("http://\uff43hat.example", "chat.example", False),
    ("http://chat\u3002example", "chat.example", False),
    # ports
    ("http://chat.example:", "chat.example", False),
    ("http://chat.example:0", "chat.example", False),
    ("http://chat.example:080", "chat.example", False),
    ("http://chat.example:+80", "chat.example", False),
    ("http://chat.example:8_0", "chat.example", False),
    ("http://chat.example:\u0668\u0660", "chat.example", False),
    ("http://chat.example:80", "chat.example", True),
    ("http://chat.example:80:80", "chat.example", False),
    # IPv6
    ("http://[0:0:0:0:0:0:0:1]:8000", "[::1]:8000", True),
    ("http://[::1]", "[::1]", True),
    ("http://[::1]", "[::2]", False),
    ("http://::1", "[::1]", False),
    ("http://[::1%25eth0]", "[::1]", False),
    ("http://[v1.a]", "[v1.a]", False),
    # schemes of which no page of the site comes
    ("ftp://chat.example", "chat.example", False),
    ("ws://chat.example", "chat.example", False),
    ("NULL", "null", False),
    ("HTTPS://CHAT.EXAMPLE", "chat.example", True),
    ("http://evil.example", "evil.example@chat.example", False),
    ("http://chat.example", "", False),
]


@pytest.mark.parametrize(("origin", "host", "may"), OWN)
def test_an_origin_must_have_the_requests_host_and_port(origin, host, may):
    assert origin_allowed(origin, host, ()) is may


ALLOWED = (
    "https://other.example",
    "http://app.example:8080/",
    "capacitor://localhost",
    "https://b\u00fccher.example",
)


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("https://other.example", True),
        ("https://OTHER.example", True),
        ("https://other.example:443", True),
        ("http://app.example:8080", True),
        ("http://other.example", False),
        ("https://other.example:8443", False),
        ("https://sub.other.example", False),
        ("http://app.example", False),
        ("null", False),
        ("https://good@other.example", False),
        ("https://other.example@evil.example", False),
        ("https://other.example/", False),
        ("https://other.example.", False),
        ("capacitor://localhost", True),
        ("capacitor://localhost:80", False),
        ("https://xn--bcher-kva.example", True),
        ("https://b\u00fccher.example", False),
    ],
)
def test_or_be_one_of_the_allowed_origins(origin, may):
    assert origin_allowed(origin, "chat.example", ALLOWED) is may


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://"])
def test_or_be_any_if_the_site_allows_all(origin):
    assert origin_allowed(origin, "chat.example", ("*",))
