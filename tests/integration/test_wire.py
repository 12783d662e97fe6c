"""The wire as docs/protocol.md tells it: who hears what, with which fields, in which order."""

import json
import random
import re
import secrets
import socket
import threading
import time

import pytest

from chat.wire.envelope import Identity
from chat.wire.errors import FAILURES
from tests import wsclient
from tests.databases import create_deleted_user
from tests.integration.named_clients import (
    connect_as,
    entering,
    names_in,
    received_before,
    settle,
    wait_for_users,
)
from tests.servers import Server
from tests.tokens import token
from tests.waiting import until
from tests.wsclient import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Refused, frame, text_frame

WELCOME = '{"type":2,"user":null,"data":"欢迎欢迎,热烈欢迎,进入聊天室"}'
QUICK = {"CHAT_RATE_LIMIT": "0", "CHAT_ROSTER_GRACE": "0.3"}


@pytest.fixture(scope="module")
def site():
    with Server("gunicorn-gevent", QUICK) as server:
        yield server


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


def user(name):
    return {"id": f"id-{name}", "username": name}


def test_the_server_starts_without_a_warning(site):
    assert "Warning" not in site.log()


# -- coming


def test_a_new_client_gets_the_welcome_and_then_a_roster_with_itself(site):
    with connect_as(site, "newton") as newton:
        assert newton.recv() == WELCOME
        listing = json.loads(newton.recv())
    assert listing.keys() == {"type", "user", "data", "room"}
    assert (listing["type"], listing["user"], listing["room"]) == (1, None, "lobby")
    assert user("newton") in json.loads(listing["data"])
    assert "sec-websocket-extensions" not in newton.headers


def test_no_extension_is_negotiated(site):
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    with connect_as(site, "zip", headers=offer) as zipped:
        zipped.recv()
        assert "sec-websocket-extensions" not in zipped.headers
        assert {(got.rsv, got.fin) for got in zipped.log} == {(0, True)}


def test_data_sent_with_the_handshake_is_served(site):
    early = text_frame({"type": 2, "data": "early bird", "id": "e1"}) + frame(PING, b"early")
    with connect_as(site, "early", early=early) as client:
        assert client.recv() == WELCOME
        assert client.recv_json(type=4)["ref"] == "e1"
        assert client.recv_json(type=2, data="early bird")["user"] == user("early")
        client.ping()
        assert PONG in [got.opcode for got in client.log]


def test_half_a_frame_with_the_handshake_is_finished_later(site):
    whole = text_frame({"type": 2, "data": "in two parts"})
    with connect_as(site, "parts", early=whole[:9]) as client:
        client.recv_json(type=1)
        client.send_raw(whole[9:])
        client.recv_json(type=2, data="in two parts")


# -- type 1


def test_a_group_list_request_is_answered(enter):
    ann, bob = enter("ann", "bob")
    ann.send_json({"type": 1, "room": "lobby"})
    listing = ann.recv_json(type=1)
    assert listing.keys() == {"type", "user", "data", "room"}
    assert listing["room"] == "lobby"
    entries = json.loads(listing["data"])
    assert user("ann") in entries and user("bob") in entries
    assert all(entry.keys() == {"id", "username"} for entry in entries)
    assert listing["data"] == json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    assert settle(ann, bob) == [[]]


# -- type 2


def test_a_group_message_has_these_fields_and_reaches_everyone(enter):
    ann, bob = enter("ann", "bob")
    before = time.time_ns() // 1_000_000
    ann.send_json({"type": 2, "data": "hello", "room": "lobby"})
    own, others = (client.recv_json(type=2, data="hello") for client in (ann, bob))
    assert own == others
    assert own.keys() == {"type", "user", "data", "room", "seq", "id", "ts"}
    assert (own["user"], own["room"]) == (user("ann"), "lobby")
    assert type(own["seq"]) is int and own["seq"] >= 1
    assert type(own["ts"]) is int and before <= own["ts"] <= time.time_ns() // 1_000_000
    assert type(own["id"]) is str and 1 <= len(own["id"]) <= 64


