"""What one Socket.IO client may cost before any log-in: unfinished attachments, and packets that are no chat event."""

import json
import time

import pytest

from tests import wsclient
from tests.integration.socketio_wire import CALM, TRANSPORTS, Endpoint, WebSocketSession, conformance
from tests.waiting import until

RATE, BURST, FLOOD, FINISH = 1, 4, 10, 1.0
#: A session may send so many times the messages of a user: chat/socketio/packet_limits.py.
TIMES = 5
PLACEHOLDER = '{"_placeholder":true,"num":0}'


@pytest.fixture(scope="module")
def site():
    env = {
        "CHAT_RATE_LIMIT": RATE,
        "CHAT_RATE_BURST": BURST,
        "CHAT_FLOOD_LIMIT": FLOOD,
        "CHAT_MESSAGE_TIMEOUT": FINISH,
        "CHAT_MAX_CONNECTIONS_PER_IP": 50,
        "CHAT_IO_PING_INTERVAL": 25,
        "CHAT_IO_PING_TIMEOUT": 20,
        "CHAT_IO_CONNECT_TIMEOUT": 45,
    }
    with conformance(**env) as server:
        yield server


@pytest.fixture
def endpoint(site):
    with Endpoint(site, "/socket.io/") as endpoint:
        yield endpoint


@pytest.fixture(params=TRANSPORTS)
def session(request, endpoint):
    """An Engine.IO session that has sent nothing."""
    return TRANSPORTS[request.param](endpoint)


@pytest.fixture
def talk(endpoint):
    """A session over WebSocket that is connected to the main namespace."""
    return connected(endpoint)


def connected(endpoint):
    session = WebSocketSession(endpoint)
    session.send("40")
    assert session.receive().startswith("40") and session.receive().startswith("42")
    return session


def is_closed(session, *packets):
    """Send packets, and return whether the server has closed the session then."""
    try:
        session.send(*packets)
        session.ws.recv(0.3)
    except TimeoutError:
        return False
    except (wsclient.Closed, ConnectionError):
        return True
    return False


# -- attachments


def test_nothing_binary_is_taken_before_connect(session):
    session.send(f'451-["message",{PLACEHOLDER}]')
    session.wait_closed()


def test_little_is_taken_before_connect(session):
    session.send("40" + json.dumps({"token": "x" * 33_000}))
    session.wait_closed()


def test_a_message_before_connect_is_refused_by_its_head(endpoint):
    session = WebSocketSession(endpoint)
    session.ws.send_raw(wsclient.frame(wsclient.BINARY, bytes(100_000))[:14])
    assert session.ws.wait_closed()[0] == 1009


def test_an_event_whose_attachments_never_come_ends_its_session(talk):
    started = time.monotonic()
    talk.send(f'452-["message",{PLACEHOLDER},{PLACEHOLDER}]', b"the first of two")
    talk.wait_closed()
    assert time.monotonic() - started >= FINISH


def test_pongs_do_not_extend_the_time_for_attachments(talk):
    talk.send(f'452-["message",{PLACEHOLDER},{PLACEHOLDER}]')
    until(lambda: is_closed(talk, "3"))


def test_unfinished_events_of_one_address_are_bounded():
    piece = bytes(900_000)
    with conformance(**CALM) as site, Endpoint(site, "/socket.io/") as endpoint:
        sessions = [connected(endpoint) for _ in range(20)]
        closed = [is_closed(session, f'453-["message",{PLACEHOLDER}]', piece, piece) for session in sessions]
    assert closed.count(False) == 16 * 1024 * 1024 // (2 * len(piece))


# -- packets


PACKETS = {
    "unknown-events": '42["nobody-listens"]',
    "connects": "40/nowhere,",
    "repeated-connects": "40",
    "acks": "437[]",
    "pongs": "3",
    "noops": "6",
    "upgrades": "5",
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_every_packet_counts(talk, packet):
    until(lambda: is_closed(talk, *[packet] * (TIMES * BURST + FLOOD)))
    assert talk.ws.wait_closed()[0] in (4429, 1006)
    assert talk.endpoint.is_unknown(talk.sid)


def test_the_pings_of_a_websocket_count(talk):
    for _ in range(TIMES * BURST + FLOOD + 5):
        talk.ws.send_frame(wsclient.PING, b"x")
    assert talk.wait_closed() == 4429


def test_connects_before_any_log_in_count(endpoint):
    session = WebSocketSession(endpoint)
    session.send(*["40/nowhere,"] * (TIMES * BURST + 1))
    answers = [json.loads(session.receive().partition(",")[2]) for _ in range(TIMES * BURST + 1)]
    assert [one["message"] for one in answers[:-1]] == ["Invalid namespace"] * (TIMES * BURST)
    assert answers[-1]["data"]["code"] == "rate_limited" and answers[-1]["data"]["retry_after"] > 0


def test_events_over_the_rate_are_dropped_and_logged(talk, site):
    talk.send(*(f'42["message",{number}]' for number in range(TIMES * BURST + 3)))
    site.wait_log("events were dropped")
    talk.send("41")
    until(lambda: talk.endpoint.ask(sid=talk.sid).status in (200, 400))


def test_a_refused_binary_event_is_skipped_and_the_session_goes_on(talk):
    talk.send(*['42["nobody-listens"]'] * (TIMES * BURST - 1))
    talk.send(f'452-["message",{PLACEHOLDER},{PLACEHOLDER}]', b"one", b"two")
    until(lambda: is_answered(talk))
    assert all(frame.opcode != wsclient.BINARY for frame in talk.ws.log)


def is_answered(talk):
    """Whether an event is answered; the next one is sent at a pace that the server allows."""
    talk.send('42["message","again"]')
    try:
        return talk.ws.recv(1 / RATE) == '42["message-back","again"]'
    except TimeoutError:
        return False
