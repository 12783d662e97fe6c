"""Socket.IO over two servers of one worker each: events and messages of one reach the other's clients, and clients of
one are recovered on the other.

Clients are socket.io-client; a test makes them connect to the other server, where they present their pid and offset.
"""

import random
import threading
import time
from itertools import count, cycle, product

import pytest

from chat.socketio import offsets
from tests.databases import stored
from tests.integration.pairs import SOON, two_servers
from tests.integration.socketio_raw import raw_clients
from tests.resumer import ACK, DIRECT, GROUP, JOIN, SYNCED
from tests.socketio_node import TIMEOUT, connecting
from tests.tokens import token
from tests.waiting import until

#: A client that reconnects only when the test says so.
NO_RECONNECT = {"reconnection": False}
#: How often the client moves under load.
MOVES = 20
#: Seconds between two messages of each sender.
PACE = 0.02
#: The least share of moves that must be recovered; the others are complete by `since`.
RECOVERED = 0.8

numbers = count(1)


@pytest.fixture(scope="module", params=["postgresql"])
def database(request, fresh_database):
    return fresh_database(request.param)


@pytest.fixture(scope="module")
def sites(database, valkey_server):
    with two_servers(database, valkey_server.url) as sites:
        yield sites


@pytest.fixture
def connect_to(node, sites):
    """connect_to(0, "ann", namespace="/news") is a stock client on the first server."""
    with connecting(node, None) as connect:
        yield lambda place, *args, **options: connect(*args, at=sites[place], **options)


@pytest.fixture
def den(sites):
    return sites[0].room(f"den {next(numbers)}")


# -- the site's own events


def next_event(client, event="bulletin"):
    """The arguments of the next event, without its offset."""
    *args, offset = client.recv(event, timeout=SOON)
    assert offsets.read(offset)
    return tuple(args)


@pytest.mark.parametrize("path", ["/emit", "/emit/thread"])
def test_an_event_of_a_view_reaches_both_servers(sites, connect_to, path):
    clients = [connect_to(place, namespace="/news") for place in (0, 1)]
    for number, site in enumerate(sites):
        site.emit("bulletin", "大家好", {"number": number}, path=path)
        for client in clients:
            assert next_event(client) == ("大家好", {"number": number})


def test_an_event_of_a_room_reaches_its_members_on_both_servers(sites, connect_to):
    room = f"room {next(numbers)}"
    inside = [connect_to(place, namespace="/news", auth={"room": room}) for place in (0, 1)]
    outside = [connect_to(place, namespace="/news") for place in (0, 1)]
    for number, site in enumerate(sites):
        site.emit("bulletin", f"inside {number}", room=room)
        site.emit("bulletin", f"for all {number}")
        for client in inside:
            assert next_event(client) == (f"inside {number}",)
        for client in (*inside, *outside):
            assert next_event(client) == (f"for all {number}",)


def test_an_event_of_a_namespace_stays_in_it_on_the_other_server(sites, connect_to):
    quiet, news = connect_to(1, namespace="/quiet"), connect_to(1, namespace="/news")
    sites[0].emit("bulletin", "be quiet", namespace="/quiet")
    sites[0].emit("bulletin", "news")
    assert next_event(quiet) == ("be quiet",)
    assert next_event(news) == ("news",)


def test_an_event_to_one_client_reaches_it_on_the_other_server(sites, connect_to):
    one, other = connect_to(1, namespace="/news"), connect_to(1, namespace="/news")
    sites[0].emit("bulletin", "for you", room=one.id)
    sites[0].emit("bulletin", "for all")
    assert next_event(one) == ("for you",)
    assert next_event(other) == ("for all",)


def test_bytes_reach_the_other_server(connect_to):
    clients = [connect_to(place, namespace="/news") for place in (0, 1)]
    clients[0].call("reverse", b"\x00\x01\xff")
    for client in clients:
        assert next_event(client, "reversed") == ({"data": b"\xff\x01\x00"},)


def test_an_event_that_skips_its_sender_reaches_the_other_server(connect_to):
    one, other = connect_to(0, namespace="/news"), connect_to(1, namespace="/news")
    one.emit("tell others", "psst")
    assert next_event(other) == ("psst",)
    one.call("echo")
    assert not one.received("bulletin")


def test_a_recovered_client_gets_what_the_other_server_emitted(sites, connect_to):
    client = connect_to(1, namespace="/news", auth={"room": "sports"}, **NO_RECONNECT)
    sites[0].emit("bulletin", "received", room="sports")
    client.recv("bulletin", timeout=SOON)
    client.cut()
    sites[0].emit("bulletin", "missed", room="sports")
    assert client.reconnect()["recovered"] is True
    assert next_event(client) == ("missed",)