def test_messages_without_an_id_get_different_ones(enter):
    ann = enter("ann")
    ids = set()
    for _ in range(5):
        ann.send_json({"type": 2, "data": "x"})
        ids.add(ann.recv_json(type=2, data="x")["id"])
    assert len(ids) == 5


def test_seq_begins_with_1_and_has_no_gap():
    with Server("gunicorn-gevent", QUICK) as server, entering(server) as enter:
        ann, bob = enter("ann", "bob")
        bob.send_json({"type": 3, "to": "ann", "data": "counts apart"})
        assert ann.recv_json(type=3)["seq"] == 1
        said = [("one", ann), ("two", bob), ("three", bob), ("four", ann)]
        for text, client in said:
            client.send_json({"type": 2, "data": text})
            client.recv_json(type=2, data=text)
        for client in (ann, bob):
            client.send_json({"type": 2, "data": "end"})
            client.recv_json(type=2, data="end")
            told = [json.loads(got.payload) for got in client.log if got.opcode == TEXT]
            heard = [(m["data"], m["seq"]) for m in told if m["type"] == 2 and "seq" in m]
            assert heard[:4] == [(text, seq) for seq, (text, _) in enumerate(said, 1)]


def test_no_client_can_send_as_another_user(enter):
    ann, bob = enter("ann", "bob")
    ann.send_json({"type": 2, "data": "me", "user": user("bob"), "seq": 99, "ts": 1, "username": "bob"})
    heard = bob.recv_json(type=2, data="me")
    assert heard["user"] == user("ann")
    assert heard["ts"] > 1


@pytest.mark.parametrize(
    "text", ["", "大家好 😀", "<script>alert(1)</script>", 'q"\\\n\t\r', "x" * 10_000, "😀" * 10_000]
)
def test_text_arrives_as_it_was_sent(enter, text):
    ann, bob = enter("ann", "bob")
    ann.send_json({"type": 2, "data": text})
    assert bob.recv_json(type=2)["data"] == text


