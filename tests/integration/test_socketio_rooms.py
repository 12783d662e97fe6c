"""Rooms over Socket.IO: joining, leaving, missed messages, and the recovery of all rooms."""

import sqlite3
import time
from contextlib import contextmanager
from itertools import count

import pytest

from chat.wire.errors import FAILURES
from tests.integration.named_clients import ask, entering
from tests.integration.socketio_raw import raw_clients
from tests.integration.socketio_server import SocketIOServer
from tests.integration.socketio_wire import Endpoint, PollingSession, probe
from tests.socketio_node import connecting
from tests.tokens import token
from tests.waiting import until

#: A client that reconnects only when the test says so.
NO_RECONNECT = {"reconnection": False}
numbers = count(1)


@pytest.fixture(scope="module")
def site():
    with SocketIOServer(env={"CHAT_REPLAY_MAX": 20}) as server:
        yield server


@pytest.fixture
def come(site):
    with raw_clients(site) as come:
        yield come


@pytest.fixture
def den(site):
    """A new public room."""
    return site.room(f"den {next(numbers)}")


def texts(client, event="group_chat", room=None):
    """The texts of the stored messages that it received."""
    said = [args[0] for args in client.received(event) if "seq" in args[0]]
    return [message["data"] for message in said if room in (None, message["room"])]


def wait_text(client, text, event="group_chat"):
    return client.recv(event, lambda message, *_: message["data"] == text)[0]


def join(client, room, **options):
    (answer,) = client.call("join", {"room": room, **options})
    return answer


def say(client, room, text):
    (answer,) = client.call("group_chat", {"room": room, "data": text})
    return answer


# -- joining


def test_a_join_subscribes_and_answers_with_the_rooms_position(connect, den, transports):
    ann, bob, out = connect("ann", **transports), connect("bob"), connect("out")
    first = join(bob, den)
    assert (first["room"], first["seq"], first["recovered"]) == (den, 0, True)
    said = say(bob, den, "before")
    answer = join(ann, den)
    assert answer == {**first, "seq": said["seq"]}
    say(bob, den, "after")
    message = wait_text(ann, "after")
    assert (message["room"], message["seq"]) == (den, said["seq"] + 1)
    assert say(ann, den, "and back")["seq"] == said["seq"] + 2
    wait_text(bob, "and back")
    assert texts(ann, room=den) == ["after", "and back"]
    out.call("group_list")
    assert texts(out, room=den) == []


def test_missed_messages_come_before_the_answer_once_and_in_order(connect, den, transports):
    bob, ann = connect("bob"), connect("ann", **transports)
    epoch = join(bob, den)["epoch"]
    for number in range(10):
        say(bob, den, f"{number}")
    ann.call("join", {"room": den, "since": 4, "epoch": epoch})
    assert texts(ann, room=den) == ["4", "5", "6", "7", "8", "9"]
    assert [args[0]["seq"] for args in ann.received("group_chat") if args[0].get("room") == den] == list(
        range(5, 11)
    )
    say(bob, den, "live")
    wait_text(ann, "live")
    assert texts(ann, room=den)[6:] == ["live"]


@pytest.mark.parametrize(
    "asked",
    [{"since": 3, "epoch": "another!"}, {"since": 99}, {"since": 0}],
    ids=["epoch", "ahead", "too much"],
)
def test_a_join_that_cannot_be_complete_says_so(connect, den, asked):
    bob, ann = connect("bob"), connect("ann")
    join(bob, den)
    for number in range(21):
        say(bob, den, f"{number}")
    answer = join(ann, den, **asked)
    assert (answer["recovered"], answer["seq"]) == (False, 21)
    assert texts(ann, room=den) == []


def test_without_an_ack_the_answer_is_an_event(connect, den):
    ann = connect("ann")
    ann.emit("join", {"room": den, "id": "j1"})
    told = ann.recv("synced")
    assert told.pop("epoch")
    assert told == {"type": 8, "room": den, "seq": 0, "recovered": True, "ref": "j1"}
    assert ann.recv("group_list", lambda message: message["room"] == den)["data"] == [
        {"id": "id-ann", "username": "ann"}
    ]


