"""The chat over Socket.IO with socket.io-client, the original: message for message what the raw wire says."""

import json
import time

import pytest

from chat.wire.errors import EXPIRED, FAILURES
from tests.integration.named_clients import entering
from tests.integration.socketio_server import SocketIOServer
from tests.integration.socketio_wire import Endpoint, PollingSession, probe
from tests.socketio_node import HASTY, TRANSPORTS, connecting
from tests.tokens import token

GREETING = {"type": 2, "user": None, "data": "欢迎欢迎,热烈欢迎,进入聊天室"}
#: Seconds within which a token's end must have reached its session.
END = 2.0


@pytest.fixture(scope="module")
def site():
    with SocketIOServer() as server:
        yield server


def hears(client, event, **fields):
    """The next message under `event` that has these fields; the offset behind it is nobody's business here."""
    got = client.recv(event, lambda message, *_: all(message.get(k) == v for k, v in fields.items()))
    return got[0] if isinstance(got, list) else got


def names(users):
    return {user["username"] for user in users}


def failure(code, language="en", **more):
    return {"data": getattr(FAILURES[code], language), **more}


# -- coming in


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
    assert hears(ann, "group_chat") == GREETING
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
    bob.send_json({"type": 2, "data": "nobody came"})
    assert bob.recv_json(type=2)["data"] == "nobody came"
    assert stranger.heard("group_chat") == []


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
    before = len(ann.heard("group_list"))
    ann.emit("group_list")
    ann.node.wait(lambda: len(ann.heard("group_list")) > before)
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
    bob, carl, dora = (f"{name} of {where}" for name in ("bob", "carl", "dora"))  # nobody lingers from before
    raw = enter(bob, query="&roster=diff")
    ann.recv("group_list")
    ann.recv("roster_diff", lambda message, *_: bob in names(message["joined"]))

    def both_are_told(field, wanted):
        told = raw.recv_until(lambda m: m["type"] == 5 and m[field] == wanted)[-1]
        assert hears(ann, "roster_diff", **{field: wanted}) == told

    enter(carl)
    both_are_told("joined", [{"id": f"id-{carl}", "username": carl}])
    third = connect(dora)
    both_are_told("joined", [{"id": f"id-{dora}", "username": dora}])
    third.ask("disconnect")
    both_are_told("left", [dora])
    assert len(ann.heard("group_list")) == 1


# -- group messages


def test_a_group_message_is_the_same_for_every_client(connect, enter, transports):
    ann, raw = connect("ann", **transports), enter("raw")
    twin = connect("ann")
    ann.emit("group_chat", {"data": "你好 🎉 <b>&</b>\n\t", "id": f"a{time.monotonic_ns()}"})
    said = raw.recv_json(type=2)
    assert (said["user"], said["room"]) == ({"id": "id-ann", "username": "ann"}, "lobby")
    assert said.keys() == {"type", "user", "data", "room", "seq", "id", "ts"}
    for client in (ann, twin):
        assert hears(client, "group_chat", id=said["id"]) == said
    raw.send_json({"type": 2, "data": "and back"})
    said = raw.recv_json(type=2, data="and back")
    for client in (ann, twin):
        assert hears(client, "group_chat", data="and back") == said


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
    said = [m for m in raw.recv_until(lambda m: m.get("data") == "the end") if m["type"] == 2]
    assert len(said) == 121
    for client in clients:
        hears(client, "group_chat", data="the end")
        heard = [args[0] for args in client.heard("group_chat")]
        assert heard[-121:] == said
        assert [message for message in heard[:-121] if "seq" in message] == []


def test_the_site_sends_to_the_lobby_and_to_one_user(site, connect, enter):
    ann, raw = connect("ann"), enter("raw")
    site.say("closing at ten")
    said = raw.recv_json(type=2, data="closing at ten")
    assert hears(ann, "group_chat", data="closing at ten") == said
    twin = enter("ann")
    site.say("your boots are ready", to="ann")
    told = twin.recv_json(type=3)
    assert hears(ann, "single_chat") == told
    assert told["user"] is None


# -- direct messages


def test_a_direct_message_is_the_same_in_both_directions(connect, enter, transports):
    ann, raw_ann = connect("ann", **transports), enter("ann", query="&roster=diff")
    bob, raw_bob = connect("bob"), enter("bob", query="&roster=diff")
    other = connect("other")
    # From Socket.IO: to both of the receiver's, and to the sender's other one.
    ack = ann.call("single_chat", {"to": "BOB", "data": "psst 🤫", "id": f"d{time.monotonic_ns()}"})[0]
    told = raw_bob.recv_json(type=3)
    assert (told["user"]["username"], told["to"], told["data"]) == ("ann", "bob", "psst 🤫")
    assert told.keys() == {"type", "user", "to", "data", "room", "seq", "id", "ts"}
    assert ack == {key: told[key] for key in ("id", "room", "ts", "seq")}
    assert hears(bob, "single_chat") == told == raw_ann.recv_json(type=3)
    # From the raw wire.
    raw_bob.send_json({"type": 3, "to": "ann", "data": "hush", "id": f"h{time.monotonic_ns()}"})
    told = raw_ann.recv_json(type=3)
    assert hears(ann, "single_chat", data="hush") == told
    assert hears(bob, "single_chat", data="hush") == told
    other.call("group_list")
    assert len(ann.heard("single_chat")) == 1
    assert other.heard("single_chat") == []


# -- acknowledgements