def test_all_clients_receive_many_senders_in_one_order(enter):
    names = [f"speaker{i}" for i in range(8)]
    clients = enter(*names)
    listener = enter("listener")

    def speak(client):
        for i in range(30):
            client.send_json({"type": 2, "data": f"{client.name} {i}", "id": f"{i}"})

    threads = [threading.Thread(target=speak, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    heard = [said_by(client, names, 240) for client in [*clients, listener]]
    for thread in threads:
        thread.join()
    assert all(one == heard[0] for one in heard)
    seqs = [seq for seq, _ in heard[0]]
    assert seqs == list(range(seqs[0], seqs[0] + 240))
    for name in names:
        assert [text for _, text in heard[0] if text.startswith(f"{name} ")] == [
            f"{name} {i}" for i in range(30)
        ]


def said_by(client, names, count):
    """(seq, text) of the first `count` group messages by `names`."""
    said = []
    while len(said) < count:
        message = json.loads(client.recv())
        if message["type"] == 2 and message["user"] and message["user"]["username"] in names:
            said.append((message["seq"], message["data"]))
    return said


# -- type 3


def test_a_direct_message_has_these_fields_and_reaches_its_receiver_alone(enter):
    ann, bob, cat = enter("ann", "bob", "cat")
    ann.send_json({"type": 3, "to": "bob", "data": "psst"})
    heard = bob.recv_json(type=3)
    assert heard.keys() == {"type", "user", "to", "data", "room", "seq", "id", "ts"}
    assert (heard["user"], heard["to"], heard["data"]) == (user("ann"), "bob", "psst")
    assert heard["room"] == "dm:id-ann:id-bob"
    assert type(heard["seq"]) is int and type(heard["ts"]) is int and type(heard["id"]) is str
    assert settle(ann, cat) == [[]]


def test_a_conversation_has_one_order_whoever_sends(enter):
    ann, bob = enter("ann", "bob")
    ann.send_json({"type": 3, "to": "bob", "data": "1", "id": "c1"})
    first = ann.recv_json(type=4)
    bob.recv_json(type=3)
    bob.send_json({"type": 3, "to": "ann", "data": "2"})
    heard = ann.recv_json(type=3)
    assert heard["room"] == first["room"]
    assert heard["seq"] == first["seq"] + 1


def test_a_direct_message_reaches_every_socket_of_the_receiver(enter):
    ann, desk = enter("ann", "bob")
    phone = enter("bob")
    ann.send_json({"type": 3, "to": "bob", "data": "both"})
    assert desk.recv_json(type=3) == phone.recv_json(type=3)


def test_the_senders_other_extended_sockets_receive_it(site, enter):
    sending, bob = enter("ann", "bob")
    plain = enter("ann")
    by_query = enter("ann", query="&roster=diff")
    by_id = enter("ann")
    by_id.send_json({"type": 2, "data": "with an id", "id": "mine"})
    for client in (sending, plain, by_query, by_id):
        received_before(client, "with an id")
    sending.send_json({"type": 3, "to": "bob", "data": "copied", "id": "dm1"})
    ack = sending.recv_json(type=4, ref="dm1")
    copies = [client.recv_json(type=3) for client in (bob, by_query, by_id)]
    assert copies[0] == copies[1] == copies[2]
    assert (copies[0]["id"], copies[0]["seq"]) == ("dm1", ack["seq"])
    assert settle(bob, sending, plain) == [[], []]


def test_a_message_to_oneself_is_received_once_on_every_socket(enter):
    ann = enter("ann")
    other = enter("ann", query="&roster=diff")
    ann.send_json({"type": 3, "to": "ann", "data": "note"})
    assert ann.recv_json(type=3) == other.recv_json(type=3)
    assert settle(ann, other) == [[]]


def test_a_name_is_found_in_another_case(enter):
    ann, _ = enter("ann", "Straße")
    for to in ("Straße", "STRASSE", "straße"):
        ann.send_json({"type": 3, "to": to, "data": "hi", "id": to})
        ann.recv_json(type=4, ref=to)


# -- type 4


def test_an_ack_needs_an_id_and_comes_before_the_echo(enter):
    ann = enter("ann")
    ann.send_json({"type": 2, "data": "none"})
    ann.send_json({"type": 2, "data": "one", "id": "编号 1"})
    seen = ann.recv_until(lambda m: m.get("data") == "one")
    (ack,) = [m for m in seen if m["type"] == 4]
    echo = seen[-1]
    assert ack.keys() == {"type", "ref", "id", "room", "seq", "ts"}
    assert (ack["ref"], ack["id"], ack["room"]) == ("编号 1", "编号 1", "lobby")
    assert (ack["seq"], ack["ts"]) == (echo["seq"], echo["ts"])
    assert echo["id"] == "编号 1"


def test_only_the_sender_gets_the_ack(enter):
    ann, bob = enter("ann", "bob")
    ann.send_json({"type": 2, "data": "x", "id": "a1"})
    assert [m["type"] for m in received_before(bob, "x")] == []
    assert settle(ann, bob) == [[]]


def test_a_repeated_id_gets_the_same_ack_and_is_sent_once(site, enter):
    ann, bob = enter("ann", "bob")
    message = {"type": 2, "data": "once", "id": "r1"}
    ann.send_json(message)
    first = ann.recv_json(type=4)
    ann.send_json(message)
    assert ann.recv_json(type=4) == first
    ann.sock.close()
    again = enter("ann")
    again.send_json(message)
    assert again.recv_json(type=4) == first
    again.send_json({**message, "data": "another"})
    refused = again.recv_json(type=0)
    assert (refused["code"], refused["ref"]) == ("id_conflict", "r1")
    heard = settle(again, bob)[0]
    assert [m["data"] for m in heard] == ["once"]


def test_a_repeated_direct_message_is_sent_once(enter):
    ann, bob = enter("ann", "bob")
    for _ in range(2):
        ann.send_json({"type": 3, "to": "bob", "data": "once", "id": "d1"})
    acks = [ann.recv_json(type=4) for _ in range(2)]
    assert acks[0] == acks[1]
    assert acks[0]["room"] == "dm:id-ann:id-bob"
    assert [m["data"] for m in settle(ann, bob)[0]] == ["once"]


def test_each_user_and_each_room_has_its_own_ids(enter):
    ann, bob = enter("ann", "bob")
    for client, message in (
        (ann, {"type": 2, "data": "a"}),
        (bob, {"type": 2, "data": "b"}),
        (ann, {"type": 3, "to": "bob", "data": "c"}),
    ):
        client.send_json({**message, "id": "same"})
        assert client.recv_json(type=4, ref="same")


# -- type 5


def test_clients_that_ask_get_diffs_instead_of_lists(site, enter):
    viewer = enter("viewer", query="&roster=diff")
    with connect_as(site, "guest"):
        came = viewer.recv_until(lambda m: "guest" in names_in(m))
        assert {m["type"] for m in came} <= {5}
        assert came[-1].keys() == {"type", "room", "joined", "left"}
        assert came[-1]["room"] == "lobby"
        assert user("guest") in came[-1]["joined"]
    gone = viewer.recv_until(lambda m: "guest" in m.get("left", ()))
    assert {m["type"] for m in gone} == {5}
    viewer.send_json({"type": 1})
    assert "guest" not in names_in(viewer.recv_json(type=1))


def test_other_clients_get_lists_and_no_diffs(site, enter):
    plain = enter("plain")
    with connect_as(site, "guest2"):
        wait_for_users(plain, "guest2")
    plain.recv_until(lambda m: m["type"] == 1 and "guest2" not in names_in(m))
    assert 5 not in {json.loads(got.payload)["type"] for got in plain.log if got.opcode == TEXT}


def test_after_many_connects_and_disconnects_every_roster_is_right(site, enter):
    lists, diffs = enter("lister"), enter("differ", query="&roster=diff")
    here = set()
    for turn in range(3):
        crowd = [connect_as(site, f"crowd{turn}-{i}", "&roster=diff" if i % 2 else "") for i in range(6)]
        for client in crowd[: turn + 2]:
            client.sock.close()
        for client in crowd[turn + 2 :]:
            here.add(client.name)
            client.stay = client
        enter.stay = [*getattr(enter, "stay", []), *crowd]
    wanted = lambda seen: {name for name in seen if name.startswith("crowd")} == here  # noqa: E731
    lists.recv_until(lambda m: m["type"] == 1 and wanted(names_in(m)))
    known = names_in(json.loads(next(got.payload for got in diffs.log if b'"type":1' in got.payload)))

    def follow(message):
        known.difference_update(message.get("left", ()))
        known.update(names_in(message))
        return wanted(known)

    if not wanted(known):
        diffs.recv_until(follow)
    for client in enter.stay:
        client.sock.close()


# -- the roster


def test_three_tabs_are_one_entry_and_a_reload_changes_nothing(site, enter):
    viewer = enter("watcher", query="&roster=diff")
    tabs = [connect_as(site, "tabby") for _ in range(3)]
    wait_for_users(viewer, "tabby")
    viewer.send_json({"type": 1})
    listing = json.loads(viewer.recv_json(type=1)["data"])
    assert listing.count(user("tabby")) == 1
    for tab in tabs[:2]:
        tab.sock.close()
    tabs[2].sock.close()
    reloaded = connect_as(site, "tabby")
    reloaded.recv_json(type=1)
    settle(viewer)
    viewer.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        viewer.recv_until(lambda m: "tabby" in names_in(m) or "tabby" in m.get("left", ()), timeout=0.6)
    reloaded.sock.close()
    viewer.recv_until(lambda m: "tabby" in m.get("left", ()))


# -- names that differ in case


@pytest.fixture
def bobs(enter):
    """Ann and two whose names differ in case: each has been told of all."""
    ann = enter("ann")
    return [ann, *enter("Bob", "bob")]


def test_an_exact_spelling_reaches_its_user_alone(bobs):
    ann, high, low = bobs
    for name in ("Bob", "bob"):
        ann.send_json({"type": 3, "to": name, "data": f"for {name}"})
    told = [client.recv_json(type=3) for client in (high, low)]
    assert [(message["to"], message["data"]) for message in told] == [("Bob", "for Bob"), ("bob", "for bob")]
    assert settle(ann, high, low) == [[], []]


def test_an_ambiguous_name_is_refused_with_both_and_delivered_to_none(bobs):
    ann, high, low = bobs
    ann.send_json({"type": 3, "to": "BOB", "data": "whom?", "id": "m1"})
    assert ann.recv_json(type=0) == {
        "type": 0,
        "user": None,
        "data": FAILURES["ambiguous_to"].en,
        "code": "ambiguous_to",
        "ref": "m1",
        "users": [{"id": "id-Bob", "username": "Bob"}, {"id": "id-bob", "username": "bob"}],
    }
    assert settle(ann, high, low) == [[], []]


@pytest.mark.parametrize("to", [{}, {"to": "bob"}, {"to": "ann"}, {"to": 5}, {"to": None}])
def test_an_id_decides_whatever_the_name(bobs, to):
    ann, high, low = bobs
    ann.send_json({"type": 3, **to, "to_id": "id-Bob", "data": "by id"})
    message = high.recv_json(type=3)
    assert (message["to"], message["room"]) == ("Bob", "dm:id-Bob:id-ann")
    assert message.keys() == {"type", "user", "to", "data", "room", "seq", "id", "ts"}
    assert settle(ann, high, low) == [[], []]


def test_in_ephemeral_conversations_only_connected_users_count(make_server):
    server = make_server(env={"CHAT_EPHEMERAL_ROOMS": "dm:*"})
    with entering(server) as enter:
        ann, high = enter("ann", "Bob")
        ann.send_json({"type": 3, "to": "BOB", "data": "the only one"})
        assert high.recv_json(type=3)["to"] == "Bob"
        low = enter("bob")
        ann.send_json({"type": 3, "to": "BOB", "data": "whom?", "id": "m1"})
        error = ann.recv_json(type=0)
        assert (error["code"], [user["id"] for user in error["users"]]) == (
            "ambiguous_to",
            ["id-Bob", "id-bob"],
        )
        ann.send_json({"type": 3, "to_id": "id-bob", "data": "you"})
        assert low.recv_json(type=3)["data"] == "you"
        ann.send_json({"type": 3, "to_id": "id-nobody", "data": "you", "id": "m2"})
        assert ann.recv_json(type=0)["code"] == "unknown_user"
        assert settle(ann, high, low) == [[], []]


# -- bad input

BAD = [
    ("not json", "bad_json", None),
    ("[" * 100_000, "bad_json", None),
    ("[1]", "not_an_object", None),
    ('"text"', "not_an_object", None),
    ("null", "not_an_object", None),
    ({}, "unknown_type", None),
    ({"type": True, "id": "x"}, "unknown_type", "x"),
    *[
        ({"type": kind, "id": "x"}, "unknown_type", "x")
        for kind in (0, 4, 5, 8, 11, -1, 10**30, "2", 2.0, None)
    ],
    ({"type": 2, "id": "x"}, "bad_data", "x"),
    ({"type": 2, "data": {"a": 1}}, "bad_data", None),
    ({"type": 2, "data": "x" * 10_001, "id": "x"}, "too_long", "x"),
    ({"type": 2, "data": "😀" * 10_001}, "too_long", None),
    ({"type": 2, "data": "a\x00b", "id": "x"}, "bad_characters", "x"),
    ({"type": 2, "data": "hi", "id": ""}, "bad_id", None),
    ({"type": 2, "data": "hi", "id": "x" * 65}, "bad_id", None),
    ({"type": 2, "data": "hi", "id": 5}, "bad_id", None),
    ({"type": 2, "data": "hi", "room": 5, "id": "x"}, "bad_room", "x"),
    *[({"type": kind, "id": "x"}, "bad_room", "x") for kind in (6, 7, 10)],
    ({"type": 6, "room": "r" * 251, "id": "x"}, "bad_room", "x"),
    ({"type": 6, "room": "nowhere", "id": "x"}, "unknown_room", "x"),
    ({"type": 6, "room": "dm:id-bob:id-cat", "id": "x"}, "unknown_room", "x"),
    *[
        ({"type": 6, "room": "lobby", "since": since, "id": "x"}, "bad_since", "x")
        for since in ("5", -1, 1.5, True)
    ],
    ({"type": 6, "room": "lobby", "since": 5, "epoch": 5, "id": "x"}, "bad_since", "x"),
    *[({"type": 10, "room": "lobby", "seq": seq, "id": "x"}, "bad_seq", "x") for seq in ("5", -1, None)],
    ({"type": 10, "room": "nowhere", "seq": 1, "id": "x"}, "unknown_room", "x"),
    *[({"type": kind, "room": "nowhere", "data": "hi", "id": "x"}, "not_joined", "x") for kind in (1, 2)],
    ({"type": 3, "data": "to nobody", "id": "x"}, "missing_to", "x"),
    ({"type": 3, "data": "to nobody", "to": ""}, "missing_to", None),
    ({"type": 3, "data": "to nobody", "to": "  "}, "missing_to", None),
    ({"type": 3, "data": "to nobody", "to": None}, "missing_to", None),
    ({"type": 3, "data": "to nobody", "to": ["bob"], "id": "x"}, "bad_to", "x"),
    ({"type": 3, "data": "to nobody", "to": "n" * 65}, "bad_to", None),
    ({"type": 3, "data": "to nobody", "to": "nobody", "id": "x"}, "unknown_user", "x"),
    ({"type": 3, "data": "to nobody", "to_id": "nobody", "id": "x"}, "unknown_user", "x"),
    ({"type": 3, "data": "to nobody", "to": "bob", "to_id": "nobody", "id": "x"}, "unknown_user", "x"),
    ({"type": 3, "data": "to nobody any more", "to_id": "gone-1", "id": "x"}, "account_deleted", "x"),
    *[
        ({"type": 3, "data": "to nobody", "to": "bob", "to_id": to_id, "id": "x"}, "bad_to", "x")
        for to_id in ("", 7, "a\nb", "n" * 251, False)
    ],
    ({"type": 3, "to": "ann", "id": "x"}, "bad_data", "x"),
    ({"type": 9, "id": "x"}, "bad_data", "x"),
    (b"\x00\xff", "binary", None),
]


def test_bad_input_of_every_kind_is_answered_and_affects_no_other_client(enter, site):
    ann, bob = enter("ann", "bob")
    create_deleted_user(site.env["CHAT_DATABASE_URL"], Identity("gone-1", "gone"))
    for value, code, ref in BAD:
        if isinstance(value, bytes):
            ann.send_binary(value)
        else:
            ann.send_raw(text_frame(value))
        error = ann.recv_json(type=0)
        expected = {"type": 0, "user": None, "data": FAILURES[code].en, "code": code}
        assert error == (expected if ref is None else {**expected, "ref": ref}), value
    assert settle(ann, bob) == [[]]


#: Errors that no socket is told.
API_ALONE = {
    *(
        "room_taken",
        "rooms_closed",
        "forbidden",
        "last_owner",
        "fixed_title",
        "not_json",
        "too_large",
        "not_found",
        "reserved_title",
        "unknown_invitation",
        "invitation_declined",
        "too_many_invitations",
    ),
    *("method_not_allowed", *(f"bad_{word}" for word in "title topic kind flag role username".split())),
    *(f"bad_{word}" for word in "limit cursor range query request".split()),
    *("search_busy", "search_too_long", "too_many_requests"),
}


def test_every_error_of_a_bad_message_is_in_that_table():
    by_other_means = {
        "id_conflict",
        "rate_limited",
        "internal",
        "too_many_rooms",
        "store_unavailable",
        "quota_exceeded",
        "ambiguous_to",
        *API_ALONE,
    }
    closing = {code for code, row in FAILURES.items() if row.close}
    assert {code for _, code, _ in BAD} == FAILURES.keys() - by_other_means - closing


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", None, "en"),
        ("", "zh-CN,zh;q=0.9", "zh"),
        ("&lang=zh", "en", "zh"),
        ("&lang=en", "zh", "en"),
        ("&lang=xx", "zh", "zh"),
        ("", "fr", "en"),
    ],
)
def test_errors_are_in_the_requested_language(enter, query, accepted, language):
    ann = enter("ann", query=query, headers={"Accept-Language": accepted})
    ann.send_text("?")
    assert ann.recv_json(type=0)["data"] == getattr(FAILURES["bad_json"], language)


