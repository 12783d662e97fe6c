"""The chat over Socket.IO with the stock socket.io-client: its messages are those of the raw wire."""

import json
import time
from base64 import urlsafe_b64decode

import pytest

from chat.wire.errors import EXPIRED, FAILURES
from tests.integration.named_clients import entering
from tests.integration.socketio_server import SocketIOServer
from tests.integration.socketio_wire import Endpoint, PollingSession, probe
from tests.socketio_node import HASTY, TRANSPORTS, connecting
from tests.tokens import token

GREETING = {"type": 2, "user": None, "data": "欢迎欢迎,热烈欢迎,进入聊天室"}
#: Seconds within which a session must end after its token has expired.
END = 2.0


@pytest.fixture(scope="module")
def site():
    with SocketIOServer() as server:
        yield server


def next_message(client, event, **fields):
    """The next message under `event` that has these fields, without its offset."""
    got = client.recv(event, lambda message, *_: all(message.get(k) == v for k, v in fields.items()))
    return got[0] if isinstance(got, list) else got


def names(users):
    return {user["username"] for user in users}


def failure(code, language="en", **more):
    return {"data": getattr(FAILURES[code], language), **more}


# -- connecting


def test_a_joining_client_gets_the_greeting_and_the_roster(connect, enter, transports):
    enter("zoe")
    ann = connect("ann", **transports)
    seen = ann.recv_until(lambda event, *_: event == "group_list")
    assert [event for event, _ in seen if event.startswith("group_")] == ["group_chat", "group_list"]
    assert next(args[0] for event, args in seen if event == "group_chat") == GREETING
    roster = seen[-1][1][0]
    assert (roster["type"], roster["user"], roster["room"]) == (1, None, "lobby")
    assert {"id": "id-zoe", "username": "zoe"} in roster["data"]
    assert {"id": "id-ann", "username": "ann"} in roster["data"]
    assert roster.keys() == {"type", "user", "room", "data"}


def test_the_token_may_be_in_the_url(connect, transports):
    ann = connect(query={"token": token("ann")}, **transports)
    assert next_message(ann, "group_chat") == GREETING
    assert ann.call("wave") == [["ann"]]


BAD = {
    "expired": (lambda: token("ann", ttl=-1), "token_expired"),
    "garbage": (lambda: "garbage", "token_invalid"),
    "missing": (lambda: None, "token_invalid"),
    "no text": (lambda: {"a": 1}, "token_invalid"),
    "signed by another": (lambda: token("ann", key="another secret, and long enough too"), "token_invalid"),
}


