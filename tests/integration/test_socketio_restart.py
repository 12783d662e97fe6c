"""Connection state recovery across restarts, with socket.io-client: stored messages come once and in order."""

import os
import random
import signal
import time
from contextlib import contextmanager
from itertools import count

import pytest

from tests.integration.socketio_raw import raw_clients
from tests.integration.socketio_server import SocketIOServer
from tests.leftovers import children
from tests.socketio_node import HASTY, TRANSPORTS, connecting
from tests.tokens import token

#: A client that reconnects only when the test says so.
NO_RECONNECT = {"reconnection": False}
REPLAY_MAX = 30
numbers = count(1)


class Site(SocketIOServer):
    """A site whose process is restarted or killed."""

    def kill(self):
        """Kill the worker; gunicorn starts another one."""
        (worker,) = children(self.pid)
        os.kill(worker, signal.SIGKILL)
        self.wait_log(f"(pid:{worker}) was sent SIGKILL")
        self.wait_ready()

    def end_and_start(self, how):
        self.restart() if how == "SIGTERM" else self.kill()


@pytest.fixture(scope="module")
def site():
    with Site(env={"CHAT_REPLAY_MAX": REPLAY_MAX}) as server:
        yield server


@pytest.fixture(params=["SIGTERM", "SIGKILL"])
def how(request):
    return request.param


@pytest.fixture
def away(site, connect):
    """away(ann, bob) cuts these clients off, and restarts the site at the end of the block."""

    @contextmanager
    def going(*clients, how="SIGKILL"):
        for client in clients:
            client.cut()
        yield
        site.end_and_start(how)

    return going


@pytest.fixture
def den(site):
    return site.room(f"den {next(numbers)}")


def join(client, room, **options):
    (answer,) = client.call("join", {"room": room, **options})
    assert answer["recovered"] is True
    return answer


def send(client, text, room="lobby"):
    (answer,) = client.call("group_chat", {"room": room, "data": text})
    return answer["seq"]


def send_direct(client, to, text):
    """Send a direct message to a user who may have just connected: the user's row is made a moment later."""
    deadline = time.monotonic() + 10
    while (answer := client.call("single_chat", {"to": to, "data": text})[0]).get("error") == "unknown_user":
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)  # nothing shows when the row has been made
    assert answer["seq"]


def receive(client, text, event="group_chat"):
    return client.recv(event, lambda message, *_: message["data"] == text)


def texts(client, event="group_chat", room=None):
    """The texts of all messages that it received, on all its connections."""
    said = [args[0] for args in client.received(event) if "seq" in args[0]]
    return [message["data"] for message in said if room in (None, message["room"])]


def settle(site, *clients, room="lobby"):
    """Wait until all have received a last message, and return what each has received in the room before it."""
    word = f"word {next(numbers)}"
    site.send(word, room=room)
    for client in clients:
        receive(client, word)
    return [texts(client, room=room)[:-1] for client in clients]


def recovered(client):
    return client.reconnect()["recovered"]


# -- recovered


def test_a_stock_client_resumes_by_itself_after_a_restart(site, connect, den, how, transports):
    ann, bob = connect("ann", **transports), connect("bob")
    join(ann, den), join(bob, den)
    send(bob, "before", den)
    receive(ann, "before")
    id = ann.id
    site.end_and_start(how)
    for client in (ann, bob):
        client.recv("disconnect")
        assert client.recv("connect", timeout=30)["recovered"] is True
    assert ann.id == id
    send(bob, "after", den)
    send(ann, "and back", den)
    assert settle(site, ann, bob, room=den) == [["before", "after", "and back"]] * 2


