"""Two servers on one database, with nothing else between them: who is on one hears what is said on the other."""

import time
from itertools import pairwise

import pytest

from tests.databases import DATABASES, stored
from tests.integration.named_clients import ask, make_room, wait_for_users
from tests.resumer import DIRECT, GROUP, JOIN, LEAVE, SYNCED, said
from tests.resuming_client import Crowd, ResumingClient, check_against
from tests.servers import Server
from tests.tokens import token as make_token

#: Seconds within which what was stored on one server must have reached the other's sockets: 1 by default, and some
#: for a busy machine.
IN_TIME = 3.0
READ, ROOMS = 10, 11


@pytest.fixture(scope="module", params=DATABASES)
def database(request, fresh_database):
    return fresh_database(request.param)


@pytest.fixture(scope="module")
def sites(database):
    env = {"CHAT_DATABASE_URL": database, "CHAT_RATE_LIMIT": "0", "CHAT_INVITATIONS": "direct"}
    with Server("gunicorn-gevent", env) as one, Server("gunicorn-gevent", env) as other:
        yield one, other


@pytest.fixture
def enter_at(sites):
    """enter_at(0, "ann") opens a socket on the first server, extended and in the lobby; closed after the test."""
    opened = []

    def enter_at(number, name, **options):
        client = sites[number].socket(query="&roster=diff", **{"token": make_token(name), **options})
        opened.append(client)
        wait_for_users(client, name)
        return client

    yield enter_at
    for client in opened:
        client.sock.close()


def test_a_message_crosses_to_the_other_server_in_time(enter_at):
    speaker, listener = enter_at(0, "ann"), enter_at(1, "bob")
    for text in ("first", "second", "third"):
        speaker.send_json({"type": GROUP, "data": text})
        began = time.monotonic()
        listener.recv_json(type=GROUP, data=text, timeout=IN_TIME)
        assert time.monotonic() - began < IN_TIME


def test_all_clients_send_at_once_and_receive_the_same_order(sites, database):
    make_room(sites[0], "den")
    clients = [ResumingClient(sites[number % 2], f"c{number}", ("lobby", "den")) for number in range(6)]
    with Crowd(clients) as crowd:
        crowd.until_synced()
        for client in clients:
            client.next_message = speak_in_both
            client.talk()
        crowd.until(lambda: all(len(client.acked) >= 100 for client in clients))
        crowd.until_acked()
        store = stored(database)
        crowd.until_heard({room: len(messages) for room, messages in store.items()})
    check_against(store, clients)
    servers = [int(one.sender[-1]) % 2 for one in store["den"]]
    turns = sum(before != after for before, after in pairwise(servers))
    assert turns > 5, "the servers hardly wrote at the same time"


def speak_in_both(client):
    return client.say(("lobby", "den")[len(client.said) % 2], "hi")


def test_a_client_that_changes_servers_resumes(sites, database):
    talker = ResumingClient(sites[0], "ann", ("lobby",), window=2)
    wanderer = ResumingClient(sites[0], "bob", ("lobby",))
    with Crowd([wanderer, talker]) as crowd:
        for number in range(8):
            crowd.until_synced()
            heard = len(wanderer.views["lobby"].heard)
            talker.next_message = up_to(100 * (number + 1))
            talker.talk()
            crowd.until(lambda heard=heard: len(wanderer.views["lobby"].heard) > heard)
            wanderer.server = sites[1 - number % 2]
            wanderer.socket.sock.close()
            wanderer.connect()
        crowd.until_acked()
        store = stored(database)
        crowd.until_heard({"lobby": len(store["lobby"])})
    check_against(store, crowd.clients)
    assert wanderer.connections == 9 and len(wanderer.views["lobby"].heard) == len(talker.said)


def up_to(count):
    """A next_message that ends with so many in all: without an end a quick server says more than CHAT_REPLAY_MAX in
    the second that the other one may be behind."""
    return lambda client: client.say("lobby", "hi") if len(client.said) < count else None


