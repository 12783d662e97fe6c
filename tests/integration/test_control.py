"""Log-out, kick and ban from another process: they reach the sockets in time, and the old tokens never come back."""

import json
import time

import pytest

from app import create_app
from chat import AmbiguousUser, UnknownUser
from chat.wire.envelope import Identity
from chat.wire.errors import FAILURES
from tests.integration.named_clients import entering, settle
from tests.servers import SECRET, Server
from tests.tokens import token

KINDS = ["gunicorn-gevent", "gunicorn-gthread"]
QUICK = {"CHAT_RATE_LIMIT": "0", "CHAT_ROSTER_GRACE": "0.2"}
#: Seconds within which a decision must have reached the sockets.
IN_TIME = 2.0


@pytest.fixture(scope="module", params=KINDS)
def site(request):
    with Server(request.param, QUICK) as server:
        yield server


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


@pytest.fixture(scope="module")
def elsewhere(site):
    """The chat of the same site in this process, which serves nobody: what a script or the command line has."""
    return chat_on(site)


def chat_on(server):
    config = {"CHAT_DATABASE_URL": server.env["CHAT_DATABASE_URL"], "SECRET_KEY": SECRET}
    return create_app(config).extensions["chat"]


@pytest.fixture
def victim(elsewhere, request):
    """A user with a row in the store, known by the name of the test."""
    return elsewhere.users.create(f"victim{abs(hash(request.node.name)) % 10**8}")


@pytest.fixture
def old(elsewhere, victim):
    """A token of the victim's from before whatever a test decides: by a millisecond, which is how they are counted."""
    made = elsewhere.token_for(victim.identity)
    time.sleep(0.002)
    return made


def connect_as(site, user, made, query=""):
    client = site.socket(token=made, query=query)
    client.name = user.username
    client.recv_json(type=1)
    return client


def turned_away(site, made):
    """(code of the Error, close code) of a socket that may not come in."""
    with site.socket(token=made) as client:
        error = json.loads(client.recv())
        return error["code"], client.wait_closed()[0]


def assert_ended(client, began, code, close, language="en"):
    error = client.recv_json(type=0, timeout=IN_TIME)
    assert error == {"type": 0, "user": None, "data": getattr(FAILURES[code], language), "code": code}
    assert client.wait_closed(timeout=IN_TIME)[0] == close
    assert time.monotonic() - began < IN_TIME


def may_enter(site, user, made):
    with connect_as(site, user, made) as client:
        settle(client)


def test_a_kick_closes_all_sockets_of_the_user_and_ends_the_token(site, enter, elsewhere, victim, old):
    other = enter("witness", query="&roster=diff")
    with connect_as(site, victim, old) as one, connect_as(site, victim, old, "&lang=zh") as two:
        began = time.monotonic()
        elsewhere.kick(victim.username)
        assert_ended(one, began, "kicked", 4403)
        assert_ended(two, began, "kicked", 4403, "zh")
    other.recv_until(lambda m: victim.username in m.get("left", ()))
    settle(other)
    assert turned_away(site, old) == ("token_invalid", 4401)
    may_enter(site, victim, elsewhere.token_for(victim.identity))
    assert turned_away(site, old) == ("token_invalid", 4401)


def test_a_ban_refuses_every_token_until_it_is_lifted(site, elsewhere, victim, old):
    with connect_as(site, victim, old) as client:
        began = time.monotonic()
        elsewhere.ban(victim.username)
        assert_ended(client, began, "banned", 4403)
    fresh = elsewhere.token_for(victim.identity)
    assert turned_away(site, fresh) == ("banned", 4403)
    elsewhere.unban(victim.username)
    until(lambda: admitted(site, fresh))
    assert turned_away(site, old) == ("token_invalid", 4401)


def admitted(site, made):
    with site.socket(token=made) as client:
        return json.loads(client.recv())["type"] == 2


def until(condition):
    deadline = time.monotonic() + IN_TIME
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the table is read so often and no more


def test_a_log_out_requires_a_fresh_token(site, elsewhere, victim, old):
    with connect_as(site, victim, old) as client:
        began = time.monotonic()
        elsewhere.revoke(victim.id)
        assert_ended(client, began, "token_invalid", 4401)
    assert turned_away(site, old) == ("token_invalid", 4401)
    may_enter(site, victim, elsewhere.token_for(victim.identity))


def test_an_ended_session_stays_ended_at_a_worker_that_starts_later():
    with Server("gunicorn-gthread", QUICK) as server:
        chat = chat_on(server)
        user = chat.users.create("Ursli")
        here, elsewhere = (chat.token_for(user.identity, sid=sid) for sid in ("here", "elsewhere"))
        chat.end_session(user.id, "here")
        server.restart()
        assert turned_away(server, here) == ("token_invalid", 4401)
        may_enter(server, user, elsewhere)