def test_after_a_restart_missed_messages_come_once_and_in_order(site, connect, den, how, transports, away):
    secret = site.room("Plans", "ann", "bob", private=True)
    ann, bob = connect("ann", **NO_RECONNECT, **transports), connect("bob", **HASTY)
    for room in (den, secret):
        join(ann, room), join(bob, room)
    for room in ("lobby", den, secret):
        send(bob, f"before in {room}", room)
    with away(ann, how=how):
        for number in range(3):
            for room in ("lobby", den, secret):
                send(bob, f"missed {number} in {room}", room)
            send_direct(bob, "ann", f"direct {number}")
    bob.recv("connect", timeout=30)
    for room in (secret, den, "lobby"):
        send(bob, f"after in {room}", room)
    assert recovered(ann) is True
    send_direct(bob, "ann", "live")
    receive(ann, "live", "single_chat")
    assert texts(ann, "single_chat") == ["direct 0", "direct 1", "direct 2", "live"]
    for room in ("lobby", den, secret):
        expected = ["before", *(f"missed {number}" for number in range(3)), "after"]
        received = [text for text in settle(site, ann, room=room)[0] if text.endswith(f" in {room}")]
        assert received == [f"{one} in {room}" for one in expected]
        assert send(ann, "here", room)


def test_a_client_that_missed_nothing_gets_no_repetition(site, connect, den, how, away):
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob")
    join(ann, den), join(bob, den)
    for text, room in (("one", den), ("two", "lobby"), ("three", den)):
        send(bob, text, room)
    receive(ann, "three")
    with away(ann, how=how):
        pass
    assert recovered(ann) is True
    assert settle(site, ann, room=den) == [["one", "three"]]
    assert texts(ann).count("two") == 1


def test_a_second_disconnect_is_recovered_too(site, connect, den, away):
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob", **HASTY)
    join(ann, den), join(bob, den)
    send(bob, "0", den)
    receive(ann, "0")
    for number in range(1, 4):
        with away(ann):
            send(bob, f"{number} before", den)
        bob.recv("connect", timeout=30)
        send(bob, f"{number} after", den)
        assert recovered(ann) is True
        if number == 2:
            receive(ann, "2 after")
            ann.cut()  # and once more on the same process
            send(bob, "2 again", den)
            assert recovered(ann) is True
    expected = ["0", "1 before", "1 after", "2 before", "2 after", "2 again", "3 before", "3 after"]
    assert settle(site, ann, room=den) == [expected]


def test_a_restart_after_each_replayed_message_leaves_no_gap_or_repetition(site, den, connect):
    """It is cut off after each replayed message, on the same process and with another restart between."""
    bob = connect("bob", **HASTY)
    join(bob, den)
    with raw_clients(site) as connect_raw:
        ann = connect_raw("ann")
        ann.call("join", {"room": den})
        send(bob, "received", den)
        ann.take_until(lambda one: one.received())
        pid, offset = ann.pid, ann.offset
        ann.cut()
        for number in range(3):
            send(bob, f"missed {number}", den)
            send(bob, f"missed {number} too")
        missed = [text for number in range(3) for text in (f"missed {number}", f"missed {number} too")]
        for again in (False, True):
            site.kill()
            bob.recv("connect", timeout=30)
            while True:
                ann = connect_raw("ann", pid=pid, offset=offset)
                assert ann.pid == pid
                ann.settle()
                received = [(event[1]["data"], event[-1]) for event in ann.events if "seq" in event[1]]
                assert [text for text, _ in received] == missed
                ann.cut()
                if not missed or (not again and len(missed) == 3):
                    break
                missed.pop(0)
                offset = received[0][1]
        send(bob, "live", den)
        ann = connect_raw("ann", pid=pid, offset=offset)
        ann.settle()
        assert [text for *_, text in ann.received()] == ["live"]


def test_joined_and_left_rooms_survive_a_restart(site, connect, den, away):
    left, joined = site.room(f"left {next(numbers)}"), site.room(f"joined {next(numbers)}")
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob", **HASTY)
    for room in (left, den, joined):
        join(bob, room)
    join(ann, left)
    join(ann, den)
    ann.call("leave", {"room": left})
    ann.call("leave", {"room": "lobby"})
    send(bob, "received", den)
    receive(ann, "received")
    send(bob, "before she joined", joined)
    join(ann, joined)
    with away(ann):
        for room in (left, den, joined, "lobby"):
            send(bob, f"missed in {room}", room)
    bob.recv("connect", timeout=30)
    assert recovered(ann) is True
    assert settle(site, ann, room=den) == [["received", f"missed in {den}"]]
    assert settle(site, ann, room=joined) == [[f"missed in {joined}"]]
    for room in (left, "lobby"):
        assert ann.call("group_chat", {"room": room, "data": "?"})[0]["error"] == "not_joined"
        assert f"missed in {room}" not in texts(ann)


