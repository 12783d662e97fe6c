"""Signs of life: who vanished is out in time, who answers stays, and nothing is held open for ever."""

import time

import pytest

from tests.integration.named_clients import connect_as, entering, settle, wait_for_users
from tests.servers import Server
from tests.wsclient import CONTINUATION, PING, TEXT, Closed, frame, text_frame

INTERVAL, TIMEOUT, GRACE, MESSAGE = 0.5, 0.5, 0.3, 0.8
#: Seconds beyond the promised time that a busy machine may take.
SLACK = 1.5


@pytest.fixture(scope="module")
def site():
    env = {
        "CHAT_PING_INTERVAL": INTERVAL,
        "CHAT_PING_TIMEOUT": TIMEOUT,
        "CHAT_ROSTER_GRACE": GRACE,
        "CHAT_MESSAGE_TIMEOUT": MESSAGE,
    }
    with Server("gunicorn-gevent", env) as server:
        yield server


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


@pytest.fixture
def viewer(enter):
    return enter("viewer", query="&roster=diff")


def test_a_vanished_client_leaves_the_roster_in_time(site, viewer):
    with connect_as(site, "ghost", auto_pong=False) as ghost:
        wait_for_users(viewer, "ghost")
        began = time.monotonic()
        viewer.recv_until(lambda m: "ghost" in m.get("left", ()))
        took = time.monotonic() - began
        assert INTERVAL < took < INTERVAL + TIMEOUT + GRACE + SLACK
        assert ghost.wait_closed()[0] == 1006
        assert [got.opcode for got in ghost.log].count(PING) == 1


def test_a_client_that_only_answers_pings_stays(site, enter):
    with connect_as(site, "quiet") as quiet:
        pings, began = 0, time.monotonic()
        while pings < 4:
            pings += quiet.recv_frame().opcode == PING
        assert time.monotonic() - began > INTERVAL + TIMEOUT
        settle(quiet, enter("witness"))


def test_any_traffic_counts_as_a_sign_of_life(site, enter):
    """Whatever comes from a client is a sign of life, an answer to nothing too."""
    with connect_as(site, "talker", auto_pong=False) as talker:
        end = time.monotonic() + 2 * (INTERVAL + TIMEOUT)
        while time.monotonic() < end:
            talker.send_json({"type": 1})
            assert "talker" in talker.recv_json(type=1)["data"]
            time.sleep(INTERVAL / 4)  # its own pace, not a wait for something
        settle(talker, enter("witness"))


def test_an_unanswered_close_ends_the_connection_in_time(site):
    with connect_as(site, "mute") as mute:
        mute.recv_json(type=1)
        mute.send_raw(frame(TEXT, b"{}", mask=False))
        with pytest.raises(Closed, match="1002"):
            mute.recv_until(lambda m: False)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            keep_pinging(mute)  # the server has let go, whatever we still say
        assert time.monotonic() - began < 2 + SLACK


def keep_pinging(client, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client.send_raw(frame(PING))
        time.sleep(0.05)


HALVES = {
    "a frame": text_frame({"type": 2, "data": "never whole"})[:-3],
    "a head": text_frame({"type": 2, "data": "never whole"})[:1],
    "a fragment": frame(TEXT, b'{"type":2,', fin=False),
    "fragments and pings": frame(TEXT, b"a", fin=False) + frame(PING) + frame(CONTINUATION, b"b", fin=False),
}


def test_an_unfinished_message_ends_the_socket_in_time(enter):
    # a pong would come to lie within the half one
    sockets = [enter(f"half{i}", auto_pong=False) for i in range(len(HALVES))]
    began = time.monotonic()
    for held, half in zip(sockets, HALVES.values(), strict=True):
        held.send_raw(half)
    for held, kind in zip(sockets, HALVES, strict=True):
        assert held.wait_closed()[0] == 4408, kind
        assert MESSAGE - 0.1 < time.monotonic() - began < MESSAGE + SLACK, kind


def test_a_client_that_always_has_a_message_begun_stays(site):
    whole = text_frame({"type": 2, "data": "steady"})
    with connect_as(site, "steady") as steady:
        steady.recv_json(type=1)
        steady.send_raw(whole[:4])
        end = time.monotonic() + 1.5 * MESSAGE
        while time.monotonic() < end:
            steady.send_raw(whole[4:] + whole[:4])
            steady.recv_json(type=2, data="steady")
            time.sleep(0.1)  # its own pace
        steady.send_raw(whole[4:])
        steady.recv_json(type=2, data="steady")
