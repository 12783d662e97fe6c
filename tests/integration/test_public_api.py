"""What a site may ask of its chat: say things, see who is there, hear what happens, and add messages of its own."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from tests.integration.api_site_die import DIE
from tests.servers import ROOT, Server
from tests.wsclient import Closed

KINDS = ["gunicorn-gevent", "gunicorn-gthread"]
APP = "tests.integration.api_site:create_app()"
#: Seconds within which what one process asks has reached another: the control table is read twice a second.
CONTROL = 5.0
NAMES = ["alice", "bob", "carol"]


@pytest.fixture(scope="module", params=KINDS)
def site(request):
    with Server(request.param, {"CHAT_ROSTER_GRACE": "0.2"}, APP) as server:
        server.mint = script(
            server, f"for u in chat.users.create_many({NAMES}): print(chat.token_for(u.identity))"
        )
        yield server


def script(server, code):
    """Run `code` as a script of the site's own beside the server: `chat` is its chat."""
    text = (
        "from tests.integration.api_site import create_app\nchat = create_app().extensions['chat']\n" + code
    )
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, env=server.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def enter(site):
    """Open a user's socket and wait for the roster: enter("alice")."""
    with ExitStack() as stack:

        def open_socket(name):
            token = site.mint[NAMES.index(name)]
            client = stack.enter_context(site.socket(token=token))
            client.recv_json(type=1)
            return client

        yield open_socket


def post(site, path, **fields):
    status, _, body = site.request(
        "POST", path, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}
    )
    return status, body


def heard_of(site, name):
    """What the site's receivers heard of one user since its last connect."""
    facts = [fact for fact in json.loads(site.get("/heard")[2]) if fact[1] == name]
    return facts[max(index for index, fact in enumerate(facts) if fact[0] == "connect") :]


def until(question, wanted, timeout=10.0):
    """Ask until the answer is as wanted, and return it."""
    deadline = time.monotonic() + timeout
    while not wanted(answer := question()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)  # the receivers run when they run; only they can tell
    return answer


# -- say


@pytest.mark.parametrize("path", ["/announce", "/announce/thread", "/announce/pool"])
def test_the_site_sends_to_a_room(site, enter, path):
    alice, bob = enter("alice"), enter("bob")
    assert post(site, path, text=f"from {path} 🎉") == (200, "said")
    for client in (alice, bob):
        message = client.recv_json(type=2, data=f"from {path} 🎉")
        assert (message["user"], message["room"]) == (None, "lobby")
        assert message["id"]
        assert message["seq"] > 0


def test_the_site_sends_to_one_user_alone(site, enter):
    alice, bob = enter("alice"), enter("bob")
    assert post(site, "/remind/BOB", text="Your boots are ready.") == (200, "told")
    message = bob.recv_json(type=3)
    assert (message["user"], message["to"], message["data"]) == (None, "bob", "Your boots are ready.")
    post(site, "/announce", text="all")
    assert all(m["type"] != 3 for m in alice.recv_until(lambda m: m.get("data") == "all"))


def test_messages_of_the_site_keep_their_order(site, enter):
    alice = enter("alice")
    for number in range(20):
        post(site, "/announce", text=f"n{number}")
    said = alice.recv_until(lambda m: m.get("data") == "n19")
    assert [m["data"] for m in said if m["type"] == 2] == [f"n{n}" for n in range(20)]
    seqs = [m["seq"] for m in said if m["type"] == 2]
    assert seqs == list(range(seqs[0], seqs[0] + 20))


def test_a_text_that_is_too_long_is_refused_at_the_call(site, enter):
    alice = enter("alice")
    assert post(site, "/announce", text="x" * 10_001)[0] == 500
    post(site, "/announce", text="ok")
    assert alice.recv_json(type=2)["data"] == "ok"