def test_the_ack_describes_the_stored_message(connect, enter, transports):
    ann, raw = connect("ann", **transports), enter("raw")
    id = f"mine {time.monotonic_ns()}"
    first = ann.call("group_chat", {"data": "with an id", "id": id})
    said = raw.recv_json(type=2, data="with an id")
    assert first == [{"id": id, "room": "lobby", "ts": said["ts"], "seq": said["seq"]}]
    assert ann.call("group_chat", {"data": "with an id", "id": id}) == first
    without = ann.call("group_chat", {"data": "without one"})[0]
    said = raw.recv_json(type=2, data="without one")
    assert without == {key: said[key] for key in ("id", "room", "ts", "seq")}
    assert without["seq"] == first[0]["seq"] + 1  # the repeated one was not said again


def test_the_ack_of_an_ephemeral_room_has_no_seq(node):
    with (
        SocketIOServer(env={"CHAT_EPHEMERAL_ROOMS": "lobby"}) as site,
        connecting(node, site) as connect,
    ):
        ack = connect("ann").call("group_chat", {"data": "gone with the wind", "id": "w1"})[0]
        assert ack.keys() == {"id", "room", "ts"}
        assert ack["id"] == "w1"


# -- what goes wrong

WRONG = {
    "data that is no text": ("group_chat", {"data": 5, "id": "x1"}, "bad_data"),
    "no data": ("group_chat", {"id": "x2"}, "bad_data"),
    "too long": ("group_chat", {"data": "x" * 10_001, "id": "x3"}, "too_long"),
    "control characters": ("group_chat", {"data": "a\x00b", "id": "x4"}, "bad_characters"),
    "an id that is none": ("group_chat", {"data": "a", "id": 7}, "bad_id"),
    "an empty id": ("group_chat", {"data": "a", "id": ""}, "bad_id"),
    "a room that is none": ("group_chat", {"data": "a", "room": 7, "id": "x5"}, "bad_room"),
    "nobody to": ("single_chat", {"data": "a", "id": "x6"}, "missing_to"),
    "an empty to": ("single_chat", {"data": "a", "to": "", "id": "x7"}, "missing_to"),
    "a to that is none": ("single_chat", {"data": "a", "to": 5, "id": "x8"}, "bad_to"),
    "somebody unknown": ("single_chat", {"data": "a", "to": "nobody here", "id": "x9"}, "unknown_user"),
    "a list of no room": ("group_list", {"room": [], "id": "x10"}, "bad_room"),
    "a token that is no text": ("auth", {"data": 5, "id": "x11"}, "bad_data"),
}
TYPES = {"group_list": 1, "group_chat": 2, "single_chat": 3, "auth": 9}


@pytest.mark.parametrize(("event", "message", "code"), WRONG.values(), ids=WRONG)
def test_errors_are_those_of_the_raw_wire(connect, enter, event, message, code):
    ann, raw = connect("ann"), enter("raw")
    raw.send_json({"type": TYPES[event], **message})
    told = raw.recv_json(type=0)
    assert told["code"] == code
    answer = ann.call(event, message)[0]
    expected = {("error" if key == "code" else key): value for key, value in told.items()}
    del expected["type"], expected["user"]
    assert answer == expected
    assert ann.heard("chat_error") == []  # the callback has it
    ann.emit(event, message)
    assert hears(ann, "chat_error") == told
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
    assert hears(ann, "chat_error")["code"] == answer["error"]
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
    told = ann.call("single_chat", {"data": "a"})
    assert told == [{"error": "missing_to", **failure("missing_to", language)}]


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
    assert fast.heard("chat_error") == []
    time.sleep(wait + 0.01)  # as told
    assert fast.call("group_chat", {"data": "99", "id": "n99"})[0]["id"] == "n99"


def test_without_an_ack_the_error_is_an_event(hurry):
    fast = hurry("fast2")
    for number in range(BURST + 1):
        fast.emit("group_chat", {"data": f"{number}", "id": f"n{number}"})
    told = hears(fast, "chat_error")
    assert 0 < told.pop("retry_after") <= 1 / RATE
    assert told == {
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


def test_a_flood_ends_the_session_and_bars_its_user_for_a_while(hurry):
    flooder, other = hurry("flooder"), hurry("other")
    for number in range(BURST + FLOOD + 5):
        flooder.emit("group_chat", {"data": f"{number}"})
    told = hears(flooder, "chat_error", code="flooding")
    assert told["retry_after"] == BURST / RATE
    assert flooder.recv("disconnect") == "io server disconnect"
    assert not flooder.state["active"]
    flooder.ask("connect")
    assert flooder.recv("connect_error")["data"]["code"] == "flooding"
    assert other.call("wave") == [["other"]]
    time.sleep(told["retry_after"] + 0.05)  # as told
    flooder.come_back()


# -- the end


def ends(client, code, language="en"):
    """Hold that the client is told why, and is disconnected so that it does not come back by itself."""
    seen = client.recv_until(lambda event, *_: event == "disconnect", timeout=END + 3)
    told = [args[0] for event, args in seen if event == "chat_error"]
    assert told == [{"type": 0, "user": None, "code": code, **failure(code, language)}]
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
    assert witness.heard("chat_error") == witness.heard("disconnect") == []
    assert all(client.heard("reconnect_attempt") == [] for client in clients)


def test_a_user_expelled_during_the_upgrade_gets_the_reason(site):
    """The client has stopped to poll, and has not said yet that the WebSocket takes over."""
    with Endpoint(site, "/socket.io/") as endpoint:
        session = PollingSession(endpoint, token=site.user("climber"))
        session.send("40")
        while not session.receive().startswith('42["group_list"'):
            pass
        ws = probe(session)
        site.kick("climber")
        ws.send_text("5")
        while (told := json.loads(ws.recv()[2:]))[0] != "chat_error":
            pass  # a roster that was pushed meanwhile
        assert told[1]["code"] == "kicked"
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
    assert ann.heard("disconnect") == []


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
    assert again.heard("chat_error") == []