def test_an_ephemeral_room_has_no_seq(site, connect):
    room = site.room(f"typing {next(numbers)}", ephemeral=True)
    ann, bob = connect("ann"), connect("bob")
    assert join(ann, room) == {"room": room, "epoch": "", "recovered": True} | {
        "epoch": join(bob, room)["epoch"]
    }
    assert say(bob, room, "…").keys() == {"id", "room", "ts"}
    assert "seq" not in wait_text(ann, "…")


REFUSED = {
    "no such room": ("join", {"room": "nowhere"}, "unknown_room"),
    "no room at all": ("join", {}, "bad_room"),
    "a since that is none": ("join", {"room": "lobby", "since": -1}, "bad_since"),
    "somebody else's conversation": ("join", {"room": "dm:id-a:id-b"}, "unknown_room"),
    "a seq that is none": ("read", {"room": "lobby", "seq": "1"}, "bad_seq"),
    "a word in a room not joined": ("group_chat", {"room": "nowhere", "data": "a"}, "not_joined"),
    "the list of one": ("group_list", {"room": "nowhere"}, "not_joined"),
}


@pytest.mark.parametrize(("event", "message", "code"), REFUSED.values(), ids=REFUSED)
def test_an_invalid_request_is_refused_in_the_ack(connect, event, message, code):
    ann = connect("ann")
    expected = {"error": code, "data": FAILURES[code].en, "ref": "r1"}
    assert ann.call(event, {**message, "id": "r1"}) == [expected]
    assert ann.received("chat_error") == []


def test_a_private_room_looks_like_no_room(site, connect):
    secret = site.room("Plans", "ann", private=True)
    ann, bob = connect("ann"), connect("bob")
    assert join(ann, secret)["recovered"] is True
    assert join(bob, secret) == join(bob, "p-nothing")
    assert join(bob, secret)["error"] == "unknown_room"
    assert say(bob, secret, "let me in")["error"] == "not_joined"


def test_too_many_rooms_are_refused(node):
    with SocketIOServer(env={"CHAT_MAX_ROOMS_PER_CLIENT": 2}) as site, connecting(node, site) as connect:
        ann = connect("ann")
        rooms = [site.room(f"room {number}") for number in range(2)]
        assert join(ann, rooms[0])["recovered"] is True
        assert join(ann, rooms[1])["error"] == "too_many_rooms"


# -- leaving, reading, and changes of rooms


def test_a_client_that_leaves_gets_no_more_messages(connect, den, transports):
    ann, bob = connect("ann", **transports), connect("bob")
    join(ann, den), join(bob, den)
    assert ann.call("leave", {"room": den}) == [{"room": den}]
    say(bob, den, "behind her back")
    assert say(ann, den, "am I in?")["error"] == "not_joined"
    assert texts(ann, room=den) == []
    ann.emit("leave", {"room": den, "id": "l1"})  # a room that it is not in
    assert ann.recv("leave") == {"type": 7, "room": den, "ref": "l1"}
    assert join(ann, den)["seq"] == 1
    say(bob, den, "welcome back")
    wait_text(ann, "welcome back")


def test_a_read_position_goes_to_all_connections_of_the_user(connect):
    ann, twin, bob = connect("ann"), connect("ann"), connect("bob")
    seq = say(bob, "lobby", "read this")["seq"]
    read = {"room": "lobby", "seq": seq, "unread": 0, "mentions": 0}
    assert ann.call("read", {"room": "lobby", "seq": seq}) == [read]
    assert twin.recv("read", lambda message: message["seq"] == seq) == {"type": 10, **read}
    bob.call("group_list")
    assert bob.received("read") == []


def test_a_client_that_loses_a_room_is_told(site, connect):
    secret = site.room("Plans", "ann", "bob", private=True)
    ann, bob = connect("ann"), connect("bob")
    join(ann, secret), join(bob, secret)
    site.remove("ann", secret)
    assert ann.recv("leave") == {"type": 7, "room": secret}
    assert ann.recv("rooms") == {"type": 11, "room": secret, "change": "left"}
    say(bob, secret, "now that she is gone")
    assert say(ann, secret, "am I?")["error"] == "not_joined"
    assert texts(ann, room=secret) == []


