"""Connection state recovery with socket.io-client: missed events come once and in order, or not at all."""

import random
import time

import pytest

from tests.integration.socketio_server import SocketIOServer
from tests.socketio_node import HASTY, TRANSPORTS, connecting
from tests.tokens import token

#: A client that reconnects only when the test says so.
NO_RECONNECT = {"reconnection": False}


@pytest.fixture(scope="module")
def site():
    with SocketIOServer() as server:
        yield server


def reader(connect, **options):
    """A client in the room "sports" of /news that reconnects only when the test says so."""
    client = connect(namespace="/news", **{**NO_RECONNECT, **options})
    client.call("join", "sports")
    client.call("remember", "colour", "blue")
    return client


def bulletins(site, client, room=None):
    """The bulletins that `client` has received; a marker that is sent now shows that all before it have arrived."""
    mark = f"mark {time.monotonic_ns()}"
    site.emit("bulletin", mark, room=room)
    client.recv("bulletin", lambda text, *_: text == mark)
    return [args[0] for args in client.received("bulletin") if not args[0].startswith("mark")]


def chat_texts(site, client, event="group_chat"):
    """The texts of the stored messages that `client` has received."""
    mark = f"mark {time.monotonic_ns()}"
    site.send(mark)
    client.recv("group_chat", lambda message, *_: message["data"] == mark)
    sent = [args[0] for args in client.received(event) if "seq" in args[0]]
    return [message["data"] for message in sent if not message["data"].startswith("mark")]


# -- recovered


def test_a_cut_connection_is_recovered_by_the_client_itself(site, connect, transports):
    client = connect(namespace="/news", **HASTY, **transports)
    assert client.received("connect")[0][0]["recovered"] is False
    id = client.id
    for _ in range(2):
        client.cut()
        assert client.recv("connect") == {"id": id, "recovered": True}
        assert client.call("echo", "back") == ["back"]
    assert client.call("about")[0]["recovered"] is True
    assert site.journal(id, "connected") == [("connected", False), ("connected", True), ("connected", True)]


def test_missed_events_come_once_and_in_order_with_rooms_and_data(site, connect, transports):
    client = reader(connect, **transports)
    site.emit("bulletin", "before")
    assert bulletins(site, client) == ["before"]
    client.cut()
    missed = []
    for number in range(10):
        room = None if number % 3 else "sports"
        site.emit("bulletin", f"missed {number}", room=room)
        site.emit("bulletin", "not for you", room="arts")
        missed.append(f"missed {number}")
    assert client.reconnect()["recovered"] is True
    assert bulletins(site, client, room="sports") == ["before", *missed]
    about = client.call("about")[0]
    assert about["rooms"] == sorted({"sports", *about["rooms"]})
    assert about["data"] == {"connected with": None, "colour": "blue"}


def test_a_second_disconnect_is_recovered_too(site, connect, transports):
    client = reader(connect, **transports)
    sent = []
    for number in range(3):
        client.cut()
        site.emit("bulletin", f"missed {number}", room="sports")
        sent.append(f"missed {number}")
        assert client.reconnect()["recovered"] is True
        assert client.recv("bulletin")[0] == f"missed {number}"
        client.cut()  # and again at once, with nothing emitted meanwhile
        assert client.reconnect()["recovered"] is True
        assert bulletins(site, client) == sent
    assert client.call("about")[0]["data"]["colour"] == "blue"


def test_a_client_that_missed_nothing_gets_no_repetition(site, connect):
    client = reader(connect)
    site.emit("bulletin", "heard")
    assert bulletins(site, client) == ["heard"]
    for _ in range(3):
        client.cut()
        assert client.reconnect()["recovered"] is True
    assert bulletins(site, client) == ["heard"]


def test_a_client_cut_off_before_its_first_event_is_recovered(site, connect):
    client = connect(namespace="/news", **NO_RECONNECT)
    client.cut()
    site.emit("bulletin", "the first")
    assert client.reconnect()["recovered"] is True
    assert bulletins(site, client) == ["the first"]


def test_an_event_to_one_session_does_not_break_its_recovery(site, connect):
    client = reader(connect)
    site.emit("bulletin", "one")
    client.call("tell me", "a text that is no offset")
    client.recv("told")
    client.cut()
    site.emit("bulletin", "two")
    assert client.reconnect()["recovered"] is True
    assert bulletins(site, client) == ["one", "two"]


