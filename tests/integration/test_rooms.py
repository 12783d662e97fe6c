"""Rooms on the wire: coming in, what was missed, speaking, reading, and going."""

import json
import time
from contextlib import ExitStack

import pytest

from app import create_app
from chat.wire.envelope import Identity
from tests.integration.named_clients import entering, names_in
from tests.servers import SECRET, Server
from tests.tokens import token

REPLAY_MAX = 20
ENV = {
    "CHAT_REPLAY_MAX": str(REPLAY_MAX),
    "CHAT_MAX_ROOMS_PER_CLIENT": "5",
    "CHAT_EPHEMERAL_ROOMS": "typing-*",
    "CHAT_RATE_LIMIT": "0",
    "CHAT_ROSTER_GRACE": "0",
}


@pytest.fixture(scope="module", params=["gunicorn-gevent", "gunicorn-gthread"])
def site(request):
    with Server(request.param, ENV) as site:
        yield site


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


@pytest.fixture(scope="module")
def chat(site):
    """The same database from this process, which serves nobody."""
    config = {"CHAT_DATABASE_URL": site.env["CHAT_DATABASE_URL"], "SECRET_KEY": SECRET}
    return create_app(config).extensions["chat"]


@pytest.fixture
def room(chat, request):
    return chat.create_room(f"{request.node.name[:50]} {time.time_ns()}"[-60:]).name


@pytest.fixture
def back(site):
    """back("ann", (room, since), …): a socket that is in no room but those that it joins; closed at the end."""
    with ExitStack() as stack:

        def come_back(name, *joins):
            client = stack.enter_context(site.socket(token=token(name), query="&lobby=0&roster=diff"))
            for room, since in joins:
                client.send_json({"type": 6, "room": room, "since": since})
            return client

        yield come_back


def join(client, room, **fields):
    """Join, and return everything up to Synced."""
    client.send_json({"type": 6, "room": room, **fields})
    return client.recv_until(lambda m: m["type"] in (0, 8) and m.get("room", room) == room)


def say(client, room, *texts):
    """Say each, and return the seqs from the Acks."""
    seqs = []
    for text in texts:
        client.send_json({"type": 2, "room": room, "data": text, "id": f"{text}-{time.time_ns()}"})
        seqs.append(client.recv_json(type=4)["seq"])
    return seqs


def texts(messages):
    return [message["data"] for message in messages if message["type"] in (2, 3) and message["user"]]


# -- coming in


def test_a_joined_client_receives_messages_and_the_roster(enter, room):
    ann, bob = enter("ann", "bob")
    (synced,) = [m for m in join(ann, room, id="j1") if m["type"] == 8]
    assert synced == {
        "type": 8,
        "room": room,
        "seq": 0,
        "epoch": synced["epoch"],
        "recovered": True,
        "ref": "j1",
    }
    assert len(synced["epoch"]) == 8
    assert names_in(ann.recv_json(type=1, room=room)) == {"ann"}
    join(bob, room)
    ann.recv_until(lambda m: m.get("room") == room and "bob" in names_in(m) if m["type"] in (1, 5) else False)
    assert say(bob, room, "in here") == [1]
    heard = ann.recv_json(type=2, room=room)
    assert (heard["data"], heard["seq"], heard["user"]["username"]) == ("in here", 1, "bob")


def test_a_client_receives_nothing_of_rooms_it_has_not_joined(enter, room):
    ann, bob = enter("ann", "bob")
    join(ann, room)
    say(ann, room, "among us")
    say(ann, "lobby", "to all")
    assert texts(bob.recv_until(lambda m: m.get("data") == "to all")) == ["to all"]


@pytest.mark.parametrize("kind", [1, 2])
def test_only_joined_clients_may_send_to_a_room(enter, room, kind):
    ann = enter("ann")
    ann.send_json({"type": kind, "room": room, "data": "hello?", "id": "x"})
    error = ann.recv_json(type=0)
    assert (error["code"], error["ref"]) == ("not_joined", "x")


def test_a_private_room_looks_unknown_to_other_users(enter, chat):
    secret = chat.create_room("plans", private=True, creator=Identity("id-ann", "ann")).name
    ann, bob = enter("ann", "bob")
    assert join(ann, secret)[-1]["type"] == 8
    refused = join(bob, secret)[-1]
    assert refused["code"] == "unknown_room"
    assert refused == join(bob, "p-doesnotexist")[-1]


def test_a_removed_member_is_unsubscribed(enter, chat):
    room = chat.create_room("club", private=True, creator=Identity("id-ann", "ann"))
    chat.history.join(room.id, Identity("id-bob", "bob"))
    ann, bob = enter("ann", "bob")
    for client in (ann, bob):
        join(client, room.name)
    chat.history.leave(room.id, "id-bob")
    chat.rooms.unsubscribe_user("id-bob", room.name)
    assert bob.recv_json(type=7) == {"type": 7, "room": room.name}
    say(ann, room.name, "without him")
    say(ann, "lobby", "goodbye")
    assert texts(bob.recv_until(lambda m: m.get("data") == "goodbye")) == ["goodbye"]
    assert join(bob, room.name)[-1]["code"] == "unknown_room"