def test_a_direct_message_reaches_every_socket_of_both_users(enter_at, database):
    sockets = {(name, number): enter_at(number, name) for name in ("carl", "dora") for number in (0, 1)}
    for number in range(30):
        for (name, place), client in sockets.items():
            other = "dora" if name == "carl" else "carl"
            client.send_json({"type": DIRECT, "to": other, "data": f"{place}{number}"})
    heard = {key: [] for key in sockets}
    for key, client in sockets.items():
        while len(heard[key]) < 90:  # all but its own
            heard[key].append(said(client.recv_json(type=DIRECT)))
    store = stored(database)["dm:id-carl:id-dora"]
    for (name, place), messages in heard.items():
        own = [one for one in store if one.sender == f"id-{name}" and one.data[0] == str(place)]
        assert len(own) == 30
        assert messages == [one for one in store if one not in own]


def test_the_first_messages_of_two_simultaneous_senders_reach_both(sites, enter_at):
    names = [f"early{number}" for number in range(6)]
    tokens = dict(zip(names, sites[0].cli("token", "--create", *names).split(), strict=True))
    for left, right in zip(names[::2], names[1::2], strict=True):
        one, other = enter_at(0, left, token=tokens[left]), enter_at(1, right, token=tokens[right])
        one.send_json({"type": DIRECT, "to": right, "data": "hello"})
        other.send_json({"type": DIRECT, "to": left, "data": "hi"})
        assert one.recv_json(type=DIRECT, timeout=IN_TIME)["data"] == "hi"
        assert other.recv_json(type=DIRECT, timeout=IN_TIME)["data"] == "hello"


def test_a_read_position_is_known_on_the_other_server(enter_at):
    here, there = enter_at(0, "erin"), enter_at(1, "erin")
    here.send_json({"type": GROUP, "data": "to be read", "id": "read-1"})
    seq = here.recv_json(type=GROUP, id="read-1")["seq"]
    here.send_json({"type": READ, "room": "lobby", "seq": seq})
    wanted = {"type": READ, "room": "lobby", "seq": seq, "unread": 0, "mentions": 0}
    assert here.recv_json(type=READ) == there.recv_json(type=READ, timeout=IN_TIME) == wanted


def test_access_to_a_private_room_changes_on_the_other_server(sites, enter_at):
    guest = sites[0].token("frank")
    room = ask(sites[0], "POST", "/rooms", {"title": "attic", "kind": "private"}, name="ann")["name"]
    with sites[1].socket(token=guest, query="&roster=diff") as frank:
        frank.send_json({"type": JOIN, "room": room, "id": "too early"})
        assert frank.recv_json(ref="too early")["code"] == "unknown_room"
        member = ask(sites[0], "POST", f"/rooms/{room}/members", {"username": "frank"}, name="ann")
        told = frank.recv_json(type=ROOMS, timeout=IN_TIME)
        assert (told["room"], told["change"]) == (room, "joined")
        frank.send_json({"type": JOIN, "room": room})
        assert frank.recv_json(type=SYNCED)["recovered"]
        ann = enter_at(0, "ann")
        ann.send_json({"type": JOIN, "room": room})
        ann.recv_json(type=SYNCED)
        ann.send_json({"type": GROUP, "room": room, "data": "welcome"})
        frank.recv_json(type=GROUP, data="welcome", timeout=IN_TIME)
        ask(sites[0], "DELETE", f"/rooms/{room}/members/{member['id']}", name="ann")
        frank.recv_json(type=LEAVE, room=room, timeout=IN_TIME)
        ann.send_json({"type": GROUP, "room": room, "data": "he is gone"})
        ann.recv_json(type=GROUP, data="he is gone")
        ann.send_json({"type": GROUP, "data": "the end"})
        assert "he is gone" not in [
            m.get("data") for m in frank.recv_until(lambda m: m.get("data") == "the end")
        ]


def test_a_process_without_clients_can_send_a_message_of_the_site(sites, enter_at):
    listeners = [enter_at(number, name) for number, name in enumerate(("ann", "bob"))]
    sites[0].cli("send", "lobby", "from the command line")
    heard = [one.recv_json(type=GROUP, data="from the command line", timeout=IN_TIME) for one in listeners]
    assert heard[0] == heard[1] and heard[0]["user"] is None
    listeners[0].send_json({"type": GROUP, "data": "was it once?"})
    for one in listeners:
        *between, last = one.recv_until(lambda message: message.get("data") == "was it once?")
        assert not [message for message in between if message["type"] == GROUP]
        assert last["seq"] == heard[0]["seq"] + 1