def test_events_that_skipped_a_session_are_not_replayed_to_it(site, connect):
    client, other = reader(connect), connect(namespace="/news")
    client.call("tell others", "from me")
    for number in range(2):
        client.cut()
        other.call("tell others", f"from another {number}")
        assert client.reconnect()["recovered"] is True
        client.call("tell others", f"from me again {number}")
    assert bulletins(site, client) == ["from another 0", "from another 1"]


def test_missed_bytes_are_recovered_too(site, connect, transports):
    client, other = reader(connect, **transports), connect(namespace="/news")
    client.cut()
    other.call("reverse", b"\x01\x02\x03")
    assert client.reconnect()["recovered"] is True
    assert client.recv("reversed")[0] == {"data": b"\x03\x02\x01"}
    bulletins(site, client)
    assert len(client.received("reversed")) == 1


def test_events_that_a_client_queued_arrive_after_its_recovery(site, connect):
    client = reader(connect)
    id = client.id
    client.cut()
    for number in range(5):
        client.emit("note", number)
    assert client.reconnect()["recovered"] is True
    assert client.call("echo", 1) == [1]
    assert [value for _, value in site.journal(id, "note")] == list(range(5))


def test_rooms_that_were_left_are_not_recovered(site, connect):
    client = reader(connect)
    client.call("join", "arts")
    client.call("leave", "sports")
    client.cut()
    for room in ("sports", "arts"):
        site.emit("bulletin", room, room=room)
    assert client.reconnect()["recovered"] is True
    assert bulletins(site, client) == ["arts"]


def test_after_cuts_at_random_every_event_came_once_and_in_order(site, connect):
    chance = random.Random(4)
    clients = [reader(connect, reconnection=True, **HASTY, **options) for options in TRANSPORTS.values()]
    sent = []
    for _ in range(25):
        for _ in range(chance.randrange(10)):
            sent.append(f"sent {len(sent)}")
            site.emit(
                "bulletin", sent[-1], "x" * chance.choice((0, 20_000)), room=chance.choice((None, "sports"))
            )
        for client in clients:
            if chance.random() < 0.5:
                client.node.tell("cut", socket=client.name)
    for client in clients:
        client.node.wait(lambda one=client: one.state["connected"])
        assert bulletins(site, client) == sent
        assert {came["recovered"] for (came,) in client.received("connect")[1:]} == {True}


# -- the chat


def test_missed_messages_of_the_chat_come_once_and_in_order(site, connect, enter, transports):
    ann = connect("ann", **NO_RECONNECT, **transports)
    bob = enter("bob")
    bob.send_json({"type": 2, "data": "before"})
    ann.recv("group_chat", lambda message, *_: message["data"] == "before")
    ann.cut()
    twin = enter("ann")  # ann has to be connected for direct messages by name
    for number in range(5):
        bob.send_json({"type": 2, "data": f"group {number}"})
        bob.recv_json(type=2, data=f"group {number}")
        bob.send_json({"type": 3, "to": "ann", "data": f"direct {number}"})
        twin.recv_json(type=3)
        site.send(f"site {number}")
    twin.send_json({"type": 3, "to": "bob", "data": "from her other socket"})
    bob.recv_json(type=3)
    assert ann.reconnect()["recovered"] is True
    expected = [text for number in range(5) for text in (f"group {number}", f"site {number}")]
    assert chat_texts(site, ann) == ["before", *expected]
    direct = [args[0]["data"] for args in ann.received("single_chat")]
    assert direct == [*(f"direct {number}" for number in range(5)), "from her other socket"]
    seqs = [args[0]["seq"] for args in ann.received("group_chat") if "seq" in args[0]]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_a_direct_message_to_a_disconnected_user_is_replayed(site, connect, enter):
    zoe, bob = connect(auth={"token": site.user("zoe")}, **NO_RECONNECT), enter("bob")
    zoe.cut()
    bob.recv_until(lambda m: m["type"] == 1 and "zoe" not in m["data"])
    bob.send_json({"type": 3, "to": "zoe", "data": "are you there?", "id": "waits"})
    bob.recv_json(type=4, ref="waits")
    assert zoe.reconnect()["recovered"] is True
    bob.send_json({"type": 3, "to": "zoe", "data": "and now?"})
    zoe.recv("single_chat", lambda message, *_: message["data"] == "and now?")
    assert [args[0]["data"] for args in zoe.received("single_chat")] == ["are you there?", "and now?"]