def test_a_seed_socket_stays_a_seed_socket_through_bad_input(enter):
    ann, bob = enter("ann", "bob")
    other = enter("ann")
    other.send_json({"type": 4})
    other.send_json({"type": 2, "data": 5, "id": "x"})
    assert [other.recv_json(type=0)["code"] for _ in range(2)] == ["unknown_type", "bad_data"]
    ann.send_json({"type": 3, "to": "bob", "data": "not for my other socket"})
    bob.recv_json(type=3)
    assert settle(ann, other) == [[]]


# -- sizes

LIMIT = 131_072


def padded(size):
    """A message of exactly so many bytes that says "x"."""
    head = b'{"type":2,"data":"x","pad":"'
    return head + b"p" * (size - len(head) - 2) + b'"}'


def test_a_message_of_the_greatest_size_is_accepted_whole_or_in_fragments(enter):
    ann = enter("ann")
    ann.send_frame(TEXT, padded(LIMIT))
    ann.recv_json(type=2, data="x")
    ann.send_fragmented(padded(LIMIT).decode(), pieces=40)
    ann.recv_json(type=2, data="x")


@pytest.mark.parametrize("pieces", [1, 2, 50])
def test_one_byte_more_closes_with_1009(enter, pieces):
    ann, bob = enter("ann", "bob")
    ann.send_fragmented(padded(LIMIT + 1).decode(), pieces=pieces)
    assert ann.wait_closed()[0] == 1009
    assert settle(bob) == []


