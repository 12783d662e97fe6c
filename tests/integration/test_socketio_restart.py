"""Connection state recovery across restarts, with socket.io-client: what the store has comes once and in order."""

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

#: A client that connects again only when it is told to.
STAYS_AWAY = {"reconnection": False}
REPLAY_MAX = 30
numbers = count(1)


class Site(SocketIOServer):
    """A site whose process goes and comes again."""

    def kill(self):
        """End the worker as a crash does; gunicorn starts another one."""
        (worker,) = children(self.pid)
        os.kill(worker, signal.SIGKILL)
        self.wait_log(f"(pid:{worker}) was sent SIGKILL")
        self.wait_ready()

    def go_and_come(self, how):
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
    """away("ann", "bob") cuts these clients off, and lets them come back after a restart, at the end of the block."""

    @contextmanager
    def going(*clients, how="SIGKILL"):
        for client in clients:
            client.cut()
        yield
        site.go_and_come(how)

    return going


@pytest.fixture
def den(site):
    return site.room(f"den {next(numbers)}")


def join(client, room, **options):
    (answer,) = client.call("join", {"room": room, **options})
    assert answer["recovered"] is True
    return answer


def say(client, text, room="lobby"):
    (answer,) = client.call("group_chat", {"room": room, "data": text})
    return answer["seq"]


def tell(client, to, text):
    """Send a direct message to somebody who may have come just now: those who come have a row a moment later."""
    deadline = time.monotonic() + 10
    while (answer := client.call("single_chat", {"to": to, "data": text})[0]).get("error") == "unknown_user":
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)  # nothing tells when the row is there
    assert answer["seq"]


def hear(client, text, event="group_chat"):
    return client.recv(event, lambda message, *_: message["data"] == text)


def texts(client, event="group_chat", room=None):
    """All that was said to it, on all its connections."""
    said = [args[0] for args in client.received(event) if "seq" in args[0]]
    return [message["data"] for message in said if room in (None, message["room"])]


def settle(site, *clients, room="lobby"):
    """Have all hear a last word, and return what each has heard in the room before it."""
    word = f"word {next(numbers)}"
    site.say(word, room=room)
    for client in clients:
        hear(client, word)
    return [texts(client, room=room)[:-1] for client in clients]


def recovered(client):
    return client.reconnect()["recovered"]


# -- recovered


def test_a_stock_client_resumes_by_itself_after_a_restart(site, connect, den, how, transports):
    ann, bob = connect("ann", **transports), connect("bob")
    join(ann, den), join(bob, den)
    say(bob, "before", den)
    hear(ann, "before")
    id = ann.id
    site.go_and_come(how)
    for client in (ann, bob):
        client.recv("disconnect")
        assert client.recv("connect", timeout=30)["recovered"] is True
    assert ann.id == id
    say(bob, "after", den)
    say(ann, "and back", den)
    assert settle(site, ann, bob, room=den) == [["before", "after", "and back"]] * 2


def test_after_a_restart_missed_messages_come_once_and_in_order(site, connect, den, how, transports, away):
    secret = site.room("Plans", "ann", "bob", private=True)
    ann, bob = connect("ann", **STAYS_AWAY, **transports), connect("bob", **HASTY)
    for room in (den, secret):
        join(ann, room), join(bob, room)
    for room in ("lobby", den, secret):
        say(bob, f"before in {room}", room)
    with away(ann, how=how):
        for number in range(3):
            for room in ("lobby", den, secret):
                say(bob, f"missed {number} in {room}", room)
            tell(bob, "ann", f"direct {number}")
    bob.recv("connect", timeout=30)
    for room in (secret, den, "lobby"):
        say(bob, f"after in {room}", room)
    assert recovered(ann) is True
    tell(bob, "ann", "live")
    hear(ann, "live", "single_chat")
    assert texts(ann, "single_chat") == ["direct 0", "direct 1", "direct 2", "live"]
    for room in ("lobby", den, secret):
        expected = ["before", *(f"missed {number}" for number in range(3)), "after"]
        heard = [text for text in settle(site, ann, room=room)[0] if text.endswith(f" in {room}")]
        assert heard == [f"{one} in {room}" for one in expected]
        assert say(ann, "here", room)