# -- the chat


def join(client, room, **options):
    (answer,) = client.call("join", {"room": room, **options})
    return answer


def send(client, text, room="lobby"):
    (answer,) = client.call("group_chat", {"room": room, "data": text})
    return answer["seq"]


def send_direct(client, to, text):
    """Send a direct message to a user who may have just connected: the user's row is made a moment later."""
    until(lambda: client.call("single_chat", {"to": to, "data": text})[0].get("error") != "unknown_user")


def receive(client, text, event="group_chat"):
    message, *_ = client.recv(event, lambda message, *_: message["data"] == text, timeout=SOON)
    return message


def texts(client, event="group_chat", room=None):
    """The texts of all messages that it received, on all its connections."""
    said = [args[0] for args in client.received(event) if "seq" in args[0]]
    return [message["data"] for message in said if room in (None, message["room"])]


def settle(sender, *clients, room="lobby"):
    """Wait until all have received a last message, and return what each has received in the room before it."""
    word = f"word {next(numbers)}"
    send(sender, word, room)
    for client in clients:
        receive(client, word)
    return [texts(client, room=room)[:-1] for client in clients]


def test_a_group_message_reaches_the_other_server(connect_to, den):
    ann, bob = connect_to(0, "ann"), connect_to(1, "bob")
    for client in (ann, bob):
        join(client, den)
    for sender, listener in ((ann, bob), (bob, ann)):
        for room in ("lobby", den):
            text = f"in {room} {next(numbers)}"
            send(sender, text, room)
            assert receive(listener, text)["room"] == room


def test_a_direct_message_reaches_every_socket_of_both(connect_to):
    carl, dora = f"carl{next(numbers)}", f"dora{next(numbers)}"
    sockets = {(name, place): connect_to(place, name) for name in (carl, dora) for place in (0, 1)}
    for (name, place), sender in sockets.items():
        text = f"{name} at {place}"
        send_direct(sender, dora if name == carl else carl, text)
        for key, client in sockets.items():
            if key != (name, place):
                receive(client, text, "single_chat")


# -- recovered on the other server


def move(client, site):
    """Make it reconnect to the other server, and return whether it was recovered."""
    client.move(site)
    return client.reconnect()["recovered"]


def test_a_client_on_another_server_gets_what_it_missed_once_and_in_order(sites, connect_to, den):
    name = f"ann{next(numbers)}"
    ann, bobs = connect_to(0, name, **NO_RECONNECT), [connect_to(0, "bob"), connect_to(1, "carl")]
    for client in (ann, *bobs):
        join(client, den)
    send_direct(bobs[0], name, "direct before")
    for room in ("lobby", den):
        send(bobs[0], f"before in {room}", room)
    receive(ann, f"before in {den}")
    id = ann.id
    told, direct = [], ["direct before"]
    for turn in range(4):  # to the other server and back, twice
        ann.cut()
        for number in range(2):
            for bob in bobs:
                text = f"missed {turn} {number} {bob.name}"
                send(bob, text), send(bob, text, den), send_direct(bob, name, text)
                told.append(text), direct.append(text)
        assert move(ann, sites[1 - turn % 2]) is True
        assert ann.id == id
        for bob in bobs:
            text = f"live {turn} {bob.name}"
            send(bob, text), send(bob, text, den), send_direct(bob, name, text)
            told.append(text), direct.append(text)
            receive(ann, text, "single_chat")
    for room in ("lobby", den):
        received = settle(bobs[1], ann, room=room)[0]
        assert received[received.index(f"before in {room}") :] == [f"before in {room}", *told]
        assert send(ann, "here", room)
    # There are two senders: the messages of each are in order.
    for bob in bobs:
        said = [text for text in texts(ann, "single_chat") if text.endswith(f" {bob.name}")]
        assert said == [text for text in direct if text.endswith(f" {bob.name}")]
    assert sorted(texts(ann, "single_chat")) == sorted(direct)


def test_subscriptions_follow_a_client_to_the_other_server_and_back(sites, connect_to):
    """Rooms joined and left on the other server count on the first one too."""
    ann, bob = connect_to(0, f"ann{next(numbers)}", **NO_RECONNECT), connect_to(1, "bob")
    early, late = (sites[0].room(f"{title} {next(numbers)}") for title in ("early", "late"))
    for room in (early, late):
        join(bob, room)
    join(ann, early)
    send(bob, "received", early)
    receive(ann, "received")
    ann.cut()
    assert move(ann, sites[1]) is True
    ann.call("leave", {"room": early})
    join(ann, late)
    send(bob, "received there", late)
    receive(ann, "received there")
    ann.cut()
    for room in (early, late):
        send(bob, f"missed in {room}", room)
    assert move(ann, sites[0]) is True
    assert settle(bob, ann, room=late) == [["received there", f"missed in {late}"]]
    assert texts(ann, room=early) == ["received"]
    assert ann.call("group_chat", {"room": early, "data": "?"})[0]["error"] == "not_joined"