def test_a_client_that_was_outside_the_lobby_stays_outside(site, connect, away):
    ann, bob = connect(auth={"token": token("ann"), "lobby": False}, **NO_RECONNECT), connect("bob", **HASTY)
    send_direct(bob, "ann", "received")
    receive(ann, "received", "single_chat")
    with away(ann):
        send(bob, "not for her")
    bob.recv("connect", timeout=30)
    assert recovered(ann) is True
    send_direct(bob, "ann", "live")
    receive(ann, "live", "single_chat")
    assert texts(ann) == []


def test_a_client_that_lost_a_room_meanwhile_is_told(site, connect, away):
    secret = site.room("Plans", "ann", "bob", private=True)
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob", **HASTY)
    join(ann, secret), join(bob, secret)
    send(bob, "received", secret)
    receive(ann, "received")
    with away(ann):
        send(bob, "while she still might have", secret)
    bob.recv("connect", timeout=30)
    site.remove("ann", secret)
    assert recovered(ann) is True
    assert ann.recv("leave") == {"type": 7, "room": secret}
    assert texts(ann, room=secret) == ["received"]


def test_an_ephemeral_room_is_resumed_without_its_messages(site, connect, away):
    typing = site.room(f"typing {next(numbers)}", ephemeral=True)
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob", **HASTY)
    join(ann, typing), join(bob, typing)
    send(bob, "received")
    receive(ann, "received")
    with away(ann):
        bob.call("group_chat", {"room": typing, "data": "…"})
    assert recovered(ann) is True
    assert ann.recv("synced") == {"type": 8, "room": typing, "epoch": "", "recovered": False}
    assert ann.call("group_chat", {"room": typing, "data": "…"})[0]["room"] == typing


def test_own_direct_messages_are_not_replayed(site, connect, away):
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob", **HASTY)
    send(bob, "received")
    receive(ann, "received")
    for to in ("bob", "ann"):
        send_direct(ann, to, f"from her to {to}")
    with away(ann):
        send_direct(bob, "ann", "missed")
    assert recovered(ann) is True
    bob.recv("connect", timeout=30)
    send_direct(bob, "ann", "live")
    receive(ann, "live", "single_chat")
    assert texts(ann, "single_chat") == ["from her to ann", "missed", "live"]


def test_messages_of_another_process_come_once(site, connect, away):
    ann, bob = connect("ann", **NO_RECONNECT), connect("bob", **HASTY)
    site.cli("send", "lobby", "from the command line")
    for one in (ann, bob):
        receive(one, "from the command line")
    send(bob, "received")
    receive(ann, "received")
    with away(ann):
        site.cli("send", "lobby", "missed from the command line")
        receive(bob, "missed from the command line")
        send(bob, "missed")
    assert recovered(ann) is True
    received = settle(site, ann)[0]
    at = received.index("from the command line")
    assert received[at:] == ["from the command line", "received", "missed from the command line", "missed"]


def test_restart_recovery_works_on_each_database(node, database_url):
    with Site(env={"CHAT_DATABASE_URL": database_url}) as site, connecting(node, site) as connect:
        room = site.room("den")
        ann, bob = connect("ann", **NO_RECONNECT), connect("bob", **HASTY)
        join(ann, room), join(bob, room)
        send(bob, "received", room)
        receive(ann, "received")
        ann.cut()
        send(bob, "missed", room)
        send_direct(bob, "ann", "direct")
        site.kill()
        bob.recv("connect", timeout=30)
        send(bob, "missed after", room)
        assert recovered(ann) is True
        assert settle(site, ann, room=room) == [["received", "missed", "missed after"]]
        assert texts(ann, "single_chat") == ["direct"]


def receive_some(client, count, turn):
    """Wait until it has received `count` messages of this turn."""
    client.node.wait(lambda: sum(text.startswith(f"{turn} ") for text in texts(client)) >= count)