def test_a_frame_that_claims_too_great_a_length_is_closed_with_1009(enter):
    ann = enter("ann")
    ann.send_raw(bytes((0x81, 0xFF)) + (1 << 40).to_bytes(8, "big") + b"mask")
    assert ann.wait_closed()[0] == 1009


# -- the handshake


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Version": None}, 426),
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": "not base64!!"}, 400),
        ({"Sec-WebSocket-Key": "QUJD"}, 400),
        ({"Upgrade": None}, 426),
        ({"Connection": "keep-alive"}, 426),
    ],
)
def test_a_bad_handshake_gets_an_http_answer(site, change, status):
    with pytest.raises(Refused) as refused:
        site.socket(token=token("ann"), headers=change)
    assert refused.value.status == status
    if status == 426:
        assert refused.value.headers.get("sec-websocket-version", "13") == "13"


def test_a_plain_request_is_told_that_this_is_a_websocket(site):
    assert site.get("/ws/chat")[0] == 426


# -- closing


def test_a_close_is_answered_and_its_sender_leaves(site, enter):
    viewer = enter("viewer", query="&roster=diff")
    with connect_as(site, "leaver") as leaver:
        wait_for_users(viewer, "leaver")
        assert leaver.close(1000, "bye")[0] == 1000
        viewer.recv_until(lambda m: "leaver" in m.get("left", ()))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"{}", mask=False), 1002),
        (frame(TEXT, b"{}", rsv=4), 1002),
        (frame(3, b""), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(TEXT, b"\xc3\x28"), 1007),
    ],
    ids=["no mask", "rsv", "opcode 3", "no beginning", "a ping in pieces", "half a close code", "no UTF-8"],
)
def test_a_protocol_error_closes_its_own_connection_alone(enter, data, code):
    ann, bob = enter("ann", "bob")
    ann.send_raw(data + text_frame({"type": 2, "data": "too late"}))
    assert ann.wait_closed()[0] == code
    settle(bob)
    assert all(b"too late" not in got.payload for got in bob.log)