def test_a_client_that_resumes_gets_what_the_other_server_sent(sites, connect_to):
    ann, bob = connect_to(0, f"ann{next(numbers)}", **NO_RECONNECT), connect_to(1, "bob")
    send(bob, "received")
    receive(ann, "received")
    ann.cut()
    send(bob, "missed")
    assert ann.reconnect()["recovered"] is True
    assert settle(bob, ann)[0][-2:] == ["received", "missed"]


@pytest.mark.parametrize("action", ["kick", "ban", "log_out"])
def test_a_user_expelled_while_disconnected_recovers_nothing(sites, connect_to, action):
    name = f"{action}{next(numbers)}"
    ticket = sites[0].user(name)
    ann, bob = connect_to(0, auth={"token": ticket}, **NO_RECONNECT), connect_to(1, "bob")
    send(bob, "received")
    receive(ann, "received")
    ann.cut()
    send(bob, "missed")
    with sites[1].socket(token=ticket) as twin:
        getattr(sites[0], action)(name)
        twin.wait_closed()  # then the other server knows of it
    ann.move(sites[1])
    ann.ask("connect")
    assert ann.recv("connect_error")["data"]["code"] in ("banned", "token_invalid")
    ann.ask("auth", auth={"token": sites[0].fresh_token(name)})
    if action == "ban":
        ann.ask("connect")
        assert ann.recv("connect_error")["data"]["code"] == "banned"
    else:
        assert ann.reconnect()["recovered"] is False
    assert "missed" not in texts(ann)


def test_where_the_position_is_unknown_a_join_with_since_is_complete(sites, connect_to):
    """An offset without a position in the store cannot be resumed elsewhere."""
    ann, bob = connect_to(0, f"ann{next(numbers)}", **NO_RECONNECT), connect_to(1, "bob")
    first = send(bob, "said before")
    receive(ann, "said before")
    state = ann.state
    ann.cut()
    send(bob, "missed")
    ann.ask("auth", auth={"token": token("ann"), "pid": state["pid"], "offset": "1.1", "lobby": False})
    assert move(ann, sites[1]) is False
    assert join(ann, "lobby", since=first)["recovered"] is True
    assert settle(bob, ann)[0][-2:] == ["said before", "missed"]


def test_a_client_moves_after_each_replayed_message_without_gap_or_repetition(sites, connect_to, den):
    """As if the rest had been lost on the way, after each of them."""
    bob = connect_to(0, "bob")
    join(bob, den)
    name = f"ann{next(numbers)}"
    with raw_clients(sites[0]) as here, raw_clients(sites[1]) as there:
        ann = here(name)
        ann.call("join", {"room": den})
        send(bob, "received", den)
        ann.take_until(lambda one: one.received())
        pid, offset, missed = ann.pid, ann.offset, []
        ann.cut()
        for number in range(3):
            for room in (den, "lobby"):
                send(bob, f"missed {number} in {room}", room)
                missed.append(f"missed {number} in {room}")
        places = [there, here]
        while True:
            ann = places[0](name, pid=pid, offset=offset)
            places.reverse()
            assert ann.pid == pid
            ann.settle()
            received = [(event[1]["data"], event[-1]) for event in ann.events if "seq" in event[1]]
            assert [text for text, _ in received] == missed
            ann.cut()
            if not missed:
                break
            missed.pop(0)
            offset = received[0][1]


def test_a_client_that_moves_unnoticed_gets_what_it_missed(sites, connect_to, den):
    """The old server has not noticed yet that the connection is dead, as after a change of networks."""
    name = f"ann{next(numbers)}"
    talkers = connect_to(0, "bob"), connect_to(1, "carl")
    with raw_clients(sites[0]) as here, raw_clients(sites[1]) as there:
        ann = here(name)
        for client in (ann, *talkers):
            client.call("join", {"room": den})
        for number in range(2):
            for room, talker in product((den, "lobby"), talkers):
                send(talker, f"{number} in {room} by {talker.name}", room)
            if not number:
                ann.take_until(lambda one: f"0 in lobby by {talkers[1].name}" in told(one))
                received, pid, offset = told(ann), ann.pid, ann.offset
        again = there(name, pid=pid, offset=offset)
        assert again.pid == pid
        again.settle()
        said = [
            f"{number} in {room} by {talker.name}"
            for number in range(2)
            for room, talker in product((den, "lobby"), talkers)
        ]
        assert told(again) == [text for text in said if text not in received]
        ann.cut()
        again.cut()


