"""How many may come, how fast they may talk, and how slowly they may listen."""

import json
import time

import pytest

from tests.integration.named_clients import connect_as, entering, received_before, settle, wait_for_users
from tests.servers import Server
from tests.tokens import token
from tests.waiting import until
from tests.wsclient import CLOSE, Closed, Refused, frame, text_frame

# -- places


@pytest.fixture(scope="module")
def small():
    env = {
        "CHAT_MAX_CONNECTIONS": 6,
        "CHAT_MAX_CONNECTIONS_PER_USER": 2,
        "CHAT_MAX_CONNECTIONS_PER_IP": 3,
        "CHAT_TRUSTED_PROXIES": 1,
    }
    with Server("gunicorn-gevent", env) as server:
        yield server


@pytest.fixture
def sit(small):
    """sit(name, address) opens a socket; all leave at the end of the test."""
    opened = []

    def sit(name, address):
        client = small.socket(token=token(name), headers={"X-Forwarded-For": address})
        opened.append(client)
        return client

    yield sit
    for client in opened:
        if client.closed is None:
            client.close()
        client.sock.close()
    until(lambda: json.loads(small.get("/healthz")[2])["connections"] == 0)  # the next test has all places


def turned_away(client):
    """The code of the Error that a socket got first of all, once it was closed with 1013."""
    error = json.loads(client.recv())
    assert error.keys() == {"type", "user", "data", "code"}
    assert client.wait_closed()[0] == 1013
    return error["code"]


def is_in(client):
    return client.recv_json(type=1, room="lobby") is not None


def test_sockets_of_a_user_are_limited_and_a_closed_one_frees_its_place(sit):
    first = sit("ann", "10.0.0.1")
    assert is_in(first) and is_in(sit("ann", "10.0.0.2"))
    assert turned_away(sit("ann", "10.0.0.3")) == "too_many_for_user"
    assert is_in(sit("bob", "10.0.0.3"))
    first.close()
    assert is_in(sit("ann", "10.0.0.4"))


def test_sockets_of_an_address_are_limited_whoever_the_users_are(sit):
    clients = [sit(f"neighbour{i}", "10.0.0.1") for i in range(3)]
    assert all(map(is_in, clients))
    assert turned_away(sit("neighbour3", "10.0.0.1")) == "too_many_for_address"
    assert is_in(sit("neighbour3", "10.0.0.2"))
    clients[0].close()
    assert is_in(sit("neighbour4", "10.0.0.1"))


def test_the_addresses_of_one_ipv6_network_count_as_one(sit):
    clients = [sit(f"neighbour{i}", f"2001:db8:0:7::{i}") for i in range(3)]
    assert all(map(is_in, clients))
    assert turned_away(sit("neighbour3", "2001:db8:0:7:ffff::1")) == "too_many_for_address"
    assert is_in(sit("neighbour3", "2001:db8:0:8::1"))


def test_only_the_address_seen_by_the_proxy_counts(sit):
    forged = [f"192.0.2.{i}, 10.0.0.1" for i in range(4)]
    assert all(is_in(sit(f"liar{i}", address)) for i, address in enumerate(forged[:3]))
    assert turned_away(sit("liar3", forged[3])) == "too_many_for_address"


def test_the_sockets_of_the_server_are_limited(sit, small):
    clients = [sit(f"guest{i}", f"10.0.1.{i}") for i in range(6)]
    assert all(map(is_in, clients))
    assert turned_away(sit("late", "10.0.2.1")) == "server_full"
    assert json.loads(small.get("/healthz")[2])["connections"] == 6
    clients[3].close()
    assert is_in(sit("late", "10.0.2.1"))


def test_sockets_with_bad_tokens_are_not_counted(sit, small):
    clients = [sit(f"guest{i}", f"10.0.1.{i}") for i in range(5)]
    assert all(map(is_in, clients))
    for _ in range(3):
        with small.socket(token="bad", headers={"X-Forwarded-For": "10.0.3.1"}) as stranger:
            assert stranger.recv_json(type=0)["code"] == "token_invalid"
    assert is_in(sit("last", "10.0.3.1"))


def test_without_a_trusted_proxy_a_forged_address_changes_nothing():
    with Server("gunicorn-gevent", {"CHAT_MAX_CONNECTIONS_PER_IP": 2}) as server, entering(server) as enter:
        enter("ann", headers={"X-Forwarded-For": "10.0.0.1"})
        enter("bob", headers={"X-Forwarded-For": "10.0.0.2"})
        with server.socket(token=token("cat"), headers={"X-Forwarded-For": "10.0.0.3"}) as third:
            assert turned_away(third) == "too_many_for_address"


def test_an_address_that_opens_connections_too_fast_is_refused_for_a_moment(small):
    def refusal(address):
        try:
            with small.socket(token="none", headers={"X-Forwarded-For": address}):
                return None
        except Refused as refused:
            return refused

    first = next(found for _ in range(1_000) if (found := refusal("10.0.9.1")))
    assert (first.status, first.headers["retry-after"]) == (429, "5")
    polling = small.get("/socket.io/?EIO=4&transport=polling", {"X-Forwarded-For": "10.0.9.1"})
    assert polling[0] == 429
    assert refusal("10.0.9.2") is None


