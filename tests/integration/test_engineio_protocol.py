"""The Engine.IO protocol, revision 4, rule by rule, on a real server: examples/socketio_conformance.py.

- handshake: fields and values of the open packet, on both transports; what follows from the settings
- requests that are refused: parameters, methods, sids, each with its status and JSON
- messages: payloads with the separator, base64 in payloads, bare frames over WebSocket; malformed ones end the session
- one poll and one POST at a time: a second one ends the session
- heartbeat: the server pings, the client has pingTimeout to answer, on both transports and across an upgrade
- close, from either side, on both transports
- maxPayload
- upgrade: probe, NOOP for the waiting poll, nothing lost or out of order, one WebSocket per session, failed probes
- origins: CORS headers, preflight, refusals, and forwarded hosts that are not trusted
"""

import http.client
import json
import time
from contextlib import suppress

import pytest

from tests.integration.socketio_wire import (
    CALM,
    TRANSPORTS,
    UNKNOWN_SID,
    Endpoint,
    PollingSession,
    UpgradedSession,
    WebSocketSession,
    conformance,
    probe,
)
from tests.waiting import until
from tests.wsclient import TEXT, Closed, Refused, frame

FRIEND = "https://friend.example"
EVIL = "https://evil.example"
MAX_PAYLOAD = 1_000_000
#: Seconds, as in the example.
INTERVAL, TIMEOUT = 0.3, 0.2
#: Seconds beyond the time in the protocol that a busy machine may take.
SLACK = 1.5

PATHS = ("/engine.io/", "/socket.io/")
UNKNOWN_TRANSPORT = {"code": 0, "message": "Transport unknown"}
BAD_METHOD = {"code": 2, "message": "Bad handshake method"}
BAD_REQUEST = {"code": 3, "message": "Bad request"}
FORBIDDEN = {"code": 4, "message": "Forbidden"}
BAD_VERSION = {"code": 5, "message": "Unsupported protocol version"}


@pytest.fixture(scope="module")
def site():
    with conformance(**CALM, CHAT_ALLOWED_ORIGINS=FRIEND) as server:
        yield server


@pytest.fixture(scope="module")
def quick_site():
    """The example with the settings that the public suites use."""
    with conformance() as server:
        yield server


@pytest.fixture
def echo(site):
    """The bare echo."""
    with Endpoint(site, "/engine.io/") as endpoint:
        yield endpoint


@pytest.fixture(params=PATHS)
def endpoint(request, site):
    with Endpoint(site, request.param) as endpoint:
        yield endpoint


@pytest.fixture(params=PATHS)
def quick(request, quick_site):
    with Endpoint(quick_site, request.param) as endpoint:
        yield endpoint


@pytest.fixture
def quick_echo(quick_site):
    with Endpoint(quick_site, "/engine.io/") as endpoint:
        yield endpoint


def refusal(endpoint, **query):
    """(status, JSON) with which a WebSocket is refused."""
    with pytest.raises(Refused) as refused:
        endpoint.websocket(**query)
    return refused.value.status, refused.value.body


# -- handshake


@pytest.mark.parametrize(("kind", "upgrades"), [("polling", ["websocket"]), ("websocket", [])])
def test_the_open_packet(quick, kind, upgrades):
    session = TRANSPORTS[kind](quick)
    assert session.handshake == {
        "sid": session.sid,
        "upgrades": upgrades,
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": MAX_PAYLOAD,
    }
    assert isinstance(session.sid, str) and len(session.sid) >= 20


def test_a_polling_answer_is_plain_text_and_is_not_cached(endpoint):
    headers = endpoint.ask().headers
    assert headers["Content-Type"].lower().replace(" ", "") == "text/plain;charset=utf-8"
    assert "no-store" in headers["Cache-Control"]


def test_unknown_parameters_are_ignored(endpoint):
    assert endpoint.ask(t="N8hyd6w", b64="1", token="x").status == 200


def test_each_session_has_an_id_of_its_own(endpoint):
    sids = {session(endpoint).sid for session in (PollingSession, WebSocketSession) * 3}
    assert len(sids) == 6