def test_a_recovered_client_is_back_in_the_chat(site, connect, enter):
    ann = connect("ann", **NO_RECONNECT)
    for _ in range(2):
        ann.cut()
        assert ann.reconnect()["recovered"] is True
        bob = enter("bob")
        ann.emit("group_chat", {"data": "here again"})
        assert bob.recv_json(type=2, data="here again")["user"]["username"] == "ann"
        bob.send_json({"type": 3, "to": "ann", "data": "welcome back"})
        assert ann.recv("single_chat")[0]["data"] == "welcome back"
        bob.send_json({"type": 1})
        assert "ann" in bob.recv_json(type=1)["data"]


def test_both_namespaces_of_a_connection_are_recovered(site, connect):
    chat = connect("ann", **NO_RECONNECT)
    news = chat.share("/news")
    news.recv("connect")
    ids = [chat.id, news.id]
    chat.ask("cut")
    for client in (chat, news):
        client.recv("disconnect")
    site.send("missed in the chat")
    site.emit("bulletin", "missed in the news")
    for client in (chat, news):
        client.ask("connect")
    assert [client.recv("connect") for client in (chat, news)] == [
        {"id": id, "recovered": True} for id in ids
    ]
    assert chat_texts(site, chat) == ["missed in the chat"]
    assert bulletins(site, news) == ["missed in the news"]


# -- not recovered


def starts_over(client, old_id):
    came = client.reconnect()
    return came["recovered"] is False and came["id"] != old_id


def test_recovery_ends_after_its_time(node):
    seconds = 1.0
    with (
        SocketIOServer(env={"CHAT_IO_RECOVERY_SECONDS": seconds}) as site,
        connecting(node, site) as connect,
    ):
        client = reader(connect)
        id = client.id
        client.cut()
        site.wait_journal(id, "disconnected")
        site.emit("bulletin", "too long ago")
        time.sleep(seconds + 0.5)  # the configured time
        assert starts_over(client, id)
        assert bulletins(site, client) == []
        assert client.call("about")[0]["data"] == {"connected with": None}
        assert "sports" not in client.call("about")[0]["rooms"]


def test_without_recovery_there_is_no_offset_and_no_pid(node):
    with SocketIOServer(env={"CHAT_IO_RECOVERY_SECONDS": 0}) as site, connecting(node, site) as connect:
        client = reader(connect)
        site.emit("bulletin", "bare")
        assert client.recv("bulletin") == "bare"
        state = client.state
        assert (state["pid"], state["offset"]) == (None, None)
        client.cut()
        site.emit("bulletin", "missed")
        assert starts_over(client, state["id"])
        site.emit("bulletin", "bare again")
        assert client.recv("bulletin") == "bare again"


def test_a_client_that_disconnected_is_not_recovered(site, connect):
    client = reader(connect)
    id = client.id
    client.ask("disconnect")
    site.wait_journal(id, "disconnected")
    site.emit("bulletin", "missed")
    assert starts_over(client, id)
    assert bulletins(site, client) == []


def test_a_client_that_the_site_disconnected_is_not_recovered(site, connect):
    client = reader(connect)
    id = client.id
    client.emit("go")
    client.recv("disconnect")
    site.emit("bulletin", "missed")
    assert starts_over(client, id)
    assert bulletins(site, client) == []


def test_a_restarted_server_recovers_no_site_namespace(node):
    with SocketIOServer() as site, connecting(node, site) as connect:
        client = reader(connect)
        id = client.id
        site.restart()
        client.recv("disconnect")
        assert starts_over(client, id)
        assert client.call("about")[0]["data"] == {"connected with": None}


def test_a_user_banned_while_disconnected_is_refused(site, connect):
    ann = connect(auth={"token": site.user("ann-the-banned")}, **NO_RECONNECT)
    ann.cut()
    site.send("missed")
    site.ban("ann-the-banned")
    for made, codes in (
        (None, {"banned", "token_invalid"}),
        (site.fresh_token("ann-the-banned"), {"banned"}),
    ):
        if made:
            ann.ask("auth", auth={"token": made})
        ann.ask("connect")
        assert ann.recv("connect_error")["data"]["code"] in codes
        assert not ann.state["active"]
    assert ann.received("group_chat")[1:] == []