# -- speed

RATE, BURST, FLOOD = 5, 6, 10


@pytest.fixture(scope="module")
def strict():
    env = {
        "CHAT_RATE_LIMIT": RATE,
        "CHAT_RATE_BURST": BURST,
        "CHAT_FLOOD_LIMIT": FLOOD,
        "CHAT_ROSTER_GRACE": "0.2",
    }
    with Server("gunicorn-gevent", env) as server:
        yield server


@pytest.fixture
def enter(strict):
    with entering(strict) as enter:
        yield enter


def said(number, **fields):
    return text_frame({"type": 2, "data": f"{number}", "id": f"n{number}", **fields})


def answers(client, count):
    """The Acks and Errors to so many messages."""
    got = []
    while len(got) < count:
        message = json.loads(client.recv())
        if message["type"] in (0, 4):
            got.append(message)
    return got


def test_messages_beyond_the_burst_are_refused_with_ref_and_wait(enter):
    fast, other = enter("fast1", "other1")
    fast.send_raw(b"".join(map(said, range(BURST + 3))))
    got = answers(fast, BURST + 3)
    assert [m["ref"] for m in got if m["type"] == 4] == [f"n{i}" for i in range(BURST)]
    errors = [m for m in got if m["type"] == 0]
    assert [(m["code"], m["ref"]) for m in errors] == [("rate_limited", f"n{BURST + i}") for i in range(3)]
    assert all(0 < m["retry_after"] <= 1 / RATE for m in errors)
    time.sleep(errors[-1]["retry_after"] + 0.01)  # as told
    fast.send_raw(said(99))
    assert answers(fast, 1)[0]["ref"] == "n99"
    assert [m["data"] for m in settle(other, fast)[0] if m["type"] == 2][-1] == "99"