def test_an_old_token_cannot_renew_a_socket(site, elsewhere, victim, old):
    elsewhere.revoke(victim.id)
    with connect_as(site, victim, elsewhere.token_for(victim.identity)) as client:
        until(lambda: not admitted(site, old))
        client.send_json({"type": 9, "data": old})
        assert client.recv_json(type=0)["code"] == "token_invalid"
        assert client.wait_closed()[0] == 4401


def test_a_socket_with_a_newer_token_stays(site, elsewhere, victim, old):
    with (
        connect_as(site, victim, old) as ends,
        connect_as(site, victim, elsewhere.token_for(victim.identity)) as renewed,
    ):
        # As one that renewed itself right after the log-out, before the server heard of it.
        renewed.send_json({"type": 9, "data": token(victim.username, sub=victim.id, iat_ms=10**13)})
        renewed.recv_json(type=9)
        elsewhere.revoke(victim.id)
        assert ends.wait_closed()[0] == 4401
        settle(renewed)


def test_other_clients_receive_nothing(site, enter, elsewhere, victim, old):
    witness = enter("witness")
    with connect_as(site, victim, old) as client:
        elsewhere.kick(victim.username)
        client.wait_closed()
    assert settle(witness) == []
    told = [json.loads(got.payload) for got in witness.log if got.opcode == 1]
    assert {m["type"] for m in told} <= {1, 2}
    assert not [m for m in told if m["type"] == 2 and m["data"] not in ("settled",) and m["user"]]


def test_the_roster_is_read_across_processes(enter, elsewhere):
    enter("asked1", "asked2")
    assert {"asked1", "asked2"} <= {user.username for user in elsewhere.roster("lobby")}


def test_another_process_can_send_a_message_of_the_site(enter, elsewhere):
    ann, bob = enter("ann", "bob")
    elsewhere.users.ensure(Identity("id-bob", "bob"))
    elsewhere.send("lobby", "closing at ten")
    said = [client.recv_json(type=2, data="closing at ten", timeout=IN_TIME) for client in (ann, bob)]
    assert said[0] == said[1]
    assert said[0].keys() == {"type", "user", "data", "room", "seq", "id", "ts"}
    assert (said[0]["user"], said[0]["room"]) == (None, "lobby")
    elsewhere.direct("BOB", "just you")
    direct = bob.recv_json(type=3, timeout=IN_TIME)
    assert (direct["user"], direct["to"], direct["data"]) == (None, "bob", "just you")
    assert settle(bob, ann) == [[]]


def test_the_site_addresses_users_whose_names_differ_in_case(enter, elsewhere):
    high, low = enter("Bobby", "bobby")
    for user in (both := (Identity("id-Bobby", "Bobby"), Identity("id-bobby", "bobby"))):
        elsewhere.users.ensure(user)
    elsewhere.direct("Bobby", "by name")
    elsewhere.direct(to_id="id-bobby", text="by id")
    assert high.recv_json(type=3, timeout=IN_TIME)["data"] == "by name"
    assert low.recv_json(type=3, timeout=IN_TIME)["data"] == "by id"
    for call in (lambda: elsewhere.direct("BOBBY", "whom?"), lambda: elsewhere.kick("BOBBY")):
        with pytest.raises(
            AmbiguousUser, match=r"'Bobby' \(id id-Bobby\), 'bobby' \(id id-bobby\)"
        ) as caught:
            call()
        assert caught.value.users == both
    with pytest.raises(UnknownUser):
        elsewhere.direct(to_id="id-nobody", text="anybody?")
    for call in (
        lambda: elsewhere.direct(text="to nobody"),
        lambda: elsewhere.kick("bobby", user_id="id-bobby"),
    ):
        with pytest.raises(TypeError, match="either a user's name or the id"):
            call()
    elsewhere.kick(user_id="id-bobby")
    assert low.recv_json(type=0, timeout=IN_TIME)["code"] == "kicked"
    assert settle(high) == []


def test_an_invalid_row_is_skipped(site, enter, elsewhere):
    ann = enter("ann")
    for kind, payload in (
        ("nonsense", {}),
        ("send", {}),
        ("revoke", {"user_id": 5}),
        ("who", {"room": None}),
    ):
        elsewhere.control.post(kind, payload)
    elsewhere.send("lobby", "after nonsense")
    ann.recv_json(type=2, data="after nonsense", timeout=IN_TIME)


def test_decisions_from_before_a_restart_hold_after_it(make_server):
    server = make_server(env=QUICK)
    chat = chat_on(server)
    kicked, banned = chat.users.create("kicked"), chat.users.create("banned")
    old = [chat.token_for(user.identity) for user in (kicked, banned)]
    time.sleep(0.002)  # or they would be as new as the decision
    chat.kick("kicked")
    chat.ban("banned")
    until(lambda: not any(admitted(server, made) for made in old))
    server.restart()
    assert turned_away(server, old[0]) == ("token_invalid", 4401)
    assert turned_away(server, old[1])[1] in (4401, 4403)
    assert turned_away(server, chat.token_for(banned.identity)) == ("banned", 4403)
    may_enter(server, kicked, chat.token_for(kicked.identity))
