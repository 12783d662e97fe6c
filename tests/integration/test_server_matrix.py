"""Every server that a Flask site runs on, each as its own process, with real clients: all sockets parked."""

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import wsclient
from tests.leftovers import descendants
from tests.servers import KINDS, Server
from tests.wsclient import BINARY, CLOSE, PING, PONG, Closed, close_payload, frame

WELCOME = "欢迎欢迎,热烈欢迎,进入聊天室"
GEVENT_WEBSOCKET_KINDS = {"gunicorn-geventwebsocket", "pywsgi-websocket"}
DRAINING_KINDS = [kind for kind, (_, _, drains) in KINDS.items() if drains]
#: Room for a 60 KB message, no rate to wait for, a roster that follows at once.
ROOMY = {"CHAT_MAX_MESSAGE_CHARS": "70000", "CHAT_RATE_LIMIT": "0", "CHAT_ROSTER_GRACE": "0.2"}
#: A silent client is gone after a second.
BRISK = {**ROOMY, "CHAT_PING_INTERVAL": "0.5", "CHAT_PING_TIMEOUT": "0.5"}


def matrix_app(kind):
    if kind == "flask-run":
        return "tests.matrix_app:create_app"
    if kind == "gunicorn-gthread":
        return "tests.matrix_app:create_app()"
    return "tests.matrix_wsgi:app"


def start(kind, env):
    return Server(kind, env, matrix_app(kind))


@pytest.fixture(scope="module", params=KINDS)
def site(request):
    with start(request.param, ROOMY) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def brisk_site(request):
    with start(request.param, BRISK) as server:
        yield server


@pytest.fixture
def two(site):
    """Alice and Bob, connected and past their first list."""
    with site.socket("alice") as alice, site.socket("bob") as bob:
        for client in (alice, bob):
            client.recv_until(lambda m: names_in(m) >= {"alice", "bob"})
        yield alice, bob


def names_in(message):
    """The user names of a GroupList; none for any other message."""
    if message["type"] != 1:
        return set()
    return {user["username"] for user in json.loads(message["data"])}


# -- talking


def test_a_new_client_gets_the_welcome_and_then_the_roster(site):
    with site.socket("alice") as alice:
        assert json.loads(alice.recv()) == {"type": 2, "user": None, "data": WELCOME}
        listing = json.loads(alice.recv())
    assert (listing["type"], listing["user"], listing["room"]) == (1, None, "lobby")
    assert "alice" in names_in(listing)


def test_a_group_message_reaches_everyone_and_its_sender(site, two):
    alice, bob = two
    alice.send_json({"type": 2, "data": "大家好 😀", "id": "g1"})
    ack = alice.recv_json(type=4, ref="g1")
    for client in (alice, bob):
        heard = client.recv_json(type=2, data="大家好 😀")
        assert heard["user"]["username"] == "alice"
        assert heard["seq"] == ack["seq"]


def test_a_direct_message_reaches_its_receiver_alone(site, two):
    alice, bob = two
    with site.socket("carol") as carol:
        carol.recv_json(type=1)
        alice.send_json({"type": 3, "to": "bob", "data": "just you"})
        alice.send_json({"type": 2, "data": "everyone"})
        assert bob.recv_json(type=3)["data"] == "just you"
        assert all(
            message["type"] != 3 for message in carol.recv_until(lambda m: m.get("data") == "everyone")
        )


def test_the_roster_follows_connects_and_disconnects(site, two):
    alice, _ = two
    with site.socket("dave"):
        alice.recv_until(lambda m: "dave" in names_in(m))
    alice.recv_until(lambda m: m["type"] == 1 and "dave" not in names_in(m))
    alice.send_json({"type": 1})
    assert "dave" not in names_in(alice.recv_json(type=1))


def test_sixty_kilobytes_go_both_ways(site, two):
    alice, bob = two
    text = "".join(chr(32 + i * 7 % 90) for i in range(60_000))
    alice.send_json({"type": 2, "data": text})
    assert alice.recv_json(type=2)["data"] == text
    assert bob.recv_json(type=2)["data"] == text


def test_a_fragmented_message_with_a_ping_between_its_pieces(site, two):
    alice, bob = two
    text = json.dumps({"type": 2, "data": "一二三四五六七八九十" * 50}, ensure_ascii=False)
    alice.send_fragmented(text, pieces=7, between=frame(PING, b"between"))
    assert bob.recv_json(type=2)["data"] == "一二三四五六七八九十" * 50
    alice.recv_json(type=2)
    assert [got.payload for got in alice.log if got.opcode == PONG] == [b"between"] * 6


def test_binary_is_answered_with_an_error_alone(site, two):
    alice, bob = two
    alice.send_frame(BINARY, b"\x00\x01")
    assert alice.recv_json(type=0)["code"]
    alice.send_json({"type": 2, "data": "still here"})
    assert bob.recv_json(type=2)["data"] == "still here"


# -- ping and close


def test_a_ping_is_answered_with_its_payload(site, two):
    alice, _ = two
    alice.ping(b"")
    alice.ping(b"x" * 125)


def test_a_client_that_closes_gets_its_close_frame_back(site, two):
    alice, bob = two
    assert alice.close(1000, "bye")[0] == 1000
    bob.recv_until(lambda m: m["type"] == 1 and "alice" not in names_in(m))


def test_a_client_that_resets_leaves_the_roster(site, two):
    alice, bob = two
    alice.abort()
    bob.recv_until(lambda m: m["type"] == 1 and "alice" not in names_in(m))