@pytest.mark.parametrize("action", ["kick", "log_out"])
def test_a_user_expelled_while_disconnected_is_refused(site, connect, action):
    name = f"ann-of-the-{action}"
    ann = connect(auth={"token": site.user(name)}, **NO_RECONNECT)
    ann.cut()
    site.send("missed")
    getattr(site, action)(name)
    ann.ask("connect")
    assert ann.recv("connect_error")["data"]["code"] == "token_invalid"
    assert not ann.state["active"]
    assert ann.received("group_chat")[1:] == []


@pytest.mark.parametrize("action", ["kick", "ban", "log_out"])
def test_an_expelled_user_recovers_nothing_in_site_namespaces(site, connect, action):
    name = f"reader-of-the-{action}"
    ann = reader(connect, auth={"token": site.user(name)})
    assert ann.call("about")[0]["identity"]["username"] == name
    id = ann.id
    ann.cut()
    site.emit("bulletin", "missed", room="sports")
    getattr(site, action)(name)
    assert starts_over(ann, id)
    about = ann.call("about")[0]
    assert (about["identity"], about["data"]) == (None, {"connected with": None})
    assert bulletins(site, ann) == []


@pytest.mark.parametrize("action", ["kick", "ban", "log_out"])
def test_an_expelled_user_is_disconnected_from_site_namespaces(site, connect, action):
    name = f"listener-of-the-{action}"
    ann, stranger = reader(connect, auth={"token": site.user(name)}), reader(connect)
    getattr(site, action)(name)
    assert ann.recv("disconnect") == "io server disconnect"
    assert bulletins(site, stranger) == []  # a client without a token stays connected


def test_an_expired_token_recovers_nothing(site, connect):
    ann = connect(auth={"token": token("ann", ttl=2)}, **NO_RECONNECT)
    ann.cut()
    site.send("missed")
    time.sleep(2.1)  # until the token expires
    ann.ask("connect")
    assert ann.recv("connect_error") == {"message": "token过期", "data": {"code": "token_expired"}}
    ann.ask("auth", auth={"token": token("ann")})
    ann.ask("connect")
    ann.recv("connect")


def test_a_fresh_token_of_the_same_user_recovers(site, connect):
    ann = connect("ann", **NO_RECONNECT)
    ann.cut()
    site.send("missed")
    ann.ask("auth", auth={"token": token("ann")})
    assert ann.reconnect()["recovered"] is True
    assert chat_texts(site, ann) == ["missed"]


def test_a_user_cannot_recover_another_users_session(site, connect, enter):
    ann, cat = connect("ann", **NO_RECONNECT), enter("cat")
    cat.send_json({"type": 3, "to": "ann", "data": "heard"})
    ann.recv("single_chat")
    state = ann.state
    ann.cut()
    cat.send_json({"type": 3, "to": "ann", "data": "for ann alone"})
    cat.ping()
    thief = connect(auth={"token": token("bob"), "pid": state["pid"], "offset": state["offset"]})
    assert thief.id != state["id"]
    assert thief.call("wave") == [["bob"]]
    assert chat_texts(site, thief, "single_chat") == []


@pytest.mark.parametrize(
    "forged",
    [
        {"pid": "nonsense", "offset": "nonsense"},
        {"pid": "", "offset": ""},
        {"pid": 1, "offset": {}},
        {"pid": None, "offset": None},
        {"pid": ["a"], "offset": ["b"]},
        {"pid": "x" * 10_000, "offset": "x" * 10_000},
        {"pid": "a\x00b"},
        {"offset": "5"},
    ],
)
def test_a_malformed_pid_or_offset_starts_a_new_session(connect, forged):
    client = connect(namespace="/news", auth=forged)
    assert client.received("connect")[0][0]["recovered"] is False
    assert client.call("echo", "new") == ["new"]


@pytest.mark.parametrize("offset", ["nonsense", "", 0, None, ["a"], "99999999999999999999999"])
def test_a_bad_offset_never_hides_a_gap(site, connect, offset):
    client = reader(connect)
    site.emit("bulletin", "one")
    assert bulletins(site, client) == ["one"]
    id = client.id
    client.cut()
    site.emit("bulletin", "missed")
    client.ask("auth", auth={"offset": offset})
    came = client.reconnect()
    texts = bulletins(site, client)
    if came["recovered"]:
        assert texts in (["one", "missed"], ["one", "one", "missed"])
    else:
        assert came["id"] != id
        assert texts == ["one"]