def test_binary_fragments_count_as_one_bad_message(enter):
    ann = enter("ann")
    ann.send_raw(frame(BINARY, b"a", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"b"))
    assert ann.recv_json(type=0)["code"] == "binary"
    settle(ann)


# -- what the server keeps to itself


def test_no_token_payload_is_ever_shown(site, enter):
    ann = enter("ann")
    secret = token("keeper", email="keeper@example.org", role="admin")
    with site.socket(token=secret) as keeper:
        wait_for_users(ann, "keeper")
        keeper.send_json({"type": 2, "data": "mine"})
        received_before(ann, "mine")
        keeper.send_json({"type": 3, "to": "ann", "data": "direct"})
        ann.recv_json(type=3)
    told = b"".join(got.payload for got in ann.log)
    assert b"keeper" in told
    assert not re.search(rb"example.org|admin|jti|iat_ms", told)


def test_healthz_reports_the_number_of_clients(site, enter):
    enter("ann", "bob")
    status, _, body = site.get("/healthz")
    assert status == 200
    assert json.loads(body)["status"] == "ok"
    assert json.loads(body)["connections"] >= 2


def test_the_handshake_may_arrive_byte_by_byte(site):
    """A slow line: the request in pieces, then a frame in pieces."""
    pieces = (
        f"GET /ws/chat?token={token('slowpoke')}",
        " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnec",
        "tion: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n",
        "Sec-WebSocket-Version: 13\r\n\r\n",
    )
    with wsclient.WSClient(socket.create_connection(("127.0.0.1", site.port)), 10.0, True) as client:
        for piece in pieces:
            client.send_raw(piece.encode())
        assert client._read_head() == 101
        assert client.recv() == WELCOME
        for byte in text_frame({"type": 2, "data": "drop by drop"}):
            client.send_raw(bytes([byte]))
        client.recv_json(type=2, data="drop by drop")