def test_polling_alone_and_another_path():
    with conformance(CHAT_IO_TRANSPORTS="polling", CHAT_IO_PATH="/talk.io", **CALM) as server:
        with Endpoint(server, "/talk.io/") as endpoint:
            assert PollingSession(endpoint).handshake["upgrades"] == []
            assert endpoint.ask(transport="websocket").json == UNKNOWN_TRANSPORT
            assert refusal(endpoint)[0] == 400
            assert refusal(endpoint, sid=PollingSession(endpoint).sid)[0] == 400
        assert server.get("/socket.io/?EIO=4&transport=polling")[0] == 404


def test_websocket_alone():
    with (
        conformance(CHAT_IO_TRANSPORTS="websocket", **CALM) as server,
        Endpoint(server, PATHS[1]) as endpoint,
    ):
        WebSocketSession(endpoint)
        answer = endpoint.ask()
        assert (answer.status, answer.json) == (400, UNKNOWN_TRANSPORT)


# -- requests that are refused

ERRORS = {
    "no EIO": ({"EIO": None}, BAD_VERSION),
    "EIO of letters": ({"EIO": "abc"}, BAD_VERSION),
    "EIO of the past": ({"EIO": "3"}, BAD_VERSION),
    "EIO of the future": ({"EIO": "5"}, BAD_VERSION),
    "no transport": ({"transport": None}, UNKNOWN_TRANSPORT),
    "unknown transport": ({"transport": "abc"}, UNKNOWN_TRANSPORT),
    "unknown sid": ({"sid": "abc"}, UNKNOWN_SID),
    "hostile sid": ({"sid": "ü\x00'\"<b>" * 50}, UNKNOWN_SID),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_request_is_refused_with_its_code(endpoint, name):
    query, error = ERRORS[name]
    answer = endpoint.ask(**query)
    assert (answer.status, answer.json) == (400, error)
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("name", ERRORS)
def test_a_websocket_is_refused_with_the_same_code(endpoint, name):
    query, error = ERRORS[name]
    status, body = refusal(endpoint, **query)
    assert (status, json.loads(body)) == (400, error)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_get_opens_a_session(endpoint, method):
    answer = endpoint.ask(method)
    assert (answer.status, answer.json) == (400, BAD_METHOD)


def test_head_opens_no_session(endpoint):
    assert endpoint.ask("HEAD").status == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_other_methods_do_nothing_to_a_session(echo, method):
    session = PollingSession(echo)
    session.send("4kept")
    assert echo.ask(method, sid=session.sid).status == 400
    assert session.receive() == "4kept"


def test_a_plain_request_to_the_websocket_transport_is_refused(endpoint):
    answer = endpoint.ask(transport="websocket")
    assert (answer.status, answer.json) == (400, BAD_REQUEST)


def test_a_websocket_handshake_at_the_polling_address(endpoint):
    assert refusal(endpoint, transport="polling")[0] == 400


def test_a_bad_websocket_handshake_is_refused(endpoint):
    assert refusal(endpoint, headers={"Sec-WebSocket-Key": "short"})[0] == 400
    assert refusal(endpoint, headers={"Sec-WebSocket-Version": "8"})[0] in (400, 426)


def test_a_websocket_session_cannot_be_polled(echo):
    session = WebSocketSession(echo)
    for answer in (echo.ask(sid=session.sid), echo.ask("POST", "4x", sid=session.sid)):
        assert (answer.status, answer.json) == (400, BAD_REQUEST)
    session.send("4still here")
    assert session.receive() == "4still here"


# -- messages

PAYLOADS = {
    "one packet": "4hello",
    "empty message": "4",
    "several packets": "4test1\x1e4test2\x1e4test3",
    "binary": "bAQIDBA==",
    "empty binary": "b",
    "text and binary": "4hello\x1ebAQIDBA==\x1e4world",
    "beyond ASCII": "4大家好 😀\x1e4é\u2028",
    "digits of packet types": "41\x1e42\x1e46b",
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_comes_back_over_polling(echo, payload):
    session = PollingSession(echo)
    answer = session.post(payload)
    assert (answer.status, answer.body) == (200, "ok")
    assert session.poll().body == payload


@pytest.mark.parametrize("content_type", [None, "text/plain;charset=UTF-8", "application/octet-stream"])
def test_the_content_type_of_a_post_does_not_matter(echo, content_type):
    session = PollingSession(echo)
    session.post("4a=b&c", {"Content-Type": content_type} if content_type else None)
    assert session.poll().body == "4a=b&c"


def test_a_form_is_read_as_the_payload_it_is(echo):
    session = PollingSession(echo)
    session.post("4a=b&c", {"Content-Type": "application/x-www-form-urlencoded"})
    assert session.poll().body == "4a=b&c"


def test_a_poll_waits_for_a_packet(echo):
    session = PollingSession(echo)
    waiting = session.begin_poll()
    assert session.post("4late").body == "ok"
    assert waiting.answer().body == "4late"


MESSAGES = [
    "4hello",
    "4",
    b"\x01\x02\x03\x04",
    b"",
    "4大家好 😀",
    "4a\x1e4b",
    b"x" * 70_000,
    "4" + "y" * 70_000,
]


def test_messages_come_back_over_websocket(echo):
    session = WebSocketSession(echo)
    session.send(*MESSAGES)
    assert [session.receive() for _ in MESSAGES] == MESSAGES


def test_a_message_in_fragments_is_one_packet(echo):
    session = WebSocketSession(echo)
    session.ws.send_fragmented("4大家好 😀", pieces=5)
    assert session.receive() == "4大家好 😀"


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_messages_keep_their_order(echo, kind):
    session, sent = TRANSPORTS[kind](echo), [f"4{i}" for i in range(300)]
    session.send(*sent[:100])
    session.send(*sent[100:])
    assert [session.receive() for _ in sent] == sent


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_noop_is_ignored(echo, kind):
    session = TRANSPORTS[kind](echo)
    session.send("6")
    session.send("4after")
    assert session.receive() == "4after"


MALFORMED = {
    "letters": "abc",
    "nothing": "",
    "unknown type": "7",
    "a foreign digit": "४hello",
    "an open packet": '0{"sid":"x"}',
    "a ping": "2",
}
MALFORMED_PAYLOADS = {
    **{name: packet.encode() for name, packet in MALFORMED.items()},
    "no packets": b"\x1e",
    "a good one before": b"6\x1eabc",
    "a good one behind": b"abc\x1e6",
    "bad base64": b"b!!!!",
    "base64 without padding": b"bAQ",
    "not UTF-8": b"4\xff\xfe",
    "surrogates": b"4\xed\xa0\x80",
}


@pytest.mark.parametrize("payload", MALFORMED_PAYLOADS.values(), ids=MALFORMED_PAYLOADS)
def test_a_malformed_payload_ends_the_session(endpoint, payload):
    session = PollingSession(endpoint)
    assert session.post(payload).status == 400
    session.wait_closed()


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_frame_ends_the_session(endpoint, packet):
    session = WebSocketSession(endpoint)
    session.send(packet)
    session.wait_closed()


def test_a_waiting_poll_gets_the_close_packet(endpoint):
    session = PollingSession(endpoint)
    waiting = session.begin_poll()
    assert session.post("abc").status == 400
    assert waiting.answer().body in ("1", "6")
    assert endpoint.is_unknown(session.sid)


# -- one poll and one POST at a time


def test_a_second_poll_ends_the_session(endpoint):
    session = PollingSession(endpoint)
    waiting = session.begin_poll()
    second = session.poll()
    assert second.status == 400
    first = waiting.answer()
    assert (first.status, first.body) == (200, "1")
    answer = session.poll()
    assert (answer.status, answer.json) == (400, UNKNOWN_SID)


def test_a_poll_after_one_that_was_cancelled_ends_the_session(endpoint):
    session = PollingSession(endpoint)
    session.begin_poll().abort()
    assert session.poll().status == 400
    assert endpoint.is_unknown(session.sid)


def test_a_second_post_ends_the_session(endpoint):
    session = PollingSession(endpoint)
    first = endpoint.begin_post(session.sid, {"Content-Length": "6"}, b"4he")
    assert session.post("6").status == 400
    first.send(b"llo")
    assert first.answer().status == 400
    session.wait_closed()


def test_a_poll_and_a_post_may_run_at_once(echo):
    session = PollingSession(echo)
    post = echo.begin_post(session.sid, {"Content-Length": "6"}, b"4he")
    waiting = session.begin_poll()
    post.send(b"llo")
    assert (post.answer().body, waiting.answer().body) == ("ok", "4hello")


def test_an_incomplete_post_does_no_harm(echo):
    session = PollingSession(echo)
    echo.begin_post(session.sid, {"Content-Length": "6"}, b"4he").abort()
    while (answer := session.post("4whole")).status == 400 and not echo.is_unknown(session.sid):
        pass  # until the server has noticed that the first one has ended
    assert answer.status == 200 or echo.is_unknown(session.sid)


# -- heartbeat


def test_the_server_pings_over_polling(quick_echo):
    session = PollingSession(quick_echo)
    for _ in range(3):
        began = time.monotonic()
        assert session.poll().body == "2"
        assert time.monotonic() - began < INTERVAL + SLACK
        assert session.post("3").status == 200


@pytest.mark.parametrize("kind", ["websocket", "upgraded"])
def test_the_server_pings_over_websocket(quick_echo, kind):
    session = TRANSPORTS[kind](quick_echo)
    began = time.monotonic()
    for _ in range(4):
        assert session.ws.recv() == "2"
        session.send("3")
    assert 3 * INTERVAL / 2 < time.monotonic() - began < 4 * INTERVAL + SLACK


def test_a_polling_client_that_does_not_answer_is_closed_in_time(quick):
    session, began = PollingSession(quick), time.monotonic()
    until(lambda: quick.is_unknown(session.sid))
    assert time.monotonic() - began < INTERVAL + TIMEOUT + SLACK


def test_a_poll_that_waits_is_ended_with_the_session(quick):
    session = PollingSession(quick)
    assert session.poll().body == "2"
    session.begin_poll().answer()
    assert quick.is_unknown(session.sid)


@pytest.mark.parametrize("kind", ["websocket", "upgraded"])
def test_a_socket_that_does_not_answer_is_closed_in_time(quick, kind):
    session = TRANSPORTS[kind](quick)
    began = time.monotonic()
    with pytest.raises(Closed):
        receive_pings(session.ws)
    took = time.monotonic() - began
    assert (INTERVAL + TIMEOUT) / 2 < took < INTERVAL + TIMEOUT + SLACK
    assert quick.is_unknown(session.sid)


def test_websocket_pong_frames_do_not_answer_a_ping_packet(quick_echo):
    session = WebSocketSession(quick_echo)
    assert session.ws.recv() == "2"
    with pytest.raises((Closed, ConnectionError)):
        ping_on(session.ws)


def receive_pings(ws):
    while True:
        assert ws.recv() == "2"


def ping_on(ws):
    while True:
        ws.ping()


def test_an_unsolicited_pong_is_ignored(echo):
    session = WebSocketSession(echo)
    session.send("3", "3probe", "4after")
    assert session.receive() == "4after"


# -- close


def test_a_client_closes_while_a_poll_waits(endpoint):
    session = PollingSession(endpoint)
    waiting = session.begin_poll()
    answer = session.post("1")
    assert (answer.status, answer.body) == (200, "ok")
    assert (polled := waiting.answer()).status == 200 and polled.body == "6"
    answer = session.poll()
    assert (answer.status, answer.json) == (400, UNKNOWN_SID)


def test_a_client_closes_while_no_poll_waits(endpoint):
    session = PollingSession(endpoint)
    assert session.post("1").status == 200
    assert endpoint.is_unknown(session.sid)


@pytest.mark.parametrize("kind", ["websocket", "upgraded"])
def test_a_client_closes_over_websocket(endpoint, kind):
    session = TRANSPORTS[kind](endpoint)
    session.send("1")
    assert session.wait_closed() in (1000, 1005)


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("kind", ["websocket", "upgraded"])
def test_a_session_ends_with_its_socket(endpoint, kind, how):
    session = TRANSPORTS[kind](endpoint)
    if kind == "upgraded":
        session.ws.ping()  # the upgrade is over
    getattr(session.ws, how)()
    while not endpoint.is_unknown(session.sid):
        pass


# -- maxPayload


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_payload_of_exactly_max_payload_is_accepted(echo, kind):
    session, whole = TRANSPORTS[kind](echo), "4" + "x" * (MAX_PAYLOAD - 1)
    session.send(whole)
    assert session.receive() == whole


@pytest.mark.parametrize("size", [MAX_PAYLOAD + 1, 10**12])
def test_a_post_with_too_great_a_content_length_is_refused_unread(endpoint, size):
    session = PollingSession(endpoint)
    request = endpoint.begin_post(session.sid, {"Content-Length": str(size)})
    assert request.answer().status in (400, 413)
    session.wait_closed()


def test_a_post_of_unknown_length_that_is_too_long(endpoint):
    session = PollingSession(endpoint)
    request = endpoint.begin_post(session.sid, {"Transfer-Encoding": "chunked"})
    chunk = b"10000\r\n" + b"4" * 0x10000 + b"\r\n"
    try:
        for _ in range(MAX_PAYLOAD // 0x10000 + 1):
            request.send(chunk)
        request.send(b"0\r\n\r\n")
        assert request.answer().status in (400, 413)
    except (ConnectionError, http.client.HTTPException):
        pass  # the server closed before it had read it all
    session.wait_closed()


def test_a_post_of_unknown_length(echo):
    session = PollingSession(echo)
    request = echo.begin_post(session.sid, {"Transfer-Encoding": "chunked"}, b"6\r\n4hello\r\n0\r\n\r\n")
    assert request.answer().body == "ok"
    assert session.receive() == "4hello"


@pytest.mark.parametrize("kind", ["websocket", "upgraded"])
@pytest.mark.parametrize(
    "packet", ["4" + "x" * MAX_PAYLOAD, b"x" * (MAX_PAYLOAD + 1)], ids=["text", "binary"]
)
def test_a_frame_that_is_too_long_closes_with_1009(endpoint, kind, packet):
    session = TRANSPORTS[kind](endpoint)
    with suppress(ConnectionError):  # the server may close after the frame's head
        session.send(packet)
    assert session.wait_closed() == 1009


# -- upgrade


def test_the_upgrade(echo):
    session = PollingSession(echo)
    waiting = session.begin_poll()
    ws = probe(session)
    assert waiting.answer().body == "6"
    assert session.poll().body == "6"
    ws.send_text("5")
    ws.send_text("4hello")
    assert ws.recv() == "4hello"
    ws.send_binary(b"\x01\x02")
    assert ws.recv() == b"\x01\x02"


def test_polling_goes_on_until_the_upgrade(echo):
    session = PollingSession(echo)
    ws = probe(session)
    session.send("4before")
    assert session.receive() == "4before"
    ws.send_text("5")
    ws.send_text("4after")
    assert ws.recv() == "4after"


def test_old_requests_are_refused_after_the_upgrade(endpoint):
    session = UpgradedSession(endpoint)
    session.ws.ping()  # the server has read the upgrade
    for answer in (endpoint.ask(sid=session.sid), endpoint.ask("POST", "3", sid=session.sid)):
        assert (answer.status, answer.json) == (400, BAD_REQUEST)
    session.ws.ping()


def test_a_poll_right_behind_the_upgrade_is_refused(endpoint):
    """The client sends everything at once, and polls before any of it is answered."""
    session = PollingSession(endpoint)
    ws = endpoint.websocket(sid=session.sid)
    ws.send_raw(frame(TEXT, b"2probe") + frame(TEXT, b"5"))
    assert session.poll().status == 400
    assert ws.recv() == "3probe"


def test_an_upgrade_in_one_packet_with_the_handshake(echo):
    session = PollingSession(echo)
    early = b"".join(frame(TEXT, packet) for packet in (b"2probe", b"5", b"4hello"))
    ws = echo.websocket(sid=session.sid, early=early)
    assert [ws.recv(), ws.recv()] == ["3probe", "4hello"]


def test_packets_that_waited_for_a_poll_come_first_over_the_websocket(echo):
    session = PollingSession(echo)
    sent = [f"4{i}" for i in range(200)]
    session.send(*sent[:50])
    ws = echo.websocket(sid=session.sid)
    ws.send_text("2probe")
    assert ws.recv() == "3probe"
    session.send(*sent[50:100])
    ws.send_raw(b"".join(frame(TEXT, packet.encode()) for packet in ("5", *sent[100:])))
    assert [ws.recv() for _ in sent] == sent


def test_a_poll_that_waits_during_the_upgrade_gets_a_noop(echo):
    session = PollingSession(echo)
    ws = probe(session)
    waiting = session.begin_poll()
    ws.send_text("5")
    ws.send_text("4hello")
    assert ws.recv() == "4hello"
    answer = waiting.answer()
    assert answer.body == "6" or answer.json == BAD_REQUEST  # whichever the server read first


@pytest.mark.parametrize("kind", ["websocket", "upgraded"])
def test_a_second_websocket_is_refused(echo, kind):
    session = TRANSPORTS[kind](echo)
    session.send("4first")
    assert session.receive() == "4first"
    assert_refused(echo, session.sid)
    session.send("4still here")
    assert session.receive() == "4still here"


def test_a_second_websocket_is_refused_while_the_first_is_probed(echo):
    session = PollingSession(echo)
    ws = probe(session)
    assert_refused(echo, session.sid)
    ws.send_text("5")
    ws.send_text("4hello")
    assert ws.recv() == "4hello"


def assert_refused(endpoint, sid):
    """Check that another WebSocket of the session is refused, or closed at once."""
    with suppress(Refused):
        endpoint.websocket(sid=sid).wait_closed()


@pytest.mark.parametrize("packet", ["2", "2wrong", "4hello", "3probe", "abc", "", b"2probe"], ids=repr)
def test_a_failed_probe_leaves_polling_alive(echo, packet):
    session = PollingSession(echo)
    ws = echo.websocket(sid=session.sid)
    ws.send_text(packet) if isinstance(packet, str) else ws.send_binary(packet)
    ws.wait_closed()
    session.send("4still here")
    assert session.receive() == "4still here"


def test_a_probe_that_disconnects_leaves_polling_alive(echo):
    session = PollingSession(echo)
    probe(session).close()
    session.send("4still here")
    assert session.receive() == "4still here"
    upgraded = UpgradedSession(echo, of=session)
    upgraded.send("4second try")
    assert upgraded.receive() == "4second try"


def test_a_session_that_ends_closes_its_probe(endpoint):
    session = PollingSession(endpoint)
    ws = probe(session)
    session.post("1")
    ws.wait_closed()
    assert endpoint.is_unknown(session.sid)


def test_the_heartbeat_continues_across_the_upgrade(quick_echo):
    session = PollingSession(quick_echo)
    assert session.poll().body == "2"
    ws = probe(session)
    ws.send_text("5")
    ws.send_text("3")  # the answer to the ping that came by polling
    for _ in range(3):
        assert ws.recv() == "2"
        ws.send_text("3")


def test_an_unpolled_ping_comes_over_the_websocket(quick_echo):
    session = PollingSession(quick_echo)
    ws = probe(session)
    time.sleep(INTERVAL)  # the silence is what is tested
    ws.send_text("5")
    assert ws.recv() == "2"
    ws.send_text("3")
    assert ws.recv() == "2"


# -- origins


#: Name: (headers, whether the server lets them in).
ORIGINS = {
    "none": ({}, True),
    "friend": ({"Origin": FRIEND}, True),
    "stranger": ({"Origin": EVIL}, False),
    "stranger of the friend's name": ({"Origin": f"{FRIEND}.evil.example"}, False),
    "another scheme": ({"Origin": "http://friend.example"}, False),
    "null": ({"Origin": "null"}, False),
    "nonsense": ({"Origin": "https://[::1"}, False),
    "forged X-Forwarded-Host": (
        {"Origin": EVIL, "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        False,
    ),
    "forged Forwarded": ({"Origin": EVIL, "Forwarded": "host=evil.example;proto=https"}, False),
    "forged X-Forwarded-Host of a friend": ({"Origin": FRIEND, "X-Forwarded-Host": "evil.example"}, True),
}


@pytest.mark.parametrize(("headers", "welcome"), ORIGINS.values(), ids=ORIGINS)
def test_which_origins_may_poll(endpoint, headers, welcome):
    answer = endpoint.ask(headers=headers)
    if welcome:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == headers.get("Origin")
    else:
        assert (answer.status, answer.json) == (403, FORBIDDEN)
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(("headers", "welcome"), ORIGINS.values(), ids=ORIGINS)
def test_which_origins_may_open_a_websocket(endpoint, headers, welcome):
    if welcome:
        assert endpoint.websocket(headers=headers).recv().startswith("0")
    else:
        with pytest.raises(Refused) as refused:
            endpoint.websocket(headers=headers)
        assert refused.value.status == 403


def test_the_sites_own_pages_may_connect_over_socketio(endpoint):
    headers = {"Origin": endpoint.server.url}
    assert endpoint.ask(headers=headers).status == 200
    assert endpoint.websocket(headers=headers).recv().startswith("0")


def test_a_foreign_origin_cannot_use_a_session(echo):
    session, stranger = PollingSession(echo), {"Origin": EVIL}
    assert session.post("4evil", stranger).json == FORBIDDEN
    assert echo.ask(headers=stranger, sid=session.sid).status == 403
    with pytest.raises(Refused, match="403"):
        echo.websocket(headers=stranger, sid=session.sid)
    session.send("4mine")
    assert session.receive() == "4mine"


def test_every_answer_to_an_allowed_origin_has_the_cors_header(endpoint):
    headers = {"Origin": FRIEND}
    sid = PollingSession(endpoint).sid
    answers = [
        endpoint.ask("POST", "6", headers, sid=sid),
        endpoint.ask("POST", "abc", headers, sid=sid),
        endpoint.ask(headers=headers, sid="unknown"),
        endpoint.ask(headers=headers, transport="abc"),
    ]
    assert [answer.status for answer in answers] == [200, 400, 400, 400]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {FRIEND}
    assert all("origin" in answer.headers["Vary"].lower() for answer in answers)


def preflight(endpoint, origin):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    return endpoint.ask("OPTIONS", None, {"Origin": origin, **asked})


def test_the_preflight_of_an_allowed_origin(endpoint):
    answer = preflight(endpoint, FRIEND)
    assert answer.status in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    methods = answer.headers["Access-Control-Allow-Methods"].upper().replace(" ", "").split(",")
    assert {"GET", "POST"} <= set(methods)
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_the_preflight_of_a_foreign_origin(endpoint):
    assert "Access-Control-Allow-Origin" not in preflight(endpoint, EVIL).headers


def test_any_origin_is_allowed_where_the_site_allows_it(quick):
    headers = {"Origin": EVIL}
    assert quick.ask(headers=headers).headers["Access-Control-Allow-Origin"] in ("*", EVIL)
    assert preflight(quick, EVIL).headers["Access-Control-Allow-Origin"] in ("*", EVIL)
    assert quick.websocket(headers=headers).recv().startswith("0")


# -- the server afterwards


def test_the_server_logged_no_error(site, quick_site):
    for server in (site, quick_site):
        assert server.get("/healthz")[0] == 200
        assert "Traceback" not in server.log()
