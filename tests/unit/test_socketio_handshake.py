"""The handshake that a site reads, and the compact form in which a session keeps its request."""

from dataclasses import asdict
from types import SimpleNamespace

import orjson
import pytest

from chat.socketio import handshake, packets
from chat.socketio.handshake import MAX_KEPT, pack, unpack

URL = "/socket.io/?EIO=4&transport=polling&token=secret&n=1"
HEADERS = [
    ("Host", "site.example"),
    ("Cookie", "session=secret"),
    ("Authorization", "Bearer secret"),
    ("X-Plain", ""),
]


def made(url=URL, headers=HEADERS, query="", auth=None):
    request = SimpleNamespace(packed=pack(url, headers), address="10.0.0.1", secure=True)
    return handshake.make(request, 1_700_000_000_123, query, auth or {})


def test_it_has_all_of_the_request():
    one = made(auth={"token": "secret", "name": "ann"})
    assert one.headers == {name.lower(): value for name, value in HEADERS}
    assert one.query == {"EIO": "4", "transport": "polling", "token": "secret", "n": "1"}
    assert (one.url, one.address, one.secure, one.xdomain) == (URL, "10.0.0.1", True, False)
    assert (one.issued, one.time) == (1_700_000_000_123, "Tue, 14 Nov 2023 22:13:20 GMT")
    assert one.auth == {"token": "secret", "name": "ann"}
    assert made(headers=[("Origin", "https://x")]).xdomain is True


def test_json_holds_it():
    one = made(query="a=1&a=2&b", auth={"n": [1]})
    assert orjson.loads(packets.prepare([one]).json)[0]["query"]["a"] == ["1", "2"]


def test_a_parameter_given_repeatedly_is_a_list_and_the_namespaces_come_first():
    query = made("/?a=1&a=2&b=3&c=", query="b=4&d=5&d=6").query
    assert query == {"a": ["1", "2"], "b": "4", "c": "", "d": ["5", "6"]}


def test_no_text_of_it_shows_what_it_holds():
    one = made(auth={"password": "secret"})
    for text in (repr(one), str(one), f"{one}", f"{one!r}", format(one), repr([one]), repr({"one": one})):
        assert "secret" not in text
        assert "10.0.0.1" in text


def test_what_leaves_the_worker_has_no_credentials():
    one = made(query="more=1", auth={"token": "secret", "pid": "secret", "offset": "secret", "name": "ann"})
    public = one.without_credentials()
    assert "secret" not in str(asdict(public))
    assert public.headers == {"host": "site.example", "x-plain": ""}
    assert public.query == {"EIO": "4", "transport": "polling", "n": "1", "more": "1"}
    assert public.url == "/socket.io/?EIO=4&transport=polling&n=1&more=1"
    assert public.auth == {"name": "ann"}
    assert made("/socket.io/?token=secret").without_credentials().url == "/socket.io/"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Odd", "a:b: c")],
        [("X-Odd", "名字 \udcff"[:3])],
        [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")],
    ],
)
def test_packing_keeps_what_a_request_may_have(headers):
    assert unpack(pack(URL, headers)) == (URL, {name.lower(): value for name, value in headers})


def test_nothing_is_kept_beyond_a_bound():
    headers = [("A", "x" * MAX_KEPT), ("B", "y"), ("C", "z" * (MAX_KEPT // 2)), ("D", "z" * (MAX_KEPT // 2))]
    url, kept = unpack(pack("/" + "u" * 100_000, headers))
    assert len(url) == MAX_KEPT
    assert kept == {}
    _, kept = unpack(pack("/", headers[1:]))
    assert set(kept) == {"b", "c"}


def test_nothing_kept_is_nothing_read():
    assert unpack(b"") == ("", {})


def test_characters_that_utf8_cannot_hold_do_not_break_it():
    assert unpack(pack("/\udcff", [("X", "\udcff\n:")]))[1].keys() >= {"x"}