def reconnect(clients):
    """Wait until all have reconnected after the end of the server."""
    for client in clients:
        client.recv("connect", timeout=30)


def test_after_random_kills_every_client_has_all_messages_once_and_in_order(site, connect, den):
    chance = random.Random(7)
    clients = [
        connect(name, **HASTY, **options) for name, options in zip("xyz", TRANSPORTS.values(), strict=True)
    ]
    for client in clients:
        join(client, den)
    send(clients[0], "begin", den)
    send(clients[0], "begin")
    for client in clients:
        client.node.wait(lambda one=client: texts(one).count("begin") == 2)
    for turn in range(6):
        # No more than can be recovered if all of it is missed.
        count = chance.randrange(3, REPLAY_MAX // 2 - 2)
        for number in range(count):
            client = chance.choice(clients)
            room = chance.choice(["lobby", den])
            client.emit("group_chat", {"room": room, "data": f"{turn} {number}"})
            client.emit("single_chat", {"to": chance.choice("xyz"), "data": f"{turn} {number}"})
        receive_some(clients[turn % 3], chance.randrange(count), turn)
        site.kill()
        reconnect(clients)
    for client in clients:
        send(client, "end"), send(client, "end", den)  # then all its messages before are stored
    for room in ("lobby", den):
        received = settle(site, *clients, room=room)
        stored = [text for _, _, text in site.stored(room)]
        for one in received:
            assert one == stored[stored.index("begin") : -1]
    for client, name in zip(clients, "xyz", strict=True):
        received = [(one["user"]["username"], one["data"]) for (one, *_) in client.received("single_chat")]
        for other in "xyz".replace(name, ""):
            room = "dm:" + ":".join(sorted((f"id-{name}", f"id-{other}")))
            stored = [text for _, sender, text in site.stored(room) if sender == other]
            assert [text for sender, text in received if sender == other] == stored
    assert {came["recovered"] for client in clients for (came,) in client.received("connect")[1:]} == {True}


# -- not recovered


def starts_over(client, old_id):
    came = client.reconnect()
    return came["recovered"] is False and came["id"] != old_id


def with_an_offset(connect, **options):
    """A client that has received an event, and so has an offset."""
    ann, bob = connect(**options, **NO_RECONNECT), connect("bob", **HASTY)
    word = f"word {next(numbers)}"
    send(bob, word)
    receive(ann, word)
    return ann, bob, ann.id


def test_a_client_without_an_offset_is_not_recovered_after_a_restart(site, connect, away):
    ann = connect("ann", **NO_RECONNECT)
    id = ann.id
    with away(ann):
        site.send("missed")
    assert starts_over(ann, id)
    assert texts(ann) == []


def test_a_client_that_started_over_gets_nothing_from_before(site, connect, away):
    ann, bob, id = with_an_offset(connect, name="ann")
    offset = ann.state["offset"]
    ann.ask("auth", auth={"token": token("ann"), "pid": "unknown"})
    with away(ann):
        send(bob, "missed for good")
    assert starts_over(ann, id)
    assert ann.state["offset"] == offset  # the client keeps it, though it is from an earlier session
    ann.ask("auth", auth={"token": token("ann")})
    id = ann.id
    with away(ann):
        pass
    assert starts_over(ann, id)
    assert "missed for good" not in texts(ann)


def test_a_client_that_missed_too_much_is_not_recovered(site, connect, away):
    ann, bob, id = with_an_offset(connect, name="ann")
    with away(ann):
        for number in range(REPLAY_MAX + 1):
            send(bob, f"missed {number}")
    assert starts_over(ann, id)


@pytest.mark.parametrize("action", ["kick", "ban", "log_out"])
def test_a_user_expelled_while_disconnected_recovers_nothing(site, connect, away, action):
    name = f"{action}{next(numbers)}"
    ann, bob, id = with_an_offset(connect, auth={"token": site.user(name)})
    with away(ann):
        send(bob, "missed")
        getattr(site, action)(name)
    ann.ask("connect")
    assert ann.recv("connect_error")["data"]["code"] in ("banned", "token_invalid")
    ann.ask("auth", auth={"token": site.fresh_token(name)})
    if action == "ban":
        ann.ask("connect")
        assert ann.recv("connect_error")["data"]["code"] == "banned"
    else:
        assert starts_over(ann, id)
    assert "missed" not in texts(ann)


def test_an_expired_token_is_refused_and_a_fresh_one_recovers(site, connect, away):
    ann, bob, _ = with_an_offset(connect, auth={"token": token("ann", ttl=2)})
    with away(ann):
        send(bob, "missed")
        time.sleep(2.1)  # until the token expires
    ann.ask("connect")
    assert ann.recv("connect_error")["data"]["code"] == "token_expired"
    ann.ask("auth", auth={"token": token("ann")})
    assert recovered(ann) is True
    receive(ann, "missed")


def test_a_pid_of_another_user_recovers_nothing(site, connect, away):
    ann, bob, id = with_an_offset(connect, name="ann")
    state = ann.state
    with away(ann):
        send_direct(bob, "ann", "for her alone")
    thief = connect(auth={"token": token("bob"), "pid": state["pid"], "offset": state["offset"]})
    assert thief.received("connect")[0][0]["recovered"] is False
    assert thief.id != id
    assert recovered(ann) is True
    receive(ann, "for her alone", "single_chat")


def test_a_connection_is_resumed_once(site, connect, away):
    ann, _, id = with_an_offset(connect, name="ann")
    state = ann.state
    with away(ann):
        pass
    assert recovered(ann) is True
    twin = connect(auth={"token": token("ann"), "pid": state["pid"], "offset": state["offset"]})
    assert twin.received("connect")[0][0]["recovered"] is False
    ann.ask("disconnect")  # deliberately
    assert starts_over(ann, id)


FORGED = ["{pid}", "{pid}A", "A{pid}", "", "A", "=", "é", "{other}"]


@pytest.mark.parametrize("form", FORGED)
def test_a_malformed_position_starts_a_new_session(site, connect, away, form):
    ann, bob, id = with_an_offset(connect, name="ann")
    state = ann.state
    pid = form.format(pid=state["pid"], other=state["pid"][:-2] + "AA")
    offset = {"{pid}": "ffffffff.1.ffffffffffffffff.1"}.get(form, state["offset"])
    ann.ask("auth", auth={"token": token("ann"), "pid": pid, "offset": offset})
    with away(ann):
        send(bob, "missed")
    assert starts_over(ann, id)


def test_restart_recovery_ends_after_its_time(node):
    with Site(env={"CHAT_IO_RECOVERY_SECONDS": 1.0}) as site, connecting(node, site) as connect:
        ann, bob, id = with_an_offset(connect, name="ann")
        ann.cut()
        site.kill()
        bob.recv("connect", timeout=30)
        time.sleep(1.5)  # the configured time
        assert starts_over(ann, id)


def test_after_a_restart_the_chat_is_recovered_and_site_namespaces_are_not(site, connect, away):
    ann, bob, _ = with_an_offset(connect, name="ann")
    news = ann.share("/news")
    old_id = news.recv("connect")["id"]
    site.emit("bulletin", "received")
    news.recv("bulletin")
    with away(ann):
        send(bob, "missed")
        site.emit("bulletin", "missed")
    for client in (ann, news):
        client.ask("connect")
    assert ann.recv("connect")["recovered"] is True
    assert (came := news.recv("connect"))["recovered"] is False
    assert came["id"] != old_id
    receive(ann, "missed")


def test_site_events_in_the_chats_namespace_prevent_restart_recovery(node):
    with Site() as site, connecting(node, site) as connect:
        ann, bob, id = with_an_offset(connect, name="ann")
        site.emit("bulletin", "the store knows nothing of this", namespace="/")
        ann.recv("bulletin")
        send(bob, "received")
        receive(ann, "received")
        ann.cut()
        send(bob, "missed")
        assert recovered(ann) is True  # on the same process, as always
        receive(ann, "missed")
        ann.cut()
        site.kill()
        assert starts_over(ann, id)