def test_the_rooms_of_a_socket_are_limited(enter, chat):
    ann = enter("ann")
    rooms = [chat.create_room(f"many {i} {time.time_ns()}").name for i in range(5)]
    assert [join(ann, room)[-1].get("code") for room in rooms] == [None] * 4 + ["too_many_rooms"]
    ann.send_json({"type": 7, "room": rooms[0]})
    ann.recv_json(type=7)
    assert join(ann, rooms[4])[-1]["type"] == 8


# -- what was missed


def test_missed_messages_come_in_order_before_synced_and_new_ones_after(back, enter, room):
    ann = enter("ann")
    join(ann, room)
    say(ann, room, *(f"m{i}" for i in range(1, 11)))
    late = back("late", (room, 4))
    seen = late.recv_until(lambda m: m["type"] == 8)
    assert texts(seen) == [f"m{i}" for i in range(5, 11)]
    assert (seen[-1]["seq"], seen[-1]["recovered"]) == (10, True)
    say(ann, room, "m11")
    assert late.recv_json(type=2)["seq"] == 11


def test_with_the_newest_seq_nothing_is_missed(back, enter, room):
    ann = enter("ann")
    join(ann, room)
    say(ann, room, "one", "two")
    seen = back("late", (room, 2)).recv_until(lambda m: m["type"] == 8)
    assert (texts(seen), seen[-1]["recovered"]) == ([], True)


@pytest.mark.parametrize(
    "fields", [{"since": 99}, {"since": 1, "epoch": "another"}, {"since": 0, "epoch": ""}], ids=str
)
def test_a_since_of_another_history_is_not_recovered(back, enter, room, fields):
    ann, late = enter("ann"), back("late")
    join(ann, room)
    say(ann, room, "one", "two")
    seen = join(late, room, **fields)
    assert (texts(seen), seen[-1]["recovered"], seen[-1]["seq"]) == ([], False, 2)
    say(ann, room, "three")
    assert late.recv_json(type=2)["seq"] == 3


def test_the_right_epoch_is_recovered(back, enter, room):
    ann = enter("ann")
    epoch = join(ann, room)[-1]["epoch"]
    say(ann, room, "one")
    seen = join(back("late"), room, since=0, epoch=epoch)
    assert (texts(seen), seen[-1]["recovered"]) == (["one"], True)


@pytest.mark.parametrize(("since", "recovered"), [(4, True), (3, False)])
def test_more_than_replay_max_is_not_sent(back, enter, room, since, recovered):
    ann = enter("ann")
    join(ann, room)
    say(ann, room, *(f"m{i}" for i in range(REPLAY_MAX + 4)))
    seen = back("late", (room, since)).recv_until(lambda m: m["type"] == 8)
    assert (len(texts(seen)), seen[-1]["recovered"]) == (REPLAY_MAX if recovered else 0, recovered)


def test_pruned_messages_are_not_recovered(back, enter, chat, room):
    ann = enter("ann")
    join(ann, room)
    say(ann, room, "old", "older")
    time.sleep(0.002)  # so that the third is younger
    say(ann, room, "young")
    row = chat.history.room(room)
    young = chat.history.find(row.id, 3)
    assert chat.history.prune(row.id, young.ts) == 2
    assert back("late", (room, 0)).recv_json(type=8)["recovered"] is False
    seen = back("late", (room, 2)).recv_until(lambda m: m["type"] == 8)
    assert (texts(seen), seen[-1]["recovered"]) == (["young"], True)


def test_joining_again_sends_only_earlier_messages(back, enter, room):
    ann, bob = enter("ann", "bob")
    join(ann, room)
    say(ann, room, "one", "two")
    join(bob, room)
    say(ann, room, "three")
    bob.recv_json(type=2, room=room)
    seen = join(bob, room, since=0)
    assert (texts(seen), seen[-1]["seq"], seen[-1]["recovered"]) == (["one", "two"], 3, True)
    say(ann, room, "four")
    assert bob.recv_json(type=2, room=room)["data"] == "four"


def test_the_lobby_can_be_left_and_joined(back, enter):
    ann, other = enter("ann"), back("other")
    other.recv_json(type=2)  # the welcome
    (first,) = say(ann, "lobby", "not for the other")
    seen = join(other, "lobby", since=first - 1)
    assert texts(seen) == ["not for the other"]
    assert names_in(other.recv_json(type=1, room="lobby")) >= {"ann", "other"}
    other.send_json({"type": 7, "room": "lobby", "id": "l1"})
    assert other.recv_json(type=7) == {"type": 7, "room": "lobby", "ref": "l1"}
    say(ann, "lobby", "nor this")
    assert texts(join(other, "lobby", since=first)) == ["nor this"]


# -- conversations of two