def test_a_client_is_told_of_an_invitation(site, connect):
    ann, bob = connect("ann"), connect("bob")
    wait_for_row(site, "ann")
    room = ask(site, "POST", "/rooms", {"title": "Told of", "kind": "private"}, name="bob")["name"]
    ask(site, "POST", f"/rooms/{room}/members", {"username": "ann"}, name="bob")
    told = ann.recv("invitation")
    assert (told["type"], told["room"], told["change"], told["title"]) == (12, room, "invited", "Told of")
    assert told["inviter"] == {"id": "id-bob", "username": "bob"}
    assert join(ann, room)["error"] == "unknown_room"
    ask(site, "POST", f"/invitations/{room}/accept", name="ann")
    assert ann.recv("invitation") == {"type": 12, "room": room, "change": "accepted"}
    assert join(ann, room)["seq"] == 2
    assert bob.received("invitation") == []


def wait_for_row(site, name):
    """Wait until the API finds somebody by name who has just come for the first time."""
    headers = {"Authorization": f"Bearer {token(name)}"}
    until(lambda: site.get(f"/chat/api/users/{name}", headers)[0] == 200)


# -- the lobby


@pytest.mark.parametrize(
    "asked", [{"auth": {"lobby": False}}, {"query": {"lobby": "0"}}], ids=["auth", "query"]
)
def test_a_client_may_stay_outside_the_lobby_until_it_joins(connect, enter, asked):
    ann = connect(**{"auth": {}, **asked} | {"auth": {"token": token("ann"), **asked.get("auth", {})}})
    bob = enter("bob")
    bob.send_json({"type": 2, "data": "who is here?"})
    seq = bob.recv_json(type=2, data="who is here?")["seq"]
    assert say(ann, "lobby", "not me")["error"] == "not_joined"
    assert texts(ann) == ann.received("group_list") == []
    assert join(ann, "lobby", since=seq - 1)["seq"] == seq
    assert texts(ann) == ["who is here?"]
    bob.send_json({"type": 2, "data": "and now?"})
    wait_text(ann, "and now?")
    say(ann, "lobby", "here I am")


# -- acknowledgements


