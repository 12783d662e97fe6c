"""Who comes in: tokens good and bad, their end and their renewal, and the pages that may connect."""

import json
import time

import pytest

from tests.integration.named_clients import entering, names_in, settle, wait_for_users
from tests.servers import Server
from tests.tokens import claims, sign, token
from tests.wsclient import Refused, text_frame

QUICK = {"CHAT_RATE_LIMIT": "0", "CHAT_ROSTER_GRACE": "0.2", "CHAT_ALLOWED_ORIGINS": "https://friend.example"}
#: Seconds within which a token's end must have reached its socket.
END = 2.0


@pytest.fixture(scope="module")
def site():
    with Server("gunicorn-gevent", QUICK) as server:
        yield server


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


# -- bad tokens


def tampered(name):
    """Somebody's good token whose claims were changed afterwards."""
    head, _, signature = token("honest").split(".")
    return f"{head}.{token(name).split('.')[1]}.{signature}"


def embedded_key(name):
    """A token that brings the key it was signed with."""
    header = {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": "a2tr"}, "kid": "/dev/null"}
    return sign(header, claims(name), key="kkk")


BAD = {
    "expired": (lambda name: token(name, ttl=-1), "token_expired"),
    "long expired": (lambda name: token(name, ttl=-100_000), "token_expired"),
    "missing": (lambda name: None, "token_invalid"),
    "empty": (lambda name: "", "token_invalid"),
    "garbage": (lambda name: "garbage", "token_invalid"),
    "three garbage parts": (lambda name: "a.b.c", "token_invalid"),
    "dots": (lambda name: "..", "token_invalid"),
    "not ascii": (lambda name: "%E4%BD%A0.%00.%FF", "token_invalid"),
    "very long": (lambda name: "x" * 3_500, "token_invalid"),
    "signed by another": (
        lambda name: token(name, key="another secret, and long enough too"),
        "token_invalid",
    ),
    "signed with nothing": (lambda name: token(name, key=""), "token_invalid"),
    "alg none": (lambda name: token(name, algorithm="none"), "token_invalid"),
    "changed": (tampered, "token_invalid"),
    "with its own key": (embedded_key, "token_invalid"),
    "alg None": (lambda name: token(name, algorithm="None"), "token_invalid"),
    "alg of a public key": (lambda name: token(name, algorithm="RS256"), "token_invalid"),
    "the right key, another algorithm": (lambda name: token(name, algorithm="HS384"), "token_invalid"),
    "without a signature": (lambda name: token(name).rpartition(".")[0] + ".", "token_invalid"),
    "a refresh token": (lambda name: token(name, type="refresh"), "token_invalid"),
    "of no type": (lambda name: token(name, type="session"), "token_invalid"),
    "of tomorrow": (lambda name: token(name, nbf=int(time.time()) + 1_000), "token_invalid"),
    "without a user": (lambda name: token(name, sub=None), "token_invalid"),
    "with an empty user": (lambda name: token(name, sub=""), "token_invalid"),
    "without a name": (lambda name: token(name, username=None), "token_invalid"),
    "with an empty name": (lambda name: token(name, username=""), "token_invalid"),
    "with a name that is no text": (lambda name: token(name, username=["a"]), "token_invalid"),
    "with a name beyond UTF-8": (lambda name: token(name, username="\ud800"), "token_invalid"),
}


@pytest.mark.parametrize(("make", "code"), BAD.values(), ids=BAD)
def test_a_bad_token_is_reported_and_closed_and_never_a_client(site, enter, make, code):
    observer = enter("observer", query="&roster=diff")
    early = b"".join(
        text_frame(message)
        for message in (
            {"type": 2, "data": "smuggled", "id": "s1"},
            {"type": 3, "to": "observer", "data": "smuggled"},
            {"type": 1},
            {"type": 9, "data": token("intruder")},
        )
    )
    with connect(site, make("intruder"), early) as intruder:
        told = [json.loads(intruder.recv())]
        assert told == [{"type": 0, "user": None, "data": "token过期", "code": code}]
        assert intruder.wait_closed()[0] == 4401
        assert len(intruder.log) == 2
    here = json.loads(site.get("/healthz")[2])["connections"]
    assert settle(observer) == []
    assert names_heard_of(observer) == {"observer"}
    assert here == 1


def connect(site, made, early):
    if made is None:
        from tests import wsclient

        return wsclient.connect("127.0.0.1", site.port, "/ws/chat", early=early)
    return site.socket(token=made, early=early)


def names_heard_of(client):
    """Everybody that a socket was ever told of; but for those of other tests, whose grace may not be over."""
    told = [json.loads(got.payload) for got in client.log if got.opcode == 1]
    speakers = {m["user"]["username"] for m in told if m.get("user")}
    return (speakers | set().union(*map(names_in, told))) & {"observer", "intruder", "honest", "['a']", ""}


def test_a_token_is_read_from_the_query_alone(site):
    good = token("ann")
    for headers in ({"Authorization": f"Bearer {good}"}, {"Cookie": f"access_token_cookie={good}"}):
        with site.socket(token="", headers=headers) as stranger:
            assert stranger.recv_json(type=0)["code"] == "token_invalid"
            assert stranger.wait_closed()[0] == 4401


def test_a_valid_token_of_another_library_is_accepted(site):
    """Without the claims that only ours have: what another issuer of the site's would write."""
    with site.socket(token=token("plain", iat_ms=None, jti=None, fresh=None, nbf=None)) as plain:
        wait_for_users(plain, "plain")


def test_messages_of_a_refused_socket_are_dropped(site, enter):
    observer = enter("observer")
    with site.socket(token="bad") as intruder:
        for _ in range(20):
            intruder.send_json({"type": 2, "data": "let me in"})
        assert intruder.wait_closed()[0] == 4401
    assert settle(observer) == []
    assert all(b"let me in" not in got.payload for got in observer.log)


# -- the end of a token, and another one


def test_a_socket_ends_with_its_token_unless_it_was_renewed(site, enter):
    end = int(time.time()) + 3
    with (
        site.socket(token=token_until("fades", end)) as fades,
        site.socket(token=token_until("stays", end)) as stays,
    ):
        fresh_end = int(time.time()) + 500
        stays.send_json({"type": 9, "data": token_until("stays", fresh_end), "id": "renew"})
        assert stays.recv_json(type=9) == {"type": 9, "data": fresh_end * 1000}
        error = fades.recv_json(type=0)
        assert time.time() <= end + END
        assert error == {"type": 0, "user": None, "data": "token过期", "code": "token_expired"}
        assert fades.wait_closed()[0] == 4401
        stays.recv_until(lambda m: m["type"] == 1 and "fades" not in names_in(m))  # a grace later
        settle(stays)


def token_until(name, end):
    return token(name, exp=end)


def test_a_renewed_token_ends_too(site):
    end = int(time.time()) + 2
    with site.socket(token=token("brief", ttl=500)) as brief:
        brief.send_json({"type": 9, "data": token_until("brief", end)})
        assert brief.recv_json(type=9)["data"] == end * 1000
        assert brief.recv_json(type=0)["code"] == "token_expired"
        assert end <= time.time() <= end + END
        assert brief.wait_closed()[0] == 4401


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: token("another"), "token_mismatch"),
        (lambda: token("ann", ttl=-5), "token_expired"),
        (lambda: token("ann", key="another secret, and long enough too"), "token_invalid"),
        (lambda: token("ann", type="refresh"), "token_invalid"),
        (lambda: "nonsense", "token_invalid"),
    ],
)
def test_a_bad_token_in_an_auth_ends_the_socket(enter, make, code):
    ann, bob = enter("ann", "bob")
    ann.send_json({"type": 9, "data": make(), "id": "a1"})
    error = ann.recv_json(type=0)
    assert (error["code"], error["ref"]) == (code, "a1")
    assert ann.wait_closed()[0] == 4401
    assert settle(bob) == []