def test_a_script_in_another_process_can_send(site, enter):
    alice, bob = enter("alice"), enter("bob")
    script(site, "chat.send('lobby', '下午好 from a script'); chat.direct('bob', 'psst')")
    assert alice.recv_json(type=2, timeout=CONTROL)["data"] == "下午好 from a script"
    assert bob.recv_json(type=3, timeout=CONTROL)["data"] == "psst"


# -- see


def test_the_roster_names_connected_users(site, enter):
    enter("alice"), enter("bob")
    assert set(json.loads(site.get("/here")[2])) >= {"alice", "bob"}


def test_a_script_sees_the_roster_of_the_server(site, enter):
    enter("alice"), enter("carol")
    assert {"alice", "carol"} <= set(script(site, "print(*[i.username for i in chat.roster('lobby')])"))


def test_a_view_and_a_script_can_kick_a_user(site, enter):
    for ask in (
        lambda: post(site, "/throw-out/carol"),
        lambda: script(site, "chat.kick('carol')"),
    ):
        site.mint[2] = script(site, "print(chat.token_for(chat.users.by_name('carol').identity))")[0]
        carol = enter("carol")
        ask()
        with pytest.raises(Closed) as end:
            carol.recv_until(lambda m: False, timeout=CONTROL)
        assert end.value.code == 4403
    assert post(site, "/throw-out/nobody")[0] == 404


# -- hear


def test_the_signals_of_a_session_are_in_order_and_complete(site, enter):
    alice, bob = enter("alice"), enter("bob")
    alice.send_json({"type": 2, "data": "hello all", "id": "a1"})
    ack = alice.recv_json(type=4, ref="a1")
    alice.send_json({"type": 3, "to": "bob", "data": "hello bob"})
    direct = bob.recv_json(type=3)
    alice.close(1000)
    facts = until(lambda: heard_of(site, "alice"), lambda facts: facts[-1][0] == "disconnect")
    assert facts == [
        ["connect", "alice", True],
        ["message", "alice", "lobby", None, "hello all", "a1", ack["seq"], ack["ts"]],
        ["message", "alice", direct["room"], "bob", "hello bob", direct["id"], direct["seq"], direct["ts"]],
        ["disconnect", "alice", 1000],
    ]


def test_a_repeated_message_is_announced_once(site, enter):
    alice = enter("alice")
    for _ in range(2):
        alice.send_json({"type": 2, "data": "twice", "id": "t1"})
        alice.recv_json(type=4, ref="t1")
    alice.close(1000)
    facts = until(lambda: heard_of(site, "alice"), lambda facts: facts[-1][0] == "disconnect")
    assert [fact[0] for fact in facts] == ["connect", "message", "disconnect"]


def test_a_receiver_that_sleeps_or_fails_delays_no_client(site, enter):
    alice, bob = enter("alice"), enter("bob")
    begun = time.monotonic()
    for text in ("slow", "broken", "after"):
        alice.send_json({"type": 2, "data": text})
    bob.recv_json(type=2, data="after")
    bob.send_json({"type": 2, "data": "me too"})
    until(lambda: heard_of(site, "bob"), lambda facts: facts[-1][4:5] == ["me too"])
    assert time.monotonic() - begun < 1.0, "bob's session waited for alice's receiver"
    facts = until(lambda: heard_of(site, "alice"), lambda facts: facts[-1][4:5] == ["after"])
    assert [fact[4] for fact in facts[1:]] == ["slow", "after"]
    assert "a receiver may fail" in site.log()


# -- add


def test_a_site_adds_a_message_type_of_its_own(site, enter):
    alice, bob = enter("alice"), enter("bob")
    alice.send_json({"type": DIE, "id": "d1"})
    assert alice.recv_json(type=DIE) == {"type": DIE, "ref": "d1"}
    assert bob.recv_json(type=2)["data"] == "⚃"
    alice.send_json({"type": DIE + 1, "id": "d2"})
    assert alice.recv_json(type=0)["code"] == "unknown_type"