def test_a_client_that_missed_nothing_gets_no_repetition(site, connect, den, how, away):
    ann, bob = connect("ann", **STAYS_AWAY), connect("bob")
    join(ann, den), join(bob, den)
    for text, room in (("one", den), ("two", "lobby"), ("three", den)):
        say(bob, text, room)
    hear(ann, "three")
    with away(ann, how=how):
        pass
    assert recovered(ann) is True
    assert settle(site, ann, room=den) == [["one", "three"]]
    assert texts(ann).count("two") == 1


def test_a_second_disconnect_is_recovered_too(site, connect, den, away):
    ann, bob = connect("ann", **STAYS_AWAY), connect("bob", **HASTY)
    join(ann, den), join(bob, den)
    say(bob, "0", den)
    hear(ann, "0")
    for number in range(1, 4):
        with away(ann):
            say(bob, f"{number} before", den)
        bob.recv("connect", timeout=30)
        say(bob, f"{number} after", den)
        assert recovered(ann) is True
        if number == 2:
            hear(ann, "2 after")
            ann.cut()  # and once more on the same process
            say(bob, "2 again", den)
            assert recovered(ann) is True
    expected = ["0", "1 before", "1 after", "2 before", "2 after", "2 again", "3 before", "3 after"]
    assert settle(site, ann, room=den) == [expected]


def test_a_restart_after_each_replayed_message_leaves_no_gap_or_repetition(site, den, connect):
    """It goes after each message of what it is told again, on the same process and with another restart between."""
    bob = connect("bob", **HASTY)
    join(bob, den)
    with raw_clients(site) as come:
        ann = come("ann")
        ann.call("join", {"room": den})
        say(bob, "heard", den)
        ann.take_until(lambda one: one.received())
        pid, offset = ann.pid, ann.offset
        ann.cut()
        for number in range(3):
            say(bob, f"missed {number}", den)
            say(bob, f"missed {number} too")
        missed = [text for number in range(3) for text in (f"missed {number}", f"missed {number} too")]
        for again in (False, True):
            site.kill()
            bob.recv("connect", timeout=30)
            while True:
                ann = come("ann", pid=pid, offset=offset)
                assert ann.pid == pid
                ann.settle()
                heard = [(event[1]["data"], event[-1]) for event in ann.events if "seq" in event[1]]
                assert [text for text, _ in heard] == missed
                ann.cut()
                if not missed or (not again and len(missed) == 3):
                    break
                missed.pop(0)
                offset = heard[0][1]
        say(bob, "live", den)
        ann = come("ann", pid=pid, offset=offset)
        ann.settle()
        assert [text for *_, text in ann.received()] == ["live"]


def test_joined_and_left_rooms_survive_a_restart(site, connect, den, away):
    left, joined = site.room(f"left {next(numbers)}"), site.room(f"joined {next(numbers)}")
    ann, bob = connect("ann", **STAYS_AWAY), connect("bob", **HASTY)
    for room in (left, den, joined):
        join(bob, room)
    join(ann, left)
    join(ann, den)
    ann.call("leave", {"room": left})
    ann.call("leave", {"room": "lobby"})
    say(bob, "heard", den)
    hear(ann, "heard")
    say(bob, "before she joined", joined)
    join(ann, joined)
    with away(ann):
        for room in (left, den, joined, "lobby"):
            say(bob, f"missed in {room}", room)
    bob.recv("connect", timeout=30)
    assert recovered(ann) is True
    assert settle(site, ann, room=den) == [["heard", f"missed in {den}"]]
    assert settle(site, ann, room=joined) == [[f"missed in {joined}"]]
    for room in (left, "lobby"):
        assert ann.call("group_chat", {"room": room, "data": "?"})[0]["error"] == "not_joined"
        assert f"missed in {room}" not in texts(ann)