def test_the_server_closes_a_client_that_violates_the_protocol(site, two):
    alice, bob = two
    alice.send_raw(frame(wsclient.TEXT, b"{}", mask=False))
    assert alice.wait_closed()[0] == 1002
    bob.recv_until(lambda m: m["type"] == 1 and "alice" not in names_in(m))


def test_a_bad_token_is_reported_and_closed_whatever_came_with_the_handshake(site, two):
    _, bob = two
    early = wsclient.text_frame({"type": 2, "data": "smuggled"})
    with site.socket(token="not.a.token", early=early) as stranger:
        error = stranger.recv_json(type=0)
        assert (error["data"], error["code"]) == ("token过期", "token_invalid")
        assert stranger.wait_closed()[0] == 4401
    bob.recv_nothing()


def test_the_servers_pings_are_sent_and_a_client_that_answers_stays(brisk_site):
    with brisk_site.socket("alice") as alice:
        pings = 0
        while pings < 3:  # more than interval and timeout together
            pings += alice.recv_frame().opcode == PING
        alice.send_json({"type": 2, "data": "alive"})
        assert alice.recv_json(type=2, data="alive")


def test_a_client_that_vanished_leaves_the_roster(brisk_site):
    with brisk_site.socket("dave", query="&roster=diff") as dave, brisk_site.socket("carol") as carol:
        dave.recv_until(lambda m: m["type"] == 5 and "carol" in {user["username"] for user in m["joined"]})
        gone = dave.recv_json(type=5, left=["carol"], timeout=6)
        assert gone["joined"] == []
        assert carol.wait_closed()[0] in (1001, 1006, 4408)


# -- readers that do not read


def test_a_stalled_reader_delays_no_client_and_its_stream_stays_whole(site):
    texts = [f"{i:04d}" + chr(33 + i) * 50_000 for i in range(60)]  # 3 MB: past every socket buffer
    with site.socket("alice") as alice, site.socket("bob") as bob, site.socket("carol", rcvbuf=4096) as slow:
        for client in (alice, bob, slow):
            client.recv_until(lambda m: names_in(m) >= {"alice", "bob", "carol"})
        for text in texts:
            alice.send_json({"type": 2, "data": text})
            alice.recv_json(type=2, data=text)
        assert [bob.recv_json(type=2)["data"] for _ in texts] == texts
        assert [slow.recv_json(type=2)["data"] for _ in texts] == texts
        assert frames_of_texts(slow) == frames_of_texts(bob)


def frames_of_texts(client):
    return [
        got.payload
        for got in client.log
        if got.payload.startswith(b'{"type":2') and len(got.payload) > 50_000
    ]


# -- beside the site's own


def test_the_sites_own_websocket_routes_still_work(site):
    # gevent-websocket upgrades by itself, so that no flask-sock route works on it, chat or no chat.
    path = "/own/native" if site.kind in GEVENT_WEBSOCKET_KINDS else "/own/echo"
    with wsclient.connect("127.0.0.1", site.port, path) as own:
        for text in ("hello", "再见", "x" * 4_000):
            own.send_text(text)
            assert own.recv() == text
        own.send_frame(CLOSE, close_payload(1000))
        with pytest.raises(Closed):
            own.recv()


def test_parked_sockets_block_no_thread_and_no_page(site):
    with ExitStack() as open_sockets:
        site.get("/healthz")
        before = threads(site.pid)
        for _ in range(20):
            open_sockets.enter_context(site.socket("erin")).recv_json(type=1)
        began = time.monotonic()
        assert site.get("/healthz")[0] == 200
        assert time.monotonic() - began < 2
        assert threads(site.pid) - before < 10


def threads(pid):
    """How many threads a process and its descendants have."""
    return sum(len(list(Path(f"/proc/{one}/task").iterdir())) for one in (pid, *descendants(pid)))


# -- the end: the last test of each server, which it stops


@pytest.mark.parametrize("site", DRAINING_KINDS, indirect=True)
def test_sigterm_closes_with_1012_at_once_while_a_page_is_still_served(site):
    with site.socket("alice") as alice:
        alice.recv_json(type=1)
        page = Page(site, "/slow?seconds=4")
        alice.recv_json(type=2, data="slow page begun")
        site.signal(15)
        began = time.monotonic()
        assert alice.wait_closed(timeout=2)[0] == 1012
        assert time.monotonic() - began < 2
        assert page.answer() == (200, "slow page done")
        assert site.wait_exit(15) == 0, site.log()


@pytest.mark.parametrize("brisk_site", DRAINING_KINDS, indirect=True)
def test_sigterm_on_an_idle_server_ends_it_cleanly(brisk_site):
    with brisk_site.socket("alice") as alice:
        alice.recv_json(type=1)
        brisk_site.signal(15)
        assert alice.wait_closed(timeout=2)[0] == 1012
        assert brisk_site.wait_exit(10) == 0, brisk_site.log()
        assert "Traceback" not in brisk_site.log()


class Page:
    """A GET that runs while the test goes on."""

    def __init__(self, server, path):
        self._thread = threading.Thread(target=self._get, args=(server, path), daemon=True)
        self._answer = None
        self._thread.start()

    def _get(self, server, path):
        status, _, body = server.get(path, timeout=30)
        self._answer = status, body

    def answer(self):
        self._thread.join(30)
        return self._answer