def test_arbitrary_input_affects_no_other_client(site, enter):
    """Garbage of every shape, the same in each run: as messages on one socket, as bare bytes on many."""
    chance = random.Random(2)
    witness, vandal = enter("witness", "vandal")
    for _ in range(300):
        vandal.send_frame(TEXT, garbage(chance).encode())
    vandal.send_text("the end, which is no JSON either")
    vandal.ping()
    for _ in range(40):
        with connect_as(site, "stranger") as stranger:
            stranger.send_raw(chance.randbytes(chance.randrange(1, 400)))
    heard = settle(vandal, witness)[0]
    assert {message["user"]["username"] for message in heard} <= {"vandal"}
    assert b"Traceback" not in site.log().encode()


def garbage(chance):
    """JSON that is nearly a message."""
    values = [None, True, 2, 3, -1, 1.5, "", "bob", "x" * 70, [], {}, {"a": [1]}, "\x00", 10**25]
    fields = {
        name: chance.choice(values) for name in ("type", "data", "to", "id", "room") if chance.random() < 0.7
    }
    if chance.random() < 0.5:
        fields["type"] = chance.randrange(-1, 12)
    text = json.dumps(fields)
    return text if chance.random() < 0.8 else text[: chance.randrange(len(text))]


# -- users of other sites