def test_a_client_that_was_outside_the_lobby_stays_outside(site, connect, away):
    ann, bob = connect(auth={"token": token("ann"), "lobby": False}, **STAYS_AWAY), connect("bob", **HASTY)
    tell(bob, "ann", "heard")
    hear(ann, "heard", "single_chat")
    with away(ann):
        say(bob, "not for her")
    bob.recv("connect", timeout=30)
    assert recovered(ann) is True
    tell(bob, "ann", "live")
    hear(ann, "live", "single_chat")
    assert texts(ann) == []


def test_a_client_that_lost_a_room_meanwhile_is_told(site, connect, away):
    secret = site.room("Plans", "ann", "bob", private=True)
    ann, bob = connect("ann", **STAYS_AWAY), connect("bob", **HASTY)
    join(ann, secret), join(bob, secret)
    say(bob, "heard", secret)
    hear(ann, "heard")
    with away(ann):
        say(bob, "while she still might have", secret)
    bob.recv("connect", timeout=30)
    site.remove("ann", secret)
    assert recovered(ann) is True
    assert ann.recv("leave") == {"type": 7, "room": secret}
    assert texts(ann, room=secret) == ["heard"]


def test_an_ephemeral_room_is_resumed_without_its_messages(site, connect, away):
    typing = site.room(f"typing {next(numbers)}", ephemeral=True)
    ann, bob = connect("ann", **STAYS_AWAY), connect("bob", **HASTY)
    join(ann, typing), join(bob, typing)
    say(bob, "heard")
    hear(ann, "heard")
    with away(ann):
        bob.call("group_chat", {"room": typing, "data": "…"})
    assert recovered(ann) is True
    assert ann.recv("synced") == {"type": 8, "room": typing, "epoch": "", "recovered": False}
    assert ann.call("group_chat", {"room": typing, "data": "…"})[0]["room"] == typing


def test_own_direct_messages_are_not_replayed(site, connect, away):
    ann, bob = connect("ann", **STAYS_AWAY), connect("bob", **HASTY)
    say(bob, "heard")
    hear(ann, "heard")
    for to in ("bob", "ann"):
        tell(ann, to, f"from her to {to}")
    with away(ann):
        tell(bob, "ann", "missed")
    assert recovered(ann) is True
    bob.recv("connect", timeout=30)
    tell(bob, "ann", "live")
    hear(ann, "live", "single_chat")
    assert texts(ann, "single_chat") == ["from her to ann", "missed", "live"]


def test_messages_of_another_process_come_once(site, connect, away):
    ann, bob = connect("ann", **STAYS_AWAY), connect("bob", **HASTY)
    site.cli("send", "lobby", "from the command line")
    for one in (ann, bob):
        hear(one, "from the command line")
    say(bob, "heard")
    hear(ann, "heard")
    with away(ann):
        site.cli("send", "lobby", "missed from the command line")
        hear(bob, "missed from the command line")
        say(bob, "missed")
    assert recovered(ann) is True
    heard = settle(site, ann)[0]
    at = heard.index("from the command line")
    assert heard[at:] == ["from the command line", "heard", "missed from the command line", "missed"]


def test_restart_recovery_works_on_each_database(node, database_url):
    with Site(env={"CHAT_DATABASE_URL": database_url}) as site, connecting(node, site) as connect:
        room = site.room("den")
        ann, bob = connect("ann", **STAYS_AWAY), connect("bob", **HASTY)
        join(ann, room), join(bob, room)
        say(bob, "heard", room)
        hear(ann, "heard")
        ann.cut()
        say(bob, "missed", room)
        tell(bob, "ann", "direct")
        site.kill()
        bob.recv("connect", timeout=30)
        say(bob, "missed after", room)
        assert recovered(ann) is True
        assert settle(site, ann, room=room) == [["heard", "missed", "missed after"]]
        assert texts(ann, "single_chat") == ["direct"]


def hear_some(client, count, turn):
    """Wait until it has heard so many messages of this turn."""
    client.node.wait(lambda: sum(text.startswith(f"{turn} ") for text in texts(client)) >= count)


