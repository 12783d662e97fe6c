"""What the JSON API changes, the sockets of those whom it concerns hear at once; and what they say, it shows."""

import json
from contextlib import ExitStack

import pytest

from tests.integration.api_users import part
from tests.servers import Server

NAMES = ("ann", "bob", "eve")


class Caller:
    """A user of a real server: asks its API, opens sockets."""

    def __init__(self, site, name, stack):
        self._site, self.name, self._stack = site, name, stack
        self._headers = {"Authorization": f"Bearer {site.token(name)}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None):
        """(status, JSON) of one request."""
        raw = None if body is None else json.dumps(body)
        status, _, text = self._site.request(method, f"/chat/api{path}", raw, self._headers)
        return status, json.loads(text) if text else None

    def make(self, title, kind="public"):
        return self.ask("POST", "/rooms", {"title": title, "kind": kind})[1]["name"]

    @property
    def id(self):
        return self.ask("GET", f"/users/{self.name}")[1]["id"]

    def enter(self, *rooms, extended=True):
        """A socket that has joined these rooms."""
        socket = self._stack.enter_context(self._site.socket(self.name, query="&lang=en" if extended else ""))
        socket.recv_json(type=1)
        for room in rooms:
            socket.send_json({"type": 6, "room": room})
            socket.recv_json(type=8, room=room)
        return socket


def until_fence(socket):
    """All that a socket hears before something that it says now."""
    socket.send_json({"type": 2, "data": "fence"})
    return socket.recv_until(lambda message: message.get("data") == "fence")


@pytest.fixture(scope="module")
def site():
    with Server("gunicorn-gevent", {"CHAT_ROSTER_GRACE": "0.1", "CHAT_INVITATIONS": "direct"}) as server:
        yield server


@pytest.fixture
def people(site):
    with ExitStack() as stack:
        yield [Caller(site, name, stack) for name in NAMES]


@pytest.fixture
def ann(people):
    return people[0]


@pytest.fixture
def bob(people):
    return people[1]


@pytest.fixture
def eve(people):
    return people[2]


def test_all_sockets_of_a_user_are_notified_of_a_changed_room_list(ann, bob):
    tabs, other = [ann.enter(), ann.enter()], bob.enter()
    room = ann.make("news", "private")
    for tab in tabs:
        assert tab.recv_json(type=11) == {"type": 11, "room": room, "change": "joined"}
    ann.ask("POST", f"/rooms/{room}/members", {"username": "bob"})
    assert other.recv_json(type=11) == {"type": 11, "room": room, "change": "joined"}
    ann.ask("PATCH", f"/rooms/{room}/members/{part(bob.id)}", {"role": "admin"})
    assert other.recv_json(type=11) == {"type": 11, "room": room, "change": "updated"}
    bob.ask("POST", f"/rooms/{room}/leave")
    assert other.recv_json(type=11) == {"type": 11, "room": room, "change": "left"}


def test_clients_in_a_room_are_notified_of_a_new_title(ann, bob):
    room = ann.make("before", "private")
    ann.ask("POST", f"/rooms/{room}/members", {"username": "bob"})
    inside = bob.enter(room)
    ann.ask("PATCH", f"/rooms/{room}", {"title": "after"})
    assert inside.recv_json(type=11) == {"type": 11, "room": room, "change": "updated"}


def test_a_removed_member_receives_no_more_messages(ann, bob):
    room = ann.make("club", "private")
    ann.ask("POST", f"/rooms/{room}/members", {"username": "bob"})
    inside, owner = bob.enter(room), ann.enter(room)
    assert ann.ask("DELETE", f"/rooms/{room}/members/{part(bob.id)}")[0] == 204
    inside.recv_json(type=7, room=room)
    owner.send_json({"type": 2, "room": room, "id": "m1", "data": "gone?"})
    owner.recv_json(type=4)
    assert "gone?" not in [message["data"] for message in until_fence(inside) if message["type"] == 2]


def test_a_seed_client_receives_none_of_these_notices(ann):
    old = ann.enter(extended=False)
    ann.make("quiet")
    ann.ask("POST", "/rooms/lobby/read", {"seq": 0})
    assert {message["type"] for message in until_fence(old)} <= {1, 2}


def test_a_read_position_is_sent_to_the_users_other_sockets_alone(ann, bob):
    ann.make("reading")
    bob.ask("POST", "/rooms/reading/join")
    tab, other = bob.enter("reading"), ann.enter("reading")
    for number in range(3):
        other.send_json({"type": 2, "room": "reading", "id": f"r{number}", "data": "@bob"})
        other.recv_json(type=4)
    assert bob.ask("POST", "/rooms/reading/read", {"seq": 2}) == (200, {"seq": 2, "unread": 1, "mentions": 1})
    assert tab.recv_json(type=10) == {"type": 10, "room": "reading", "seq": 2, "unread": 1, "mentions": 1}
    tab.send_json({"type": 10, "room": "reading", "seq": 3})
    tab.recv_json(type=10, seq=3)
    assert 10 not in [message["type"] for message in until_fence(other)]
    assert "reading" not in bob.ask("GET", "/unread")[1]["rooms"]


def test_a_message_in_the_history_equals_the_one_received(ann, bob):
    ann.make("talk")
    one, other = ann.enter("talk"), bob.enter("talk")
    one.send_json({"type": 2, "room": "talk", "id": "a", "data": "北京 hello"})
    heard = other.recv_json(type=2, room="talk")
    assert bob.ask("GET", "/rooms/talk/messages")[1]["messages"] == [heard]
    assert bob.ask("GET", f"/search?q={part('北京')}&room=talk")[1]["messages"] == [heard]
    one.send_json({"type": 3, "to": "bob", "id": "b", "data": "psst"})
    heard = other.recv_json(type=3)
    assert bob.ask("GET", f"/rooms/{part(heard['room'])}/messages")[1]["messages"] == [heard]


def test_connected_members_are_marked(ann, bob):
    ann.make("presence")
    bob.ask("POST", "/rooms/presence/join")
    bob.enter("presence")
    members = ann.ask("GET", "/rooms/presence/members")[1]["members"]
    assert {member["username"]: member["here"] for member in members} == {"ann": False, "bob": True}


def test_a_banned_users_token_opens_nothing(site, eve):
    assert eve.ask("GET", "/rooms")[0] == 200
    socket = eve.enter()
    site.cli("ban", "eve")
    socket.wait_closed()
    status, body = eve.ask("GET", "/rooms")
    assert (status, body["code"]) in [(401, "token_invalid"), (403, "banned")]