def test_a_new_name_is_used_on_every_socket(site, enter):
    viewer = enter("viewer", query="&roster=diff")
    with site.socket(token=token("maiden", sub="m1")) as old:
        wait_for_users(viewer, "maiden")
        with site.socket(token=token("married", sub="m1")) as new:
            change = viewer.recv_until(lambda m: "married" in names_in(m))[-1]
            assert "maiden" in change["left"]
            viewer.send_json({"type": 3, "to": "married", "data": "congratulations"})
            assert old.recv_json(type=3) == new.recv_json(type=3)
            # The store takes over a new name a moment later.
            until(lambda: outcome(viewer, to="maiden") == "unknown_user")


def outcome(sender, to):
    """Send a direct message, and return the code of the Error that answers it; None for an Ack."""
    sender.send_json({"type": 3, "to": to, "data": "who?", "id": secrets.token_hex(4)})
    (*_, answer) = sender.recv_until(lambda m: m["type"] in (0, 4))
    return answer.get("code")


def test_in_ephemeral_rooms_nothing_has_a_seq():
    env = {"CHAT_EPHEMERAL_ROOMS": "lobby, dm:*"}
    with Server("gunicorn-gevent", env) as server, entering(server) as enter:
        ann, bob = enter("ann", "bob")
        for message in ({"type": 2, "data": "gone"}, {"type": 3, "to": "bob", "data": "gone too"}):
            for _ in range(2):
                ann.send_json({**message, "id": "e1"})
            acks = [ann.recv_json(type=4) for _ in range(2)]
            heard = bob.recv_json(data=message["data"])
            assert acks[0] == acks[1]
            assert acks[0].keys() == {"type", "ref", "id", "room", "ts"}
            assert heard.keys() - {"to"} == {"type", "user", "data", "room", "id", "ts"}
        assert settle(ann, bob) == [[]]