def reconnect(clients):
    """Wait until the server's end has brought all of them back."""
    for client in clients:
        client.recv("connect", timeout=30)


def test_after_random_kills_every_client_has_all_messages_once_and_in_order(site, connect, den):
    chance = random.Random(7)
    clients = [
        connect(name, **HASTY, **options) for name, options in zip("xyz", TRANSPORTS.values(), strict=True)
    ]
    for client in clients:
        join(client, den)
    say(clients[0], "begin", den)
    say(clients[0], "begin")
    for client in clients:
        client.node.wait(lambda one=client: texts(one).count("begin") == 2)
    for turn in range(6):
        # No more than can be recovered, were all of it missed.
        count = chance.randrange(3, REPLAY_MAX // 2 - 2)
        for number in range(count):
            client = chance.choice(clients)
            room = chance.choice(["lobby", den])
            client.emit("group_chat", {"room": room, "data": f"{turn} {number}"})
            client.emit("single_chat", {"to": chance.choice("xyz"), "data": f"{turn} {number}"})
        hear_some(clients[turn % 3], chance.randrange(count), turn)
        site.kill()
        reconnect(clients)
    for client in clients:
        say(client, "end"), say(client, "end", den)  # then all that it said before is stored
    for room in ("lobby", den):
        heard = settle(site, *clients, room=room)
        stored = [text for _, _, text in site.stored(room)]
        for one in heard:
            assert one == stored[stored.index("begin") : -1]
    for client, name in zip(clients, "xyz", strict=True):
        heard = [(one["user"]["username"], one["data"]) for (one, *_) in client.received("single_chat")]
        for other in "xyz".replace(name, ""):
            room = "dm:" + ":".join(sorted((f"id-{name}", f"id-{other}")))
            stored = [text for _, sender, text in site.stored(room) if sender == other]
            assert [text for sender, text in heard if sender == other] == stored
    assert {came["recovered"] for client in clients for (came,) in client.received("connect")[1:]} == {True}


# -- not recovered


def anew(client, old_id):
    came = client.reconnect()
    return came["recovered"] is False and came["id"] != old_id


def heard_once(connect, **options):
    """A client that has heard something, so that there is an offset to come back with."""
    ann, bob = connect(**options, **STAYS_AWAY), connect("bob", **HASTY)
    word = f"word {next(numbers)}"
    say(bob, word)
    hear(ann, word)
    return ann, bob, ann.id


def test_a_client_without_an_offset_is_not_recovered_after_a_restart(site, connect, away):
    ann = connect("ann", **STAYS_AWAY)
    id = ann.id
    with away(ann):
        site.say("missed")
    assert anew(ann, id)
    assert texts(ann) == []


def test_a_client_that_started_over_gets_nothing_from_before(site, connect, away):
    ann, bob, id = heard_once(connect, name="ann")
    offset = ann.state["offset"]
    ann.ask("auth", auth={"token": token("ann"), "pid": "unknown"})
    with away(ann):
        say(bob, "missed for good")
    assert anew(ann, id)
    assert ann.state["offset"] == offset  # the client keeps it, though it tells of an earlier life
    ann.ask("auth", auth={"token": token("ann")})
    id = ann.id
    with away(ann):
        pass
    assert anew(ann, id)
    assert "missed for good" not in texts(ann)


def test_a_client_that_missed_too_much_is_not_recovered(site, connect, away):
    ann, bob, id = heard_once(connect, name="ann")
    with away(ann):
        for number in range(REPLAY_MAX + 1):
            say(bob, f"missed {number}")
    assert anew(ann, id)


@pytest.mark.parametrize("deed", ["kick", "ban", "log_out"])
def test_a_user_expelled_while_disconnected_recovers_nothing(site, connect, away, deed):
    name = f"{deed}{next(numbers)}"
    ann, bob, id = heard_once(connect, auth={"token": site.user(name)})
    with away(ann):
        say(bob, "missed")
        getattr(site, deed)(name)
    ann.ask("connect")
    assert ann.recv("connect_error")["data"]["code"] in ("banned", "token_invalid")
    ann.ask("auth", auth={"token": site.fresh_token(name)})
    if deed == "ban":
        ann.ask("connect")
        assert ann.recv("connect_error")["data"]["code"] == "banned"
    else:
        assert anew(ann, id)
    assert "missed" not in texts(ann)


def test_an_expired_token_is_refused_and_a_fresh_one_recovers(site, connect, away):
    ann, bob, _ = heard_once(connect, auth={"token": token("ann", ttl=2)})
    with away(ann):
        say(bob, "missed")
        time.sleep(2.1)  # until the token's end
    ann.ask("connect")
    assert ann.recv("connect_error")["data"]["code"] == "token_expired"
    ann.ask("auth", auth={"token": token("ann")})
    assert recovered(ann) is True
    hear(ann, "missed")


def test_a_pid_of_another_user_recovers_nothing(site, connect, away):
    ann, bob, id = heard_once(connect, name="ann")
    state = ann.state
    with away(ann):
        tell(bob, "ann", "for her alone")
    thief = connect(auth={"token": token("bob"), "pid": state["pid"], "offset": state["offset"]})
    assert thief.received("connect")[0][0]["recovered"] is False
    assert thief.id != id
    assert recovered(ann) is True
    hear(ann, "for her alone", "single_chat")


def test_a_connection_is_resumed_once(site, connect, away):
    ann, _, id = heard_once(connect, name="ann")
    state = ann.state
    with away(ann):
        pass
    assert recovered(ann) is True
    twin = connect(auth={"token": token("ann"), "pid": state["pid"], "offset": state["offset"]})
    assert twin.received("connect")[0][0]["recovered"] is False
    ann.ask("disconnect")  # on purpose
    assert anew(ann, id)


FORGED = ["{pid}", "{pid}A", "A{pid}", "", "A", "=", "é", "{other}"]


@pytest.mark.parametrize("form", FORGED)
def test_a_malformed_position_starts_a_new_session(site, connect, away, form):
    ann, bob, id = heard_once(connect, name="ann")
    state = ann.state
    pid = form.format(pid=state["pid"], other=state["pid"][:-2] + "AA")
    offset = {"{pid}": "ffffffff.1.ffffffffffffffff.1"}.get(form, state["offset"])
    ann.ask("auth", auth={"token": token("ann"), "pid": pid, "offset": offset})
    with away(ann):
        say(bob, "missed")
    assert anew(ann, id)


def test_restart_recovery_ends_after_its_time(node):
    with Site(env={"CHAT_IO_RECOVERY_SECONDS": 1.0}) as site, connecting(node, site) as connect:
        ann, bob, id = heard_once(connect, name="ann")
        ann.cut()
        site.kill()
        bob.recv("connect", timeout=30)
        time.sleep(1.5)  # as set
        assert anew(ann, id)


def test_after_a_restart_the_chat_is_recovered_and_site_namespaces_are_not(site, connect, away):
    ann, bob, _ = heard_once(connect, name="ann")
    news = ann.share("/news")
    old_id = news.recv("connect")["id"]
    site.emit("bulletin", "heard")
    news.recv("bulletin")
    with away(ann):
        say(bob, "missed")
        site.emit("bulletin", "missed")
    for client in (ann, news):
        client.ask("connect")
    assert ann.recv("connect")["recovered"] is True
    assert (came := news.recv("connect"))["recovered"] is False
    assert came["id"] != old_id
    hear(ann, "missed")


def test_site_events_in_the_chats_namespace_prevent_restart_recovery(node):
    with Site() as site, connecting(node, site) as connect:
        ann, bob, id = heard_once(connect, name="ann")
        site.emit("bulletin", "the store knows nothing of this", namespace="/")
        ann.recv("bulletin")
        say(bob, "heard")
        hear(ann, "heard")
        ann.cut()
        say(bob, "missed")
        assert recovered(ann) is True  # as ever, on the same process
        hear(ann, "missed")
        ann.cut()
        site.kill()
        assert anew(ann, id)