def test_a_users_sockets_share_one_rate(enter):
    one = enter("fast2")
    two = enter("fast2")
    for number in range(BURST):
        (one if number % 2 else two).send_raw(said(number))
    answers(one, BURST // 2)
    answers(two, BURST // 2)
    one.send_raw(said(50))
    assert answers(one, 1)[0]["code"] == "rate_limited"


def test_reconnecting_does_not_reset_the_rate(strict):
    with connect_as(strict, "fast3") as first:
        first.recv_json(type=1)
        first.send_raw(b"".join(map(said, range(BURST))))
        answers(first, BURST)
        first.close()
    with connect_as(strict, "fast3") as again:
        again.recv_json(type=1)
        again.send_raw(said(60) + said(61) + said(62))
        assert [m.get("code") for m in answers(again, 3)][-1] == "rate_limited"


def test_every_type_of_message_counts(enter):
    fast = enter("fast4")
    fast.send_raw((text_frame({"type": 1}) + frame(2, b"\x00")) * BURST)
    codes = []
    while len(codes) < 2 * BURST - BURST // 2:
        message = json.loads(fast.recv())
        if message["type"] == 0:
            codes.append(message["code"])
    assert codes.count("rate_limited") == BURST


def test_a_flood_closes_the_socket_and_blocks_its_user_for_a_while(strict, enter):
    flooder, other = enter("flooder", "other5")
    flooder.send_raw(b"".join(map(said, range(BURST + FLOOD + 5))))
    last = flooder.recv_until(lambda m: m.get("code") not in (None, "rate_limited"))[-1]
    assert (last["code"], last["retry_after"]) == ("flooding", BURST / RATE)
    assert flooder.wait_closed()[0] == 4429
    with connect_as(strict, "flooder") as again:
        error = json.loads(again.recv())
        assert error["code"] == "flooding"
        assert 0 < error["retry_after"] <= BURST / RATE
        assert again.wait_closed()[0] == 4429
    time.sleep(error["retry_after"] + 0.05)  # as told
    with connect_as(strict, "flooder") as later:
        later.recv_json(type=1)
    # What was taken before the end was stored and said, though nobody was left to be told so.
    heard = heard_after(other, "settled")
    assert [m["data"] for m in heard if m["type"] == 2 and m["user"]] == [str(n) for n in range(BURST)]


def heard_after(client, text):
    """What `client` has heard until now; its own `text` comes last."""
    client.send_json({"type": 2, "data": text})
    return received_before(client, text)


# -- slow readers

#: More than one message; and, with what a kernel may hold besides, less than the test says.
OUTBOX = 6_000_000
KERNEL = 4_194_304
#: Seconds for which bytes may wait.
BEHIND = 1.5


@pytest.fixture(scope="module")
def patient():
    env = {
        "CHAT_RATE_LIMIT": 0,
        "CHAT_OUTBOX_BYTES": OUTBOX,
        "CHAT_OUTBOX_SECONDS": BEHIND,
        "CHAT_MAX_MESSAGE_CHARS": 100_000,
        "CHAT_ROSTER_GRACE": 0.1,
    }
    with Server("gunicorn-gevent", env) as server:
        yield server


def close_code(client):
    """The close code at the end of all that a slow reader finds at last; its frames are whole to the end."""
    with pytest.raises(Closed) as closed:
        client.recv_until(lambda m: False)
    assert client.log[-1].opcode == CLOSE
    return closed.value.code


def test_a_client_over_its_outbox_is_closed_with_4408_while_others_continue(patient):
    with (
        connect_as(patient, "slow", rcvbuf=4096) as slow,
        connect_as(patient, "speaker") as speaker,
        connect_as(patient, "viewer", "&roster=diff") as viewer,
    ):
        wait_for_users(viewer, "slow", "speaker")
        number = 0
        while connections(patient) == 3:
            assert number * 90_000 < 1.2 * (OUTBOX + KERNEL)
            text = f"{number:03d}" + "x" * 90_000
            speaker.send_json({"type": 2, "data": text})
            settle_on(text, speaker, viewer)
            number += 1
        assert number * 90_000 > OUTBOX
        assert close_code(slow) == 4408
        viewer.recv_until(lambda m: "slow" in m.get("left", ()))
        texts = [json.loads(got.payload)["data"] for got in slow.log if b"xxx" in got.payload]
        assert [text[:3] for text in texts] == [f"{i:03d}" for i in range(len(texts))]
        settle(speaker, viewer)


def settle_on(text, *clients):
    for client in clients:
        received_before(client, text)


def connections(server):
    return json.loads(server.get("/healthz")[2])["connections"]


def test_a_client_that_lags_too_long_is_closed_however_little_waits(patient):
    with connect_as(patient, "dozes", rcvbuf=4096) as dozes, connect_as(patient, "chatty") as chatty:
        wait_for_users(chatty, "dozes")
        began = time.monotonic()
        for number in range(62):  # beyond what the kernel holds, and far below the bound
            text = f"{number:03d}" + "y" * 90_000
            chatty.send_json({"type": 2, "data": text})
            received_before(chatty, text)
        chatty.recv_until(lambda m: m["type"] == 1 and "dozes" not in m["data"])
        assert time.monotonic() - began > BEHIND
        assert close_code(dozes) == 4408


# -- bytes stored a day


def test_beyond_the_days_quota_a_message_is_refused_until_tomorrow(database_url):
    env = {"CHAT_DATABASE_URL": database_url, "CHAT_STORE_QUOTA": 1_000, "CHAT_RATE_LIMIT": 0}
    with Server("gunicorn-gevent", env) as server:
        for _ in range(2):
            with entering(server) as enter:
                ann, bob = enter("ann", "bob")
                ann.send_raw(b"".join(said(number, data="x" * 200) for number in range(4)))
                got = answers(ann, 4)
                assert [m["ref"] for m in got if m["type"] == 4] == ["n0", "n1"]  # repeats the second time
                errors = [m for m in got if m["type"] == 0]
                assert [(m["code"], m["ref"]) for m in errors] == [
                    ("quota_exceeded", f"n{n}") for n in (2, 3)
                ]
                for error in errors:
                    assert 0 < error["retry_after"] <= 86_400
                ann.send_json({"type": 3, "to_id": "id-bob", "data": "x" * 200, "id": "direct"})
                assert ann.recv_json(type=0)["code"] == "quota_exceeded"
                bob.send_json({"type": 2, "data": "may write", "id": f"b{id(bob)}"})
                assert bob.recv_json(type=4)
            server.restart()


# -- requests to the API


def test_requests_of_a_user_and_of_an_address_are_limited():
    env = {
        "CHAT_API_RATE": 0.5,
        "CHAT_API_BURST": 3,
        "CHAT_API_RATE_PER_IP": 0.5,
        "CHAT_API_BURST_PER_IP": 6,
        "CHAT_TRUSTED_PROXIES": 1,
    }
    with Server("gunicorn-gevent", env) as server:

        def ask(name, address):
            headers = {"Authorization": f"Bearer {token(name)}", "X-Forwarded-For": address}
            status, headers, body = server.get("/chat/api/unread", headers)
            return status, headers["Retry-After"], json.loads(body)

        assert [ask("ann", "10.0.0.1")[0] for _ in range(3)] == [200] * 3
        status, retry_after, body = ask("ann", "10.0.0.1")
        assert (status, body["code"]) == (429, "too_many_requests")
        assert 0 < body["retry_after"] <= int(retry_after) <= 2
        assert ask("ann", "10.0.0.2")[0] == 429
        assert [ask("bob", "10.0.0.1")[0] for _ in range(2)] == [200] * 2
        assert ask("cat", "10.0.0.1")[0] == 429
        assert [ask("cat", f"2001:db8::{n}")[0] for n in range(3)] == [200] * 3
        no_token = {"X-Forwarded-For": "10.0.0.9"}
        assert [server.get("/chat/api/unread", no_token)[0] for _ in range(7)] == [401] * 6 + [429]
        # The time that the server asks for.
        time.sleep(int(retry_after))
        assert ask("ann", "10.0.0.3")[0] == 200