@pytest.mark.parametrize(("make", "code"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("where", ["auth", "query"])
def test_a_bad_token_is_refused_with_a_reason(connect, enter, make, code, where):
    bob = enter("bob")
    made = make()
    given = {} if made is None else {where: {"token": made}}
    stranger = connect(wait=False, **given)
    assert stranger.recv("connect_error") == {"message": EXPIRED, "data": {"code": code}}
    assert not stranger.state["active"]
    stranger.emit("group_chat", {"data": "let me in"})
    bob.send_json({"type": 2, "data": "alone"})
    assert bob.recv_json(type=2)["data"] == "alone"
    assert stranger.received("group_chat") == []


def test_too_many_connections_of_one_user_are_refused_with_a_reason(node):
    with (
        SocketIOServer(env={"CHAT_MAX_CONNECTIONS_PER_USER": 2}) as site,
        connecting(node, site) as connect,
        entering(site) as enter,
    ):
        enter("ann")
        first = connect("ann")
        third = connect("ann", wait=False)
        refused = third.recv("connect_error")
        assert refused == {
            "message": FAILURES["too_many_for_user"].en,
            "data": {"code": "too_many_for_user"},
        }
        first.ask("disconnect")
        bob = enter("bob")
        third.ask("connect")
        third.recv("connect")
        third.emit("group_chat", {"data": "a place at last"})
        bob.recv_json(type=2, data="a place at last")


# -- the roster


def test_the_roster_is_asked_for_and_pushed(connect, enter, transports):
    ann = connect("ann", **transports)
    bob = enter("bob")
    ann.recv("group_list", lambda message, *_: "bob" in names(message["data"]))
    bob.send_json({"type": 1})
    raw = bob.recv_json(type=1)
    asked = ann.call("group_list")[0]
    assert {**asked, "data": sorted(asked["data"], key=str)} == {
        **raw,
        "data": sorted(json.loads(raw["data"]), key=str),
    }
    assert ann.call("group_list", {"room": "lobby"})[0]["room"] == "lobby"
    before = len(ann.received("group_list"))
    ann.emit("group_list")
    ann.node.wait(lambda: len(ann.received("group_list")) > before)
    bob.close()
    ann.recv("group_list", lambda message, *_: "bob" not in names(message["data"]))


def test_a_user_has_one_roster_entry_over_both_wires(connect, enter):
    connect("ann"), connect("ann", namespace="/news")
    viewer = enter("viewer")
    enter("ann")
    viewer.send_json({"type": 1})
    users = json.loads(viewer.recv_json(type=1)["data"])
    assert [user["username"] for user in users].count("ann") == 1


@pytest.mark.parametrize("where", ["query", "auth"])
def test_roster_diffs_go_to_clients_that_ask_for_them(connect, enter, where):
    asked = {"auth": {}, "query": {}}
    asked[where]["roster"] = "diff"
    asked["auth"]["token"] = token("ann")
    ann = connect(**asked)
    bob, carl, dora = (f"{name} of {where}" for name in ("bob", "carl", "dora"))  # users of no other test
    raw = enter(bob, query="&roster=diff")
    ann.recv("group_list")
    ann.recv("roster_diff", lambda message, *_: bob in names(message["joined"]))

    def both_are_told(field, wanted):
        message = raw.recv_until(lambda m: m["type"] == 5 and m[field] == wanted)[-1]
        assert next_message(ann, "roster_diff", **{field: wanted}) == message

    enter(carl)
    both_are_told("joined", [{"id": f"id-{carl}", "username": carl}])
    third = connect(dora)
    both_are_told("joined", [{"id": f"id-{dora}", "username": dora}])
    third.ask("disconnect")
    both_are_told("left", [dora])
    assert len(ann.received("group_list")) == 1


# -- group messages


def test_a_group_message_is_the_same_for_every_client(connect, enter, transports):
    ann, raw = connect("ann", **transports), enter("raw")
    twin = connect("ann")
    ann.emit("group_chat", {"data": "你好 🎉 <b>&</b>\n\t", "id": f"a{time.monotonic_ns()}"})
    sent = raw.recv_json(type=2)
    assert (sent["user"], sent["room"]) == ({"id": "id-ann", "username": "ann"}, "lobby")
    assert sent.keys() == {"type", "user", "data", "room", "seq", "id", "ts"}
    for client in (ann, twin):
        assert next_message(client, "group_chat", id=sent["id"]) == sent
    raw.send_json({"type": 2, "data": "and back"})
    sent = raw.recv_json(type=2, data="and back")
    for client in (ann, twin):
        assert next_message(client, "group_chat", data="and back") == sent


def test_every_client_gets_all_messages_in_the_order_of_seq(connect, enter):
    clients = [connect(name, **options) for name, options in zip("abc", TRANSPORTS.values(), strict=True)]
    raw = enter("raw")
    for number in range(100):
        clients[number % 3].emit("group_chat", {"data": f"n{number}"})
        if number % 5 == 0:
            raw.send_json({"type": 2, "data": f"r{number}"})
    for client in clients:
        client.call("group_list")
    raw.send_json({"type": 2, "data": "the end"})
    sent = [m for m in raw.recv_until(lambda m: m.get("data") == "the end") if m["type"] == 2]
    assert len(sent) == 121
    for client in clients:
        next_message(client, "group_chat", data="the end")
        heard = [args[0] for args in client.received("group_chat")]
        assert heard[-121:] == sent
        assert [message for message in heard[:-121] if "seq" in message] == []


def test_the_site_sends_to_the_lobby_and_to_one_user(site, connect, enter):
    ann, raw = connect("ann"), enter("raw")
    site.send("closing at ten")
    sent = raw.recv_json(type=2, data="closing at ten")
    assert next_message(ann, "group_chat", data="closing at ten") == sent
    twin = enter("ann")
    site.send("your boots are ready", to="ann")
    message = twin.recv_json(type=3)
    assert next_message(ann, "single_chat") == message
    assert message["user"] is None


# -- direct messages


def test_a_direct_message_is_the_same_in_both_directions(connect, enter, transports):
    ann, raw_ann = connect("ann", **transports), enter("ann", query="&roster=diff")
    bob, raw_bob = connect("bob"), enter("bob", query="&roster=diff")
    other = connect("other")
    # From Socket.IO: to both sockets of the receiver, and to the other one of the sender.
    ack = ann.call("single_chat", {"to": "BOB", "data": "psst 🤫", "id": f"d{time.monotonic_ns()}"})[0]
    message = raw_bob.recv_json(type=3)
    assert (message["user"]["username"], message["to"], message["data"]) == ("ann", "bob", "psst 🤫")
    assert message.keys() == {"type", "user", "to", "data", "room", "seq", "id", "ts"}
    assert ack == {key: message[key] for key in ("id", "room", "ts", "seq")}
    assert next_message(bob, "single_chat") == message == raw_ann.recv_json(type=3)
    # From the raw wire.
    raw_bob.send_json({"type": 3, "to": "ann", "data": "hush", "id": f"h{time.monotonic_ns()}"})
    message = raw_ann.recv_json(type=3)
    assert next_message(ann, "single_chat", data="hush") == message
    assert next_message(bob, "single_chat", data="hush") == message
    other.call("group_list")
    assert len(ann.received("single_chat")) == 1
    assert other.received("single_chat") == []


def test_names_that_differ_in_case(connect, enter):
    ann, high, low = connect("ann"), enter("Bob"), enter("bob")
    both = [{"id": "id-Bob", "username": "Bob"}, {"id": "id-bob", "username": "bob"}]
    answer = ann.call("single_chat", {"to": "BOB", "data": "whom?", "id": "b1"})[0]
    assert answer == {"error": "ambiguous_to", **failure("ambiguous_to", ref="b1", users=both)}
    ann.emit("single_chat", {"to": "BOB", "data": "whom?"})
    assert next_message(ann, "chat_error")["users"] == both
    assert (
        ann.call("single_chat", {"to": "BOB", "to_id": "id-bob", "data": "you"})[0]["room"]
        == "dm:id-ann:id-bob"
    )
    assert ann.call("single_chat", {"to_id": "id-Bob", "data": "and you"})[0]["room"] == "dm:id-Bob:id-ann"
    assert [client.recv_json(type=3)["data"] for client in (high, low)] == ["and you", "you"]


# -- acknowledgements


def test_the_ack_describes_the_stored_message(connect, enter, transports):
    ann, raw = connect("ann", **transports), enter("raw")
    id = f"mine {time.monotonic_ns()}"
    first = ann.call("group_chat", {"data": "with an id", "id": id})
    sent = raw.recv_json(type=2, data="with an id")
    assert first == [{"id": id, "room": "lobby", "ts": sent["ts"], "seq": sent["seq"]}]
    assert ann.call("group_chat", {"data": "with an id", "id": id}) == first
    without = ann.call("group_chat", {"data": "without one"})[0]
    sent = raw.recv_json(type=2, data="without one")
    assert without == {key: sent[key] for key in ("id", "room", "ts", "seq")}
    assert without["seq"] == first[0]["seq"] + 1  # the repeated one was not delivered again


def test_the_ack_of_an_ephemeral_room_has_no_seq(node):
    with (
        SocketIOServer(env={"CHAT_EPHEMERAL_ROOMS": "lobby"}) as site,
        connecting(node, site) as connect,
    ):
        ack = connect("ann").call("group_chat", {"data": "gone with the wind", "id": "w1"})[0]
        assert ack.keys() == {"id", "room", "ts"}
        assert ack["id"] == "w1"


# -- errors

INVALID = {
    "data that is no text": ("group_chat", {"data": 5, "id": "x1"}, "bad_data"),
    "no data": ("group_chat", {"id": "x2"}, "bad_data"),
    "too long": ("group_chat", {"data": "x" * 10_001, "id": "x3"}, "too_long"),
    "control characters": ("group_chat", {"data": "a\x00b", "id": "x4"}, "bad_characters"),
    "an id that is none": ("group_chat", {"data": "a", "id": 7}, "bad_id"),
    "an empty id": ("group_chat", {"data": "a", "id": ""}, "bad_id"),
    "a room that is none": ("group_chat", {"data": "a", "room": 7, "id": "x5"}, "bad_room"),
    "no to": ("single_chat", {"data": "a", "id": "x6"}, "missing_to"),
    "an empty to": ("single_chat", {"data": "a", "to": "", "id": "x7"}, "missing_to"),
    "a to that is none": ("single_chat", {"data": "a", "to": 5, "id": "x8"}, "bad_to"),
    "an unknown user": ("single_chat", {"data": "a", "to": "no such user", "id": "x9"}, "unknown_user"),
    "an unknown id": ("single_chat", {"data": "a", "to_id": "no such user", "id": "x12"}, "unknown_user"),
    "a to_id that is none": ("single_chat", {"data": "a", "to_id": 5, "id": "x13"}, "bad_to"),
    "a list of no room": ("group_list", {"room": [], "id": "x10"}, "bad_room"),
    "a token that is no text": ("auth", {"data": 5, "id": "x11"}, "bad_data"),
}
TYPES = {"group_list": 1, "group_chat": 2, "single_chat": 3, "auth": 9}


@pytest.mark.parametrize(("event", "message", "code"), INVALID.values(), ids=INVALID)
def test_errors_are_those_of_the_raw_wire(connect, enter, event, message, code):
    ann, raw = connect("ann"), enter("raw")
    raw.send_json({"type": TYPES[event], **message})
    error = raw.recv_json(type=0)
    assert error["code"] == code
    answer = ann.call(event, message)[0]
    expected = {("error" if key == "code" else key): value for key, value in error.items()}
    del expected["type"], expected["user"]
    assert answer == expected
    assert ann.received("chat_error") == []  # the ack has it
    ann.emit(event, message)
    assert next_message(ann, "chat_error") == error
    assert ann.call("wave") == [["ann"]]


NO_OBJECTS = {
    "a text": ["hello"],
    "nothing": [],
    "a list": [["a"]],
    "null": [None],
    "bytes": [b"\x00"],
    "a number": [1],
}


@pytest.mark.parametrize("args", NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_arguments_that_are_no_object_are_refused(connect, args):
    ann = connect("ann")
    answer = ann.call("group_chat", *args)[0]
    assert answer["error"] in FAILURES
    ann.emit("group_chat", *args)
    assert next_message(ann, "chat_error")["code"] == answer["error"]
    assert ann.call("wave") == [["ann"]]


def test_bytes_in_a_message_are_refused(connect):
    ann = connect("ann")
    assert ann.call("group_chat", {"data": b"\x00\x01", "id": "b1"})[0]["error"] in ("bad_data", "binary")
    assert ann.call("wave") == [["ann"]]


def test_the_same_id_with_another_text_is_refused(connect, enter):
    ann, raw = connect("ann"), enter("raw")
    id = f"c{time.monotonic_ns()}"
    ann.call("group_chat", {"data": "one thing", "id": id})
    assert ann.call("group_chat", {"data": "another", "id": id}) == [
        {"error": "id_conflict", "ref": id, **failure("id_conflict")}
    ]
    ann.call("group_chat", {"data": "the end"})
    texts = [m["data"] for m in raw.recv_until(lambda m: m.get("data") == "the end") if m["type"] == 2]
    assert "another" not in texts


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("where", ["auth", "query"])
def test_errors_are_in_the_language_asked_for(connect, language, where):
    asked = {"auth": {}, "query": {}}
    asked[where]["lang"] = language
    asked["auth"]["token"] = token("ann")
    ann = connect(**asked)
    message = ann.call("single_chat", {"data": "a"})
    assert message == [{"error": "missing_to", **failure("missing_to", language)}]


# -- limits

RATE, BURST, FLOOD = 5, 6, 10


@pytest.fixture(scope="module")
def strict():
    env = {"CHAT_RATE_LIMIT": RATE, "CHAT_RATE_BURST": BURST, "CHAT_FLOOD_LIMIT": FLOOD}
    with SocketIOServer(env=env) as server:
        yield server


@pytest.fixture
def hurry(node, strict):
    with connecting(node, strict) as connect:
        yield connect


def test_beyond_the_burst_acks_say_how_long_to_wait(strict, hurry):
    fast = hurry("fast1")
    asked = [fast.begin_call("group_chat", {"data": f"{n}", "id": f"n{n}"}) for n in range(BURST + 3)]
    answers = [fast.answer(number)[0] for number in asked]
    assert [answer["id"] for answer in answers[:BURST]] == [f"n{n}" for n in range(BURST)]
    for number, answer in enumerate(answers[BURST:], BURST):
        wait = answer.pop("retry_after")
        assert 0 < wait <= 1 / RATE
        assert answer == {"error": "rate_limited", "ref": f"n{number}", **failure("rate_limited")}
    assert fast.received("chat_error") == []
    time.sleep(wait + 0.01)  # the time that the server asked for
    assert fast.call("group_chat", {"data": "99", "id": "n99"})[0]["id"] == "n99"


def test_without_an_ack_the_error_is_an_event(hurry):
    fast = hurry("fast2")
    for number in range(BURST + 1):
        fast.emit("group_chat", {"data": f"{number}", "id": f"n{number}"})
    message = next_message(fast, "chat_error")
    assert 0 < message.pop("retry_after") <= 1 / RATE
    assert message == {
        "type": 0,
        "user": None,
        "code": "rate_limited",
        "ref": f"n{BURST}",
        **failure("rate_limited"),
    }


def test_a_user_has_one_rate_limit_over_both_wires(strict, hurry):
    one = hurry("fast3")
    with entering(strict) as enter:
        two = enter("fast3")
        for number in range(BURST):
            two.send_json({"type": 2, "data": f"{number}", "id": f"n{number}"})
            two.recv_json(type=4)
        assert one.call("group_chat", {"data": "one more"})[0]["error"] == "rate_limited"


def test_beyond_the_days_quota_the_ack_says_when_one_can_write_again(node):
    with SocketIOServer(env={"CHAT_STORE_QUOTA": 500}) as server, connecting(node, server) as connect:
        ann = connect("ann")
        assert ann.call("group_chat", {"data": "x" * 200, "id": "a"})[0]["id"] == "a"
        answer = ann.call("group_chat", {"data": "x" * 200, "id": "b"})[0]
        assert 0 < answer.pop("retry_after") <= 86_400
        assert answer == {"error": "quota_exceeded", "ref": "b", **failure("quota_exceeded")}


def test_a_flood_ends_the_session_and_bars_its_user_for_a_while(hurry):
    flooder, other = hurry("flooder"), hurry("other")
    for number in range(BURST + FLOOD + 5):
        flooder.emit("group_chat", {"data": f"{number}"})
    message = next_message(flooder, "chat_error", code="flooding")
    assert message["retry_after"] == BURST / RATE
    assert flooder.recv("disconnect") == "io server disconnect"
    assert not flooder.state["active"]
    flooder.ask("connect")
    assert flooder.recv("connect_error")["data"]["code"] == "flooding"
    assert other.call("wave") == [["other"]]
    time.sleep(message["retry_after"] + 0.05)  # the time that the server asked for
    flooder.reconnect()


# -- the end of a session


def ends(client, code, language="en"):
    """Check that the client gets the reason, and is disconnected without reconnecting by itself."""
    seen = client.recv_until(lambda event, *_: event == "disconnect", timeout=END + 3)
    message = [args[0] for event, args in seen if event == "chat_error"]
    assert message == [{"type": 0, "user": None, "code": code, **failure(code, language)}]
    assert seen[-1][1] == ["io server disconnect"]
    state = client.state
    assert not state["active"] and not state["reconnecting"] and not state["connected"]
    return True


DEEDS = [("kick", "kicked"), ("ban", "banned"), ("log_out", "token_invalid")]


@pytest.mark.parametrize(("deed", "code"), DEEDS)
def test_an_expelled_user_is_told_and_stays_disconnected(site, connect, deed, code):
    name = f"victim-of-a-{deed}"
    made = site.user(name)
    clients = [connect(auth={"token": made}, **HASTY, **transports) for transports in TRANSPORTS.values()]
    chinese = connect(auth={"token": made}, query={"lang": "zh"}, **HASTY)
    witness = connect("witness")
    getattr(site, deed)(name)
    assert all(ends(client, code) for client in clients)
    assert ends(chinese, code, "zh")
    again = clients[0]
    again.ask("connect")
    assert again.recv("connect_error")["data"]["code"] == "token_invalid"
    again.ask("auth", auth={"token": site.fresh_token(name)})
    again.ask("connect")
    if deed == "ban":
        assert again.recv("connect_error")["data"]["code"] == "banned"
    else:
        again.recv("connect")
    witness.call("group_list")
    assert witness.received("chat_error") == witness.received("disconnect") == []
    assert all(client.received("reconnect_attempt") == [] for client in clients)


def test_the_end_of_a_session_ends_its_connections_alone(site, connect):
    payload = site.user("two-browsers").split(".")[1]
    user_id = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]
    here, elsewhere = (token("two-browsers", sub=user_id, sid=sid) for sid in ("here", "elsewhere"))
    ending = [connect(auth={"token": here}, **HASTY, **transports) for transports in TRANSPORTS.values()]
    stays = connect(auth={"token": elsewhere}, **HASTY)
    site.end_session("two-browsers", "here")
    assert all(ends(client, "token_invalid") for client in ending)
    stays.call("group_list")
    assert stays.received("disconnect") == []


def test_a_user_expelled_during_the_upgrade_gets_the_reason(site):
    """The client has stopped polling, and has not yet sent the upgrade packet."""
    with Endpoint(site, "/socket.io/") as endpoint:
        session = PollingSession(endpoint, token=site.user("climber"))
        session.send("40")
        while not session.receive().startswith('42["group_list"'):
            pass
        ws = probe(session)
        site.kick("climber")
        ws.send_text("5")
        while (message := json.loads(ws.recv()[2:]))[0] != "chat_error":
            pass  # a roster may have been pushed meanwhile
        assert message[1]["code"] == "kicked"
        assert ws.recv() == "41"
        ws.wait_closed()


def test_a_session_ends_when_its_token_expires(connect, transports):
    ann = connect(auth={"token": token("ann", ttl=3)}, **transports)
    assert ends(ann, "token_expired")


def test_a_fresh_token_keeps_the_session(connect, enter, transports):
    first = {"token": token("ann", ttl=2)}
    ann, witness = connect(auth=first, **transports), connect(auth=first)
    fresh = token("ann", ttl=600, exp=int(time.time()) + 600)
    assert ann.call("auth", {"data": fresh})[0]["data"] // 1000 - int(time.time()) in range(595, 601)
    assert ends(witness, "token_expired")
    assert ann.call("wave") == [["ann"]]
    assert ann.received("disconnect") == []


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: token("bob"), "token_mismatch"),
        (lambda: token("ann", ttl=-1), "token_expired"),
        (lambda: "garbage", "token_invalid"),
    ],
)
def test_a_bad_fresh_token_ends_the_session(connect, make, code):
    ann = connect("ann", **HASTY)
    ann.emit("auth", {"data": make()})
    assert ends(ann, code)
    again = connect("ann", **HASTY)
    number = again.begin_call("auth", {"data": make(), "id": "renewal"})
    assert again.recv("disconnect") == "io server disconnect"
    assert again.answer(number) == [{"error": code, "ref": "renewal", **failure(code)}]
    assert again.received("chat_error") == []