@contextmanager
def store_held(site):
    """Within this block nothing can be stored."""
    held = sqlite3.connect(site.home / "chat.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        held.execute("ROLLBACK")
        held.close()


def test_a_message_is_acked_once_it_is_stored(site, connect):
    ann, bob = connect("ann"), connect("bob")
    with store_held(site):
        asked = ann.begin_call("group_chat", {"data": "hold on", "id": f"h{next(numbers)}"})
        assert bob.call("group_list")[0]["room"] == "lobby"  # everything else works
        assert texts(bob)[-1:] != ["hold on"]
    seq = ann.answer(asked)[0]["seq"]
    assert wait_text(bob, "hold on")["seq"] == seq
    assert [seq, "ann", "hold on"] in site.stored()


def test_the_ack_reaches_a_client_that_upgraded_meanwhile(site):
    with Endpoint(site, "/socket.io/") as endpoint:
        session = PollingSession(endpoint, token=token("ann"))
        session.send("40")
        while not session.receive().startswith('42["group_list"'):
            pass
        with store_held(site):
            session.send(
                '420["group_chat",{"data":"on my way up"}]', '421["single_chat",{"data":"psst","to":"ann"}]'
            )
            ws = probe(session)
            ws.send_text("5")
        heard = []
        while len(heard) < 4:
            packet = ws.recv()
            heard += [packet] if packet.startswith(("43", '42["group_chat"', '42["single_chat"')) else []
        assert sorted(packet[:4] for packet in heard) == ['42["', '42["', "430[", "431["]
        assert heard.index(next(p for p in heard if p.startswith("430"))) < heard.index(
            next(p for p in heard if p.startswith('42["group_chat"'))
        )


def test_a_message_of_a_client_that_disconnected_is_delivered(site, come, connect):
    bob = connect("bob")
    ann = come("ann")
    with store_held(site):
        ann.emit("group_chat", {"data": "and good-bye"})
        ann.begin_call("group_chat", {"data": "who will answer me?"})
        ann.session.send("41", "40/news,")  # leaves the chat and keeps the connection
        while not ann.take().startswith("40/news,"):
            pass
    wait_text(bob, "who will answer me?")
    assert texts(bob)[-2:] == ["and good-bye", "who will answer me?"]
    ann.session.send('42/news,7["echo",1]')
    assert ann.session.receive() == "43/news,7[1]"


# -- recovered rooms


def test_a_recovered_client_is_back_in_its_rooms(connect, den, transports):
    ann, bob = connect("ann", **NO_RECONNECT, **transports), connect("bob")
    join(ann, den), join(bob, den)
    say(bob, den, "before")
    wait_text(ann, "before")
    for turn in range(2):
        ann.cut()
        for number in range(3):
            say(bob, den, f"missed {turn} {number}")
            say(bob, "lobby", f"missed in the lobby {turn} {number}")
        assert ann.reconnect()["recovered"] is True
        ann.recv("group_list", lambda message: message["room"] == den)
        say(ann, den, f"back {turn}")
        say(bob, den, f"live {turn}")
        wait_text(ann, f"live {turn}")
    rounds = [[*(f"missed {n} {m}" for m in range(3)), f"back {n}", f"live {n}"] for n in range(2)]
    assert texts(ann, room=den) == ["before", *rounds[0], *rounds[1]]
    lobby = [text for text in texts(ann, room="lobby") if text.startswith("missed")]
    assert lobby == [f"missed in the lobby {n} {m}" for n in range(2) for m in range(3)]


def test_messages_in_a_room_without_connected_members_are_replayed(site, connect, enter, den):
    ann = connect("ann", **NO_RECONNECT)
    join(ann, den)
    ann.cut()
    site.send("to nobody", room=den)
    raw = enter("raw")
    raw.send_json({"type": 6, "room": den})
    raw.recv_json(type=8)
    raw.send_json({"type": 2, "room": den, "data": "from another wire"})
    raw.recv_json(type=2, room=den)
    raw.send_json({"type": 7, "room": den})
    raw.recv_json(type=7)
    time.sleep(0.5)  # the room is empty now, and may be closed
    site.send("to nobody again", room=den)
    assert ann.reconnect()["recovered"] is True
    site.send("live", room=den)
    wait_text(ann, "live")
    assert texts(ann, room=den) == ["to nobody", "from another wire", "to nobody again", "live"]


def test_messages_from_before_the_join_are_not_replayed(connect, den):
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob")
    join(bob, den)
    say(bob, "lobby", "heard")
    wait_text(ann, "heard")
    say(bob, den, "before she joined")
    join(ann, den)
    ann.cut()
    say(bob, den, "missed")
    assert ann.reconnect()["recovered"] is True
    say(bob, den, "live")
    wait_text(ann, "live")
    assert texts(ann, room=den) == ["missed", "live"]


def test_a_room_that_was_left_is_not_recovered(connect, den):
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob")
    join(ann, den), join(bob, den)
    ann.call("leave", {"room": den})
    ann.call("leave", {"room": "lobby"})
    ann.cut()
    say(bob, den, "not for her")
    say(bob, "lobby", "nor this")
    assert ann.reconnect()["recovered"] is True
    assert say(ann, den, "?")["error"] == say(ann, "lobby", "?")["error"] == "not_joined"
    assert "not for her" not in texts(ann)
    assert "nor this" not in texts(ann)


def test_a_client_that_lost_a_room_gets_nothing_of_it_and_is_told(site, connect):
    secret = site.room("Plans", "ann", "bob", private=True)
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob")
    join(ann, secret), join(bob, secret)
    ann.cut()
    say(bob, secret, "while she still might have")
    site.remove("ann", secret)
    say(bob, secret, "now that she is gone")
    say(bob, "lobby", "for all")
    assert ann.reconnect()["recovered"] is True
    assert ann.recv("leave") == {"type": 7, "room": secret}
    wait_text(ann, "for all") if "for all" not in texts(ann) else None
    assert say(ann, secret, "am I?")["error"] == "not_joined"
    assert texts(ann, room=secret) == []


def test_direct_messages_to_a_disconnected_user_are_replayed(site, connect, enter):
    name = f"dora{next(numbers)}"
    dora = connect(auth={"token": site.user(name)}, **NO_RECONNECT)
    bob = enter("bob")
    dora.cut()
    bob.recv_until(lambda m: m["type"] == 1 and name not in m["data"])
    for number in range(3):
        bob.send_json(
            {"type": 3, "to": name.upper(), "data": f"are you there? {number}", "id": f"{name}{number}"}
        )
        bob.recv_json(type=4)
    assert dora.reconnect()["recovered"] is True
    bob.send_json({"type": 3, "to": name, "data": "and now?"})
    wait_text(dora, "and now?", "single_chat")
    assert texts(dora, "single_chat") == [*(f"are you there? {n}" for n in range(3)), "and now?"]


def test_a_join_that_was_cut_off_continues(come, connect, den):
    """It resumes after each message of the replay, as if the rest had been lost on the way."""
    bob = connect("bob")
    join(bob, den)
    for number in range(6):
        say(bob, den, f"{number}")
    ann = come("ann")
    pid = ann.pid
    ann.begin_call("join", {"room": den, "since": 1})
    ann.take_until(lambda one: one.acks)
    say(bob, den, "live")
    say(bob, "lobby", "and in the lobby")
    ann.take_until(lambda one: one.received()[-1:] and one.received()[-1][3] == "and in the lobby")
    events = [args for args in ann.events if args[0] == "group_chat" and "seq" in args[1]]
    assert [args[1]["data"] for args in events] == ["1", "2", "3", "4", "5", "live", "and in the lobby"]
    for at, event in enumerate(events):
        ann.cut()
        ann = come("ann", pid=pid, offset=event[-1])
        assert ann.pid == pid
        ann.settle()
        rest = [args[1] for args in ann.events if args[0] == "group_chat"]
        assert rest == [args[1] for args in events[at + 1 :]], f"from {event[1]['data']}"


def test_a_room_joined_meanwhile_is_replayed_from_its_floor(connect, den):
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob")
    join(bob, den)
    for number in range(4):
        say(bob, den, f"{number}")
    join(ann, den)
    ann.cut()
    say(bob, den, "missed")
    assert ann.reconnect()["recovered"] is True
    before = len(ann.received("group_chat"))
    assert join(ann, den, since=1)["recovered"] is True
    again = [args[0]["data"] for args in ann.received("group_chat", 0)][before:]
    assert again[-3:] == ["1", "2", "3"]


def test_an_offset_of_an_earlier_connection_is_ignored(connect, come, den):
    bob, ann = connect("bob"), come("ann")
    say(bob, "lobby", "heard")
    ann.take_until(lambda one: one.received())
    old = ann.offset
    ann.session.send("41")
    ann.cut()
    say(bob, "lobby", "while she was not there at all")
    ann = come("ann", pid="x", offset=old)
    ann.cut()
    say(bob, "lobby", "missed")
    again = come("ann", pid=ann.pid, offset=old)
    assert again.pid == ann.pid
    again.settle()
    assert [text for *_, text in again.received()] == ["missed"]


# -- several connections


def test_own_direct_messages_are_replayed_to_other_connections_only(connect):
    ann, twin, bob = connect("ann", **NO_RECONNECT), connect("ann", **NO_RECONNECT), connect("bob")
    ann.call("single_chat", {"to": "bob", "data": "first"})
    wait_text(twin, "first", "single_chat")
    for one in (ann, twin):
        one.cut()
    for one in (ann, twin):
        assert one.reconnect()["recovered"] is True
    bob.call("single_chat", {"to": "ann", "data": "thanks"})
    for one in (ann, twin):
        wait_text(one, "thanks", "single_chat")
    assert texts(ann, "single_chat") == ["thanks"]
    assert texts(twin, "single_chat") == ["first", "thanks"]


def test_raw_and_socketio_clients_share_every_room(site, connect, den):
    ann = connect("ann")
    join(ann, den)
    with entering(site) as enter:
        raw = enter("raw")
        raw.send_json({"type": 6, "room": den})
        raw.recv_json(type=8)
        raw.send_json({"type": 2, "room": den, "data": "from the other wire"})
        said = raw.recv_json(type=2, room=den)
        assert wait_text(ann, "from the other wire") == said
        ack = say(ann, den, "and back")
        said = raw.recv_json(type=2, data="and back")
        assert ack == {key: said[key] for key in ("id", "room", "ts", "seq")}