def test_a_message_to_a_disconnected_user_waits(back, enter, chat):
    chat.users.ensure(Identity("id-away", "away"))
    ann = enter("ann")
    ann.send_json({"type": 3, "to": "AWAY", "data": "call me", "id": f"d{time.time_ns()}"})
    ack = ann.recv_json(type=4)
    name = "dm:id-ann:id-away" if "id-ann" < "id-away" else "dm:id-away:id-ann"
    assert ack["room"] == name
    seen = back("away", (name, ack["seq"] - 1)).recv_until(lambda m: m["type"] == 8)
    (message,) = [m for m in seen if m["type"] == 3]
    assert (message["data"], message["to"], message["seq"]) == ("call me", "away", ack["seq"])


def test_a_conversation_is_for_its_two_users(enter):
    ann, bob, eve = enter("ann", "bob", "eve")
    ann.send_json({"type": 3, "to": "bob", "data": "psst", "id": f"d{time.time_ns()}"})
    room = ann.recv_json(type=4)["room"]
    assert bob.recv_json(type=3)["room"] == room
    assert join(eve, room)[-1]["code"] == "unknown_room"
    assert join(bob, room)[-1]["type"] == 8


def test_a_join_does_not_repeat_live_messages(enter):
    ann, _ = enter("ann", "bob")
    ids = iter(range(time.time_ns(), 2**63))
    for text in ("one", "two"):
        ann.send_json({"type": 3, "to": "bob", "data": text, "id": f"d{next(ids)}"})
    room = ann.recv_json(type=4)["room"]
    ann.recv_json(type=4)
    newcomer = enter("bob", query="&roster=diff")
    ann.send_json({"type": 3, "to": "bob", "data": "three", "id": f"d{next(ids)}"})
    last = newcomer.recv_json(type=3)
    seen = join(newcomer, room, since=last["seq"] - 3)
    assert texts(seen) == ["one", "two"]
    ann.send_json({"type": 3, "to": "bob", "data": "four", "id": f"d{next(ids)}"})
    assert newcomer.recv_json(type=3)["data"] == "four"


# -- ephemeral rooms


def test_an_ephemeral_room_needs_no_creation_and_has_no_history(back, enter):
    ann, bob = enter("ann", "bob")
    (synced,) = [m for m in join(ann, "typing-1") if m["type"] == 8]
    assert synced == {"type": 8, "room": "typing-1", "epoch": "", "recovered": True}
    join(bob, "typing-1")
    ann.send_json({"type": 2, "room": "typing-1", "data": "…", "id": "t1"})
    assert "seq" not in ann.recv_json(type=4)
    assert "seq" not in bob.recv_json(type=2, room="typing-1")
    assert back("late", ("typing-1", 0)).recv_json(type=8)["recovered"] is False


def test_a_room_that_became_ephemeral_stores_nothing(enter, chat):
    room = chat.create_room(f"quick {time.time_ns()}", ephemeral=True).name
    ann, bob = enter("ann", "bob")
    for client in (ann, bob):
        join(client, room)
    ann.send_json({"type": 2, "room": room, "data": "gone soon", "id": "e1"})
    assert "seq" not in ann.recv_json(type=4)
    assert bob.recv_json(type=2, room=room)["data"] == "gone soon"
    assert chat.history.room(room).last_seq == 0


# -- reading


def test_a_read_position_is_sent_to_the_users_other_sockets(enter, chat, room):
    first = enter("ann", query="&roster=diff")
    second = enter("ann", query="&roster=diff")
    chat.history.join(chat.history.room(room).id, Identity("id-ann", "ann"))
    join(first, room)
    other = enter("bob")
    join(other, room)
    say(other, room, "one", "two", "three")
    first.send_json({"type": 10, "room": room, "seq": 2})
    expected = {"type": 10, "room": room, "seq": 2, "unread": 1, "mentions": 0}
    assert [client.recv_json(type=10) for client in (first, second)] == [expected] * 2
    first.send_json({"type": 10, "room": room, "seq": 1})
    assert second.recv_json(type=10) == expected


def test_only_a_member_can_store_a_read_position(enter, room):
    ann = enter("ann")
    ann.send_json({"type": 10, "room": room, "seq": 1, "id": "r1"})
    error = ann.recv_json(type=0)
    assert (error["code"], error["ref"]) == ("not_joined", "r1")


# -- over a restart


def test_seq_and_ids_continue_after_a_restart(make_server, tmp_path):
    env = {"CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"}
    for expected in (1, 2):
        with entering(make_server(env=env)) as enter:
            ann = enter("ann")
            ann.send_json({"type": 2, "data": "the same", "id": "once"})
            assert ann.recv_json(type=4)["seq"] == 1
            ann.send_json({"type": 2, "data": "another", "id": f"n{expected}"})
            assert ann.recv_json(type=4)["seq"] == expected + 1


def test_everything_on_the_wire_is_json_text(enter, room):
    ann = enter("ann")
    join(ann, room)
    say(ann, room, "中文 and 😀")
    assert all(json.loads(got.payload) for got in ann.log if got.opcode == 1)
