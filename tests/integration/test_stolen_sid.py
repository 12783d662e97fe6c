"""A Socket.IO session id that a stranger has read somewhere does not speak for a client that keeps cookies."""

import json
from http.cookies import SimpleCookie

import pytest
import requests
import socketio

from tests.integration.socketio_wire import UNKNOWN_SID, Endpoint
from tests.integration.socketio_workers import WorkerEndpoint, Workers
from tests.waiting import until
from tests.wsclient import Refused

NAME = "chat_io"


def cookie_of(answer):
    """The cookie that the answer to an opening request sets, as a browser sends it back."""
    found = SimpleCookie(answer.headers["Set-Cookie"])[NAME]
    assert found["path"] == "/socket.io" and found["httponly"] and found["samesite"] == "Lax"
    assert not found["max-age"] and not found["expires"]
    return {"Cookie": f"{NAME}={found.value}"}


def sid_of(answer):
    return json.loads(answer.body[1:])["sid"]


@pytest.fixture
def endpoint(server):
    with Endpoint(server, "/socket.io/") as endpoint:
        yield endpoint


@pytest.fixture
def cookie(endpoint):
    """The cookie of a browser that has been here before."""
    return cookie_of(endpoint.ask())


def assert_guarded(endpoint, sid, cookie):
    """The session answers its own client, and is unknown to any other."""
    strangers = {"Cookie": f"{NAME}={'x' * 20}"}
    for headers in ({}, strangers, {"Cookie": f"{NAME}="}):
        for method, body in (("GET", None), ("POST", "40"), ("POST", "41"), ("POST", "x" * 200_000)):
            answer = endpoint.ask(method, body, headers, sid=sid)
            assert (answer.status, answer.json) == (400, UNKNOWN_SID)
        with pytest.raises(Refused) as refused:
            endpoint.websocket(sid=sid, headers=headers)
        assert refused.value.status == 400
    assert endpoint.ask("POST", "40", cookie, sid=sid).status == 200
    assert endpoint.ask(headers=cookie, sid=sid).body.startswith("44")  # there was no token: it was heard


def test_a_bound_session_answers_no_stranger(endpoint, cookie):
    opened = endpoint.ask(headers=cookie)
    assert "Set-Cookie" not in opened.headers
    assert_guarded(endpoint, sid_of(opened), cookie)


def test_nor_with_its_id_cut_or_changed(endpoint, cookie):
    sid = sid_of(endpoint.ask(headers=cookie))
    for other in (sid[:-8], f"{sid[:-8]}AAAAAAAA", f"{sid}A"):
        assert endpoint.ask(sid=other).json == UNKNOWN_SID


def test_a_client_without_cookies_is_served_as_ever(endpoint):
    for _ in range(2):
        sid = sid_of(endpoint.ask())
        assert endpoint.ask("POST", "40", sid=sid).status == 200


def test_the_upgrade_of_a_bound_session_needs_the_cookie(endpoint, cookie):
    sid = sid_of(endpoint.ask(headers=cookie))
    client = endpoint.websocket(sid=sid, headers=cookie)
    client.send_text("2probe")
    assert client.recv() == "3probe"


@pytest.mark.parametrize("value", ["", "short", "x" * 21, "<script>aaaaaaaaaaaa", "%0d%0a"])
def test_a_cookie_of_others_is_replaced(endpoint, value):
    answer = endpoint.ask(headers={"Cookie": f"{NAME}={value}"})
    assert cookie_of(answer)


def test_the_cookie_is_secure_over_tls_and_below_a_prefix(make_server):
    server = make_server(env={"CHAT_TRUSTED_PROXIES": "1"}, app="tests.integration.mounted_site:create_app()")
    headers = {"X-Forwarded-Proto": "https"}
    _, answered, _ = server.request("GET", "/shop/socket.io/?EIO=4&transport=polling", None, headers)
    assert "Secure" in answered["Set-Cookie"] and "Path=/shop/socket.io" in answered["Set-Cookie"]


def test_every_worker_knows_whose_session_it_is():
    with Workers("gunicorn-gevent") as site:
        site.wait_serving()
        first, second, *_ = site.workers()
        with WorkerEndpoint(site, first) as one, WorkerEndpoint(site, second) as other:
            cookie = cookie_of(one.ask())
            sid = sid_of(one.ask(headers=cookie))
            for endpoint in (one, other):
                for method, body in (("GET", None), ("POST", "40/news,")):
                    assert endpoint.ask(method, body, sid=sid).json == UNKNOWN_SID
            assert other.ask("POST", "40/news,", cookie, sid=sid).status == 200
            assert other.ask(headers=cookie, sid=sid).body.startswith("40/news,")


@pytest.mark.parametrize(
    "transports", [None, ["polling"], ["websocket"]], ids="default polling websocket".split()
)
def test_a_stock_client_that_keeps_cookies_comes_back(server, transports):
    """python-socketio with one HTTP session, as a long-lived program has it; its second session is bound."""
    with requests.Session() as kept:
        for _ in range(2):
            client, heard = socketio.Client(http_session=kept), []
            client.on("*", lambda event, *args, heard=heard: heard.append(event))
            client.connect(server.url, auth={"token": server.token("cookie-jar")}, transports=transports)
            try:
                until(lambda heard=heard: heard)
                assert client.call("group_chat", {"room": "lobby", "data": "hello"}, timeout=10)
                assert len(kept.cookies) == (0 if transports == ["websocket"] else 1)
                if transports is None:
                    until(lambda client=client: client.transport() == "websocket")
            finally:
                client.disconnect()
