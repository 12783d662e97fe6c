"""Socket.IO over two servers of one worker each: what is emitted and said on one reaches the other's clients, and who
was on one is recovered on the other.

Clients are socket.io-client, which is told to connect to the other server; what it brings is its pid and its offset.
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

#: A client that connects again only when it is told to.
STAYS_AWAY = {"reconnection": False}
#: How often the wanderer goes over, while others talk.
MOVES = 20
#: Seconds between two messages of each of the talkers.
PACE = 0.02
#: Of the moves, how many have to be recovered at the least; the others come anew, and are complete by `since`.
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
def come(node, sites):
    """come(0, "ann", namespace="/news") is a stock client on the first server."""
    with connecting(node, None) as connect:
        yield lambda place, *args, **options: connect(*args, at=sites[place], **options)


@pytest.fixture
def den(sites):
    return sites[0].room(f"den {next(numbers)}")


# -- the site's own events


def hear_news(client, event="bulletin"):
    """The arguments of the next event, but for its offset."""
    *args, offset = client.recv(event, timeout=SOON)
    assert offsets.read(offset)
    return tuple(args)


@pytest.mark.parametrize("path", ["/emit", "/emit/thread"])
def test_an_event_of_a_view_reaches_both_servers(sites, come, path):
    clients = [come(place, namespace="/news") for place in (0, 1)]
    for number, site in enumerate(sites):
        site.emit("bulletin", "大家好", {"number": number}, path=path)
        for client in clients:
            assert hear_news(client) == ("大家好", {"number": number})


def test_an_event_of_a_room_reaches_its_members_on_both_servers(sites, come):
    room = f"room {next(numbers)}"
    inside = [come(place, namespace="/news", auth={"room": room}) for place in (0, 1)]
    outside = [come(place, namespace="/news") for place in (0, 1)]
    for number, site in enumerate(sites):
        site.emit("bulletin", f"inside {number}", room=room)
        site.emit("bulletin", f"for all {number}")
        for client in inside:
            assert hear_news(client) == (f"inside {number}",)
        for client in (*inside, *outside):
            assert hear_news(client) == (f"for all {number}",)


def test_an_event_of_a_namespace_stays_in_it_on_the_other_server(sites, come):
    quiet, news = come(1, namespace="/quiet"), come(1, namespace="/news")
    sites[0].emit("bulletin", "be quiet", namespace="/quiet")
    sites[0].emit("bulletin", "news")
    assert hear_news(quiet) == ("be quiet",)
    assert hear_news(news) == ("news",)


def test_an_event_to_one_client_reaches_it_on_the_other_server(sites, come):
    one, other = come(1, namespace="/news"), come(1, namespace="/news")
    sites[0].emit("bulletin", "for you", room=one.id)
    sites[0].emit("bulletin", "for all")
    assert hear_news(one) == ("for you",)
    assert hear_news(other) == ("for all",)


def test_bytes_reach_the_other_server(come):
    clients = [come(place, namespace="/news") for place in (0, 1)]
    clients[0].call("reverse", b"\x00\x01\xff")
    for client in clients:
        assert hear_news(client, "reversed") == ({"data": b"\xff\x01\x00"},)


def test_an_event_that_skips_its_sender_reaches_the_other_server(come):
    one, other = come(0, namespace="/news"), come(1, namespace="/news")
    one.emit("tell others", "psst")
    assert hear_news(other) == ("psst",)
    one.call("echo")
    assert not one.heard("bulletin")


def test_a_recovered_client_gets_what_the_other_server_emitted(sites, come):
    client = come(1, namespace="/news", auth={"room": "sports"}, **STAYS_AWAY)
    sites[0].emit("bulletin", "heard", room="sports")
    client.recv("bulletin", timeout=SOON)
    client.cut()
    sites[0].emit("bulletin", "missed", room="sports")
    assert client.come_back()["recovered"] is True
    assert hear_news(client) == ("missed",)


# -- the chat


def join(client, room, **options):
    (answer,) = client.call("join", {"room": room, **options})
    return answer


def say(client, text, room="lobby"):
    (answer,) = client.call("group_chat", {"room": room, "data": text})
    return answer["seq"]


def tell(client, to, text):
    """Send a direct message to somebody who may have come just now: those who come have a row a moment later."""
    until(lambda: client.call("single_chat", {"to": to, "data": text})[0].get("error") != "unknown_user")


def hear(client, text, event="group_chat"):
    message, *_ = client.recv(event, lambda message, *_: message["data"] == text, timeout=SOON)
    return message


def texts(client, event="group_chat", room=None):
    """All that was said to it, on all its connections."""
    said = [args[0] for args in client.heard(event) if "seq" in args[0]]
    return [message["data"] for message in said if room in (None, message["room"])]


def settle(speaker, *clients, room="lobby"):
    """Have all hear a last word, and return what each has heard in the room before it."""
    word = f"word {next(numbers)}"
    say(speaker, word, room)
    for client in clients:
        hear(client, word)
    return [texts(client, room=room)[:-1] for client in clients]


def test_a_group_message_reaches_the_other_server(come, den):
    ann, bob = come(0, "ann"), come(1, "bob")
    for client in (ann, bob):
        join(client, den)
    for speaker, listener in ((ann, bob), (bob, ann)):
        for room in ("lobby", den):
            text = f"in {room} {next(numbers)}"
            say(speaker, text, room)
            assert hear(listener, text)["room"] == room


def test_a_direct_message_reaches_every_socket_of_both(come):
    carl, dora = f"carl{next(numbers)}", f"dora{next(numbers)}"
    sockets = {(who, place): come(place, who) for who in (carl, dora) for place in (0, 1)}
    for (who, place), speaker in sockets.items():
        text = f"{who} at {place}"
        tell(speaker, dora if who == carl else carl, text)
        for key, client in sockets.items():
            if key != (who, place):
                hear(client, text, "single_chat")


# -- recovered on the other server


def go_over(client, site):
    """Have it connect to the other server, and return whether it was recovered."""
    client.move(site)
    return client.come_back()["recovered"]


def test_a_client_on_another_server_gets_what_it_missed_once_and_in_order(sites, come, den):
    who = f"ann{next(numbers)}"
    ann, bobs = come(0, who, **STAYS_AWAY), [come(0, "bob"), come(1, "carl")]
    for client in (ann, *bobs):
        join(client, den)
    tell(bobs[0], who, "direct before")
    for room in ("lobby", den):
        say(bobs[0], f"before in {room}", room)
    hear(ann, f"before in {den}")
    id = ann.id
    told, direct = [], ["direct before"]
    for turn in range(4):  # there, back, and once more
        ann.cut()
        for number in range(2):
            for bob in bobs:
                text = f"missed {turn} {number} {bob.name}"
                say(bob, text), say(bob, text, den), tell(bob, who, text)
                told.append(text), direct.append(text)
        assert go_over(ann, sites[1 - turn % 2]) is True
        assert ann.id == id
        for bob in bobs:
            text = f"live {turn} {bob.name}"
            say(bob, text), say(bob, text, den), tell(bob, who, text)
            told.append(text), direct.append(text)
            hear(ann, text, "single_chat")
    for room in ("lobby", den):
        heard = settle(bobs[1], ann, room=room)[0]
        assert heard[heard.index(f"before in {room}") :] == [f"before in {room}", *told]
        assert say(ann, "here", room)
    # Two speak: of each, all in the order of saying.
    for bob in bobs:
        said = [text for text in texts(ann, "single_chat") if text.endswith(f" {bob.name}")]
        assert said == [text for text in direct if text.endswith(f" {bob.name}")]
    assert sorted(texts(ann, "single_chat")) == sorted(direct)


def test_subscriptions_follow_a_client_to_the_other_server_and_back(sites, come):
    """What was joined and left since one was on a server last counts there too."""
    ann, bob = come(0, f"ann{next(numbers)}", **STAYS_AWAY), come(1, "bob")
    early, late = (sites[0].room(f"{title} {next(numbers)}") for title in ("early", "late"))
    for room in (early, late):
        join(bob, room)
    join(ann, early)
    say(bob, "heard", early)
    hear(ann, "heard")
    ann.cut()
    assert go_over(ann, sites[1]) is True
    ann.call("leave", {"room": early})
    join(ann, late)
    say(bob, "heard there", late)
    hear(ann, "heard there")
    ann.cut()
    for room in (early, late):
        say(bob, f"missed in {room}", room)
    assert go_over(ann, sites[0]) is True
    assert settle(bob, ann, room=late) == [["heard there", f"missed in {late}"]]
    assert texts(ann, room=early) == ["heard"]
    assert ann.call("group_chat", {"room": early, "data": "?"})[0]["error"] == "not_joined"


def test_a_client_that_resumes_gets_what_the_other_server_sent(sites, come):
    ann, bob = come(0, f"ann{next(numbers)}", **STAYS_AWAY), come(1, "bob")
    say(bob, "heard")
    hear(ann, "heard")
    ann.cut()
    say(bob, "missed")
    assert ann.come_back()["recovered"] is True
    assert settle(bob, ann)[0][-2:] == ["heard", "missed"]


@pytest.mark.parametrize("deed", ["kick", "ban", "log_out"])
def test_a_user_expelled_while_disconnected_recovers_nothing(sites, come, deed):
    who = f"{deed}{next(numbers)}"
    ticket = sites[0].user(who)
    ann, bob = come(0, auth={"token": ticket}, **STAYS_AWAY), come(1, "bob")
    say(bob, "heard")
    hear(ann, "heard")
    ann.cut()
    say(bob, "missed")
    with sites[1].socket(token=ticket) as twin:
        getattr(sites[0], deed)(who)
        twin.wait_closed()  # then it is known there
    ann.move(sites[1])
    ann.ask("connect")
    assert ann.recv("connect_error")["data"]["code"] in ("banned", "token_invalid")
    ann.ask("auth", auth={"token": sites[0].fresh_token(who)})
    if deed == "ban":
        ann.ask("connect")
        assert ann.recv("connect_error")["data"]["code"] == "banned"
    else:
        assert ann.come_back()["recovered"] is False
    assert "missed" not in texts(ann)


def test_where_the_position_is_unknown_a_join_with_since_is_complete(sites, come):
    """One who has heard nothing that the store knows of has no place in it."""
    ann, bob = come(0, f"ann{next(numbers)}", **STAYS_AWAY), come(1, "bob")
    first = say(bob, "said before")
    hear(ann, "said before")
    state = ann.state
    ann.cut()
    say(bob, "missed")
    ann.ask("auth", auth={"token": token("ann"), "pid": state["pid"], "offset": "1.1", "lobby": False})
    assert go_over(ann, sites[1]) is False
    assert join(ann, "lobby", since=first)["recovered"] is True
    assert settle(bob, ann)[0][-2:] == ["said before", "missed"]


def test_a_client_moves_after_each_replayed_message_without_gap_or_repetition(sites, come, den):
    """As if the rest had been lost on the way, whichever of them it was."""
    bob = come(0, "bob")
    join(bob, den)
    who = f"ann{next(numbers)}"
    with raw_clients(sites[0]) as here, raw_clients(sites[1]) as there:
        ann = here(who)
        ann.call("join", {"room": den})
        say(bob, "heard", den)
        ann.take_until(lambda one: one.heard())
        pid, offset, missed = ann.pid, ann.offset, []
        ann.cut()
        for number in range(3):
            for room in (den, "lobby"):
                say(bob, f"missed {number} in {room}", room)
                missed.append(f"missed {number} in {room}")
        places = [there, here]
        while True:
            ann = places[0](who, pid=pid, offset=offset)
            places.reverse()
            assert ann.pid == pid
            ann.settle()
            heard = [(event[1]["data"], event[-1]) for event in ann.events if "seq" in event[1]]
            assert [text for text, _ in heard] == missed
            ann.cut()
            if not missed:
                break
            missed.pop(0)
            offset = heard[0][1]


def test_a_client_that_moves_unnoticed_gets_what_it_missed(sites, come, den):
    """The old server has yet to find out that nobody is there any more, as after a change of networks."""
    who = f"ann{next(numbers)}"
    talkers = come(0, "bob"), come(1, "carl")
    with raw_clients(sites[0]) as here, raw_clients(sites[1]) as there:
        ann = here(who)
        for client in (ann, *talkers):
            client.call("join", {"room": den})
        for number in range(2):
            for room, talker in product((den, "lobby"), talkers):
                say(talker, f"{number} in {room} by {talker.name}", room)
            if not number:
                ann.take_until(lambda one: f"0 in lobby by {talkers[1].name}" in told(one))
                heard, pid, offset = told(ann), ann.pid, ann.offset
        again = there(who, pid=pid, offset=offset)
        assert again.pid == pid
        again.settle()
        said = [
            f"{number} in {room} by {talker.name}"
            for number in range(2)
            for room, talker in product((den, "lobby"), talkers)
        ]
        assert told(again) == [text for text in said if text not in heard]
        ann.cut()
        again.cut()


def told(client):
    return [text for _, _, _, text in client.heard()]


# -- while all talk


class Talkers:
    """Two who talk all the time, one on each server, in these rooms and to one user; in a thread of their own."""

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
        self._thread = threading.Thread(target=self._talk)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        for socket in self._sockets:  # all that was said before is stored with it
            socket.send_json({"type": GROUP, "data": "the end", "id": f"end-{next(numbers)}"})
            socket.recv_json(type=ACK)
            socket.sock.close()

    def _talk(self):
        while not self._end.wait(PACE):
            said = {**next(self._said), "data": f"{next(numbers)}"}
            for socket in self._sockets:
                socket.sock.settimeout(TIMEOUT)
                socket.send_json(said)
                socket.recv_here()


class Wanderer:
    """A stock client that goes from one server to the other, and asks by `since` for what it is not given back.

    `lives` has what it was told, [(room, seq), …], from each time that it came anew until the next.
    """

    def __init__(self, client, rooms):
        self.client, self.rooms = client, rooms
        self.lives, self._at = [[]], 0
        #: {room: the newest seq}
        self.heard = {}

    def take(self):
        """Take note of what has come."""
        news, self._at = self.client.log[self._at :], len(self.client.log)
        for event, args in news:
            if event == "connect" and not args[0]["recovered"]:
                self.lives.append([])
            if event in ("group_chat", "single_chat") and "seq" in args[0]:
                room, seq = args[0]["room"], args[0]["seq"]
                self.lives[-1].append((room, seq))
                self.heard[room] = max(seq, self.heard.get(room, 0))

    def go_over(self, site):
        """Return whether it was recovered."""
        self.take()
        before = {**dict.fromkeys(self.rooms, 0), **self.heard}
        if go_over(self.client, site):
            return True
        for room, seq in before.items():
            assert join(self.client, room, since=seq)["recovered"] is True
        return False

    def has_heard(self, room, last):
        self.take()
        return self.heard.get(room, 0) >= last

    def told(self, room):
        """Return the seqs of each life."""
        return [[seq for where, seq in life if where == room] for life in self.lives]


def wander(sites, wanderer, moves):
    """Go over and over, at any time, while somebody talks; return how often it was recovered."""
    chance, client, recovered = random.Random(11), wanderer.client, 0
    for move in range(moves):
        before = len(client.log)
        client.node.wait(lambda before=before: len(client.log) > before + 10)
        time.sleep(chance.random() * 0.1)  # as chance has it
        client.cut()
        time.sleep(chance.random() * 0.3)
        recovered += wanderer.go_over(sites[1 - move % 2])
    return recovered


@pytest.mark.parametrize("place", ["one room", "rooms and a conversation"])
def test_a_client_that_moves_under_load_gets_each_message_once(sites, come, den, database, place):
    who = f"wanderer{next(numbers)}"
    rooms, to = ([den], None) if place == "one room" else (["lobby", den], who)
    client = come(0, auth={"token": token(who), "lobby": False}, **STAYS_AWAY)
    wanderer = Wanderer(client, rooms)
    for room in rooms:
        wanderer.heard[room] = join(client, room)["seq"]
    begun = dict(wanderer.heard)
    with Talkers(sites, rooms, to):
        recovered = wander(sites, wanderer, MOVES)
    print(f"recovered: {recovered} of {MOVES}")
    for room, messages in stored(database).items():
        if room in rooms or f":id-{who}" in room:
            last = messages[-1].seq
            client.node.wait(lambda room=room, last=last: wanderer.has_heard(room, last))
            check_told(wanderer.told(room), range(begun.get(room, 0) + 1, last + 1), room in rooms)
    assert recovered >= RECOVERED * MOVES
    assert recovered + len(wanderer.lives) - 1 == MOVES + 1


def check_told(lives, wanted, is_room):
    """Hold that a room was told whole, once and in order, whatever it was that was told anew.

    Who comes anew hears what is said to it at once, and what was said in the second before perhaps again, and only then
    asks for what it missed.
    """
    if is_room:
        assert [seq for life in lives for seq in life] == list(wanted)
        return
    assert {seq for life in lives for seq in life} == set(wanted)
    for life in lives:
        assert [seq for number, seq in enumerate(life) if seq in life[:number]] == []