def test_an_auth_makes_a_socket_extended(enter):
    ann, bob = enter("ann", "bob")
    other = enter("ann")
    other.send_json({"type": 9, "data": token("ann")})
    other.recv_json(type=9)
    ann.send_json({"type": 3, "to": "bob", "data": "copied"})
    assert other.recv_json(type=3) == bob.recv_json(type=3)


# -- origins


def test_the_sites_own_pages_may_connect(site):
    for origin in (f"http://127.0.0.1:{site.port}", "https://friend.example", None):
        with site.socket(token=token("page"), headers={"Origin": origin}) as page:
            page.recv_json(type=1)


FOREIGN = [
    "https://evil.example",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "null",
    "http://friend.example",
    "",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_pages_of_foreign_origins_are_refused_before_the_upgrade(site, origin):
    with pytest.raises(Refused) as refused:
        site.socket(token=token("page"), headers={"Origin": origin})
    assert refused.value.status == 403


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "Forwarded"])
def test_a_forged_host_changes_nothing(site, header):
    value = "host=evil.example" if header == "Forwarded" else "evil.example"
    with pytest.raises(Refused) as refused:
        site.socket(token=token("page"), headers={"Origin": "https://evil.example", header: value})
    assert refused.value.status == 403


def test_behind_a_trusted_proxy_the_forwarded_host_counts():
    with Server("gunicorn-gevent", {"CHAT_TRUSTED_PROXIES": "1"}) as server:
        forwarded = {
            "X-Forwarded-Host": "chat.example",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "10.0.0.1",
        }
        with server.socket(
            token=token("page"), headers={"Origin": "https://chat.example", **forwarded}
        ) as page:
            page.recv_json(type=1)
        with pytest.raises(Refused) as refused:
            server.socket(token=token("page"), headers={"Origin": "https://evil.example", **forwarded})
        assert refused.value.status == 403


def test_any_page_may_connect_where_the_site_allows_it():
    with Server("gunicorn-gevent", {"CHAT_ALLOWED_ORIGINS": "*"}) as server:
        for origin in ("https://evil.example", "null"):
            with server.socket(token=token("page"), headers={"Origin": origin}) as page:
                page.recv_json(type=1)
