"""The worst texts of Unicode, by every entry of a running server: what they cost it, and that others go on.

The server's processor time is counted, which a busy machine does not change. What is looked for took 200 ms a text.
"""

import json
import os
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests import wsclient
from tests.integration.socketio_raw import RawClient
from tests.integration.socketio_wire import Endpoint
from tests.leftovers import descendants
from tests.servers import Server
from tests.tokens import token
from tests.worst_texts import TEXTS

MAX_CHARS = 10_000
#: Half a surrogate makes a message invalid JSON, which has no id to answer, and ends a Socket.IO session.
VALID = {name: make for name, make in TEXTS.items() if name != "half surrogates"}
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    with Server("gunicorn-gevent", {"CHAT_RATE_LIMIT": 0}) as server:
        yield server


def cpu_seconds(server):
    """The processor time of the server's processes."""
    stats = (Path(f"/proc/{pid}/stat").read_text() for pid in (server.pid, *descendants(server.pid)))
    return sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats) / TICKS


@pytest.fixture
def cost(server):
    """cost() is the processor time that the server has taken since the test began, or since the last call."""
    at = cpu_seconds(server)

    def cost():
        nonlocal at
        before, at = at, cpu_seconds(server)
        return at - before

    return cost


def message(text, id):
    return wsclient.frame(
        wsclient.TEXT, json.dumps({"type": 2, "room": "lobby", "data": text, "id": id}).encode()
    )


def answer_to(client, id):
    """The Ack or the Error that a message got."""
    return client.recv_until(
        lambda answer: answer["type"] in (0, 4) and id in (answer.get("ref"), answer.get("id"))
    )[-1]


def test_others_go_on_while_one_user_sends_the_worst(server, cost):
    text = TEXTS["three runs"](MAX_CHARS)
    with server.socket("ann") as ann, server.socket("bob") as bob:
        for number in range(2):
            bob.send_raw(message("hello", f"hello{number}"))
            answer_to(bob, f"hello{number}")
        cost()
        for number in range(60):
            ann.send_raw(message(text, f"ann{number}"))
        bob.send_raw(message("ping", "ping"))
        answer_to(bob, "ping")
        answer_to(ann, "ann59")
        assert cost() < 3  # 13 to 17 s before
        found = ask(server, "GET", f"/search?{urlencode({'q': 'hello', 'limit': 1})}", name="bob")
        assert [one["data"] for one in found[1]["messages"]] == ["hello"]
        assert cost() < 1  # 13 to 17 s before


def test_every_text_as_a_message_on_the_raw_wire(server, cost):
    with server.socket("cy") as client:
        for number, (name, make) in enumerate(VALID.items()):
            for length in (MAX_CHARS, MAX_CHARS + 1):
                id = f"{number}x{length}"
                client.send_raw(message(make(length), id))
                answer = answer_to(client, id)
                assert answer["type"] in (0, 4), name
                assert length == MAX_CHARS or answer["code"] in ("too_long", "bad_characters"), (name, answer)
    assert cost() < 0.05 * 2 * len(TEXTS)


def test_every_text_in_every_field_of_an_event(server, cost):
    with Endpoint(server, "/socket.io/") as endpoint:
        client = RawClient(endpoint, "dan")
        for make in VALID.values():
            text = make(MAX_CHARS)
            client.call("group_chat", {"data": text})
            client.call("single_chat", {"to": text[:64], "data": "hi"})
            client.call("single_chat", {"to_id": text[:250], "data": "hi"})
            client.call("join", {"room": text[:250]})
            client.call("read", {"room": "lobby", "seq": text[:250], "id": text[:65]})
    assert cost() < 0.1 * len(TEXTS)


def ask(server, method, path, value=None, name="eve"):
    headers = {"Authorization": f"Bearer {token(name)}", "Content-Type": "application/json"}
    status, _, body = server.request(method, f"/chat/api{path}", value and json.dumps(value), headers)
    return status, json.loads(body)


def test_every_text_in_every_field_of_the_api(server, cost):
    for number, (name, make) in enumerate(TEXTS.items()):
        requests = [
            ("POST", "/rooms", {"title": make(64), "kind": "public"}),
            ("POST", "/rooms", {"title": f"{number}", "kind": "private", "topic": make(250)}),
            ("POST", "/rooms", {"title": make(2_500), "kind": "private", "topic": make(2_500)}),
            ("GET", f"/search?{part(q=make(100))}", None),
            ("GET", f"/search?{part(q='x', before=make(400))}", None),
            ("GET", f"/directory?{part(q=make(100), after=make(250))}", None),
            ("GET", f"/rooms/{quoted(make(250))}", None),
            ("GET", f"/rooms/lobby/members?{part(after=make(250))}", None),
            ("POST", "/rooms/lobby/members", {"username": make(250)}),
            ("GET", f"/users/{quoted(make(250))}", None),
        ]
        for method, path, value in requests:
            status, answer = ask(server, method, path, value)
            assert status < 500, (name, path, answer)
    assert cost() < 0.3 * len(TEXTS)


def quoted(text):
    return quote(fitting(text), safe="", errors="replace")


def part(**query):
    return urlencode({name: fitting(text) for name, text in query.items()}, errors="replace")


def fitting(text):
    """As much of a text as a request line has room for twice: gunicorn takes 4,094 bytes."""
    return text[: 250 * len(text) * 6 // len(quote(text, safe="", errors="replace"))]


def test_every_text_as_name_and_password(server, cost):
    for name, make in TEXTS.items():
        for username, password in ((make(200), make(1024)), (make(10_000), make(10_000))):
            status, answer = server.post_json("/api/login", {"username": username, "password": password})
            assert status in (400, 401, 413, 429), (name, answer)
    assert cost() < 0.2 * len(TEXTS)  # most of it for argon2