def told(client):
    return [text for _, _, _, text in client.received()]


# -- under load


class Senders:
    """Two users who send all the time, one on each server, to these rooms and to one user; in their own thread."""

    def __init__(self, sites, rooms, to):
        self._said = cycle(
            [
                *({"type": GROUP, "room": room} for room in rooms),
                *([{"type": DIRECT, "to": to}] if to else []),
            ]
        )
        self._sockets = [site.socket(token=token(f"talker{place}")) for place, site in enumerate(sites)]
        for socket in self._sockets:
            for room in rooms:
                socket.send_json({"type": JOIN, "room": room})
                socket.recv_json(type=SYNCED, room=room)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        for socket in self._sockets:  # all messages before it are stored then
            socket.send_json({"type": GROUP, "data": "the end", "id": f"end-{next(numbers)}"})
            socket.recv_json(type=ACK)
            socket.sock.close()

    def _send(self):
        while not self._end.wait(PACE):
            said = {**next(self._said), "data": f"{next(numbers)}"}
            for socket in self._sockets:
                socket.sock.settimeout(TIMEOUT)
                socket.send_json(said)
                socket.recv_here()


class MovingClient:
    """A stock client that moves between the servers, and joins with `since` where it is not recovered.

    `sessions` has what each of its sessions received, [(room, seq), …].
    """

    def __init__(self, client, rooms):
        self.client, self.rooms = client, rooms
        self.sessions, self._at = [[]], 0
        #: {room: the newest seq}
        self.received = {}

    def take(self):
        """Record what has arrived."""
        news, self._at = self.client.log[self._at :], len(self.client.log)
        for event, args in news:
            if event == "connect" and not args[0]["recovered"]:
                self.sessions.append([])
            if event in ("group_chat", "single_chat") and "seq" in args[0]:
                room, seq = args[0]["room"], args[0]["seq"]
                self.sessions[-1].append((room, seq))
                self.received[room] = max(seq, self.received.get(room, 0))

    def move(self, site):
        """Return whether it was recovered."""
        self.take()
        before = {**dict.fromkeys(self.rooms, 0), **self.received}
        if move(self.client, site):
            return True
        for room, seq in before.items():
            assert join(self.client, room, since=seq)["recovered"] is True
        return False

    def has_received(self, room, last):
        self.take()
        return self.received.get(room, 0) >= last

    def told(self, room):
        """Return the seqs of each session."""
        return [[seq for where, seq in session if where == room] for session in self.sessions]


def move_repeatedly(sites, moving, moves):
    """Move repeatedly, at random times, under load; return how often it was recovered."""
    chance, client, recovered = random.Random(11), moving.client, 0
    for move in range(moves):
        before = len(client.log)
        client.node.wait(lambda before=before: len(client.log) > before + 10)
        time.sleep(chance.random() * 0.1)
        client.cut()
        time.sleep(chance.random() * 0.3)
        recovered += moving.move(sites[1 - move % 2])
    return recovered


@pytest.mark.parametrize("place", ["one room", "rooms and a conversation"])
def test_a_client_that_moves_under_load_gets_each_message_once(sites, connect_to, den, database, place):
    name = f"moving{next(numbers)}"
    rooms, to = ([den], None) if place == "one room" else (["lobby", den], name)
    client = connect_to(0, auth={"token": token(name), "lobby": False}, **NO_RECONNECT)
    moving = MovingClient(client, rooms)
    for room in rooms:
        moving.received[room] = join(client, room)["seq"]
    begun = dict(moving.received)
    with Senders(sites, rooms, to):
        recovered = move_repeatedly(sites, moving, MOVES)
    print(f"recovered: {recovered} of {MOVES}")
    for room, messages in stored(database).items():
        if room in rooms or f":id-{name}" in room:
            last = messages[-1].seq
            client.node.wait(lambda room=room, last=last: moving.has_received(room, last))
            check_received(moving.told(room), range(begun.get(room, 0) + 1, last + 1), room in rooms)
    assert recovered >= RECOVERED * MOVES
    assert recovered + len(moving.sessions) - 1 == MOVES + 1


def check_received(sessions, wanted, is_room):
    """Check that a room was received completely, once and in order, whichever session received what.

    A new session receives live messages at once, and perhaps those of the last second again; only then it joins with
    `since`.
    """
    if is_room:
        assert [seq for session in sessions for seq in session] == list(wanted)
        return
    assert {seq for session in sessions for seq in session} == set(wanted)
    for session in sessions:
        assert [seq for number, seq in enumerate(session) if seq in session[:number]] == []
