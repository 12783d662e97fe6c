"""The database fails under a running server: nobody is told that something is kept which is not; then it goes on."""

import resource
import sqlite3
from contextlib import closing, contextmanager

import psycopg
import pytest

from tests import leftovers
from tests.databases import make_database, running_postgresql, stored
from tests.integration.named_clients import entering, wait_for_users
from tests.resumer import ACK, ERROR, GROUP, JOIN, SYNCED, said
from tests.servers import Server
from tests.tokens import token

ROSTER_DIFF = 5
#: Seconds in which what needs no store must come while the store fails.
AT_ONCE = 1.0


@contextmanager
def sqlite_on_a_full_disk(folder):
    """(URL, fail): inside `fail(server)` the worker can write to no file, as if the disk were full."""

    @contextmanager
    def fail(server):
        (worker,) = leftovers.children(server.pid)
        before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        yield
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)

    yield f"sqlite:///{folder}/chat.db", fail


@contextmanager
def postgresql_that_is_restarted(folder):
    """(URL, fail): inside `fail(server)` there is no PostgreSQL."""
    with running_postgresql() as postgresql:

        @contextmanager
        def fail(server):
            postgresql.stop()
            yield
            postgresql.start()

        yield make_database(postgresql, "fails"), fail


@pytest.fixture(params=[sqlite_on_a_full_disk, postgresql_that_is_restarted])
def database(request, tmp_path):
    with request.param(tmp_path) as database:
        yield database


@contextmanager
def serving(url):
    env = {"CHAT_DATABASE_URL": url, "CHAT_RATE_LIMIT": "0", "CHAT_EPHEMERAL_ROOMS": "typing"}
    with Server("gunicorn-gevent", env) as server:
        yield server


def test_a_message_that_cannot_be_stored_is_refused_and_can_be_resent(database):
    url, fail = database
    with serving(url) as server, entering(server) as enter:
        ann, bob = enter("ann", "bob", query="&roster=diff")
        for one in (ann, bob):
            join(one, "typing")
        say(ann, "before")
        assert ann.recv_json(type=ACK)["seq"] == bob.recv_json(data="before")["seq"] == 1
        with fail(server):
            for number in range(5):
                say(ann, f"lost {number}")
                error = ann.recv_json(type=ERROR)
                assert (error["code"], error["ref"]) == ("store_unavailable", f"lost {number}")
            check_what_goes_on(server, ann, bob)
        assert [one.data for one in stored(url)["lobby"]] == ["before"]
        for number in range(5):
            say(ann, f"lost {number}")
        acks = [ann.recv_json(type=ACK) for _ in range(5)]
        assert [ack["seq"] for ack in acks] == [2, 3, 4, 5, 6]
        say(ann, "lost 0")
        assert ann.recv_json(type=ACK)["seq"] == 2
        say(ann, "after")
        heard = bob.recv_until(lambda message: message.get("id") == "after")
        messages = [said(one) for one in heard if one["type"] == GROUP and one["room"] == "lobby"]
        assert messages == stored(url)["lobby"][1:]
        assert [one.data for one in messages] == [*(f"lost {n}" for n in range(5)), "after"]


def check_what_goes_on(server, ann, bob):
    """Ephemeral rooms, and coming in; a Join that would read the past is refused."""
    say(ann, "still here", room="typing")
    assert ann.recv_json(type=ACK, timeout=AT_ONCE)["room"] == "typing"
    with server.socket(token=token("carl"), query="&roster=diff") as carl:
        wait_for_users(carl, "carl")
        join(carl, "typing")
        say(carl, "me too", room="typing")
        for one in (ann, bob):
            one.recv_json(type=GROUP, data="still here", timeout=AT_ONCE)
            one.recv_json(type=GROUP, data="me too", timeout=AT_ONCE)
        carl.send_json({"type": JOIN, "room": "den", "since": 0, "id": "den"})
        assert carl.recv_json(ref="den")["code"] in ("store_unavailable", "unknown_room")
    assert server.get("/healthz")[0] == 200


@contextmanager
def locked(url):
    """Nobody else writes to the lobby in here."""
    if url.startswith("sqlite"):
        begin = ["BEGIN IMMEDIATE"]
        other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        begin = ["BEGIN", "SELECT 1 FROM chat_rooms WHERE name = 'lobby' FOR UPDATE"]
        other = psycopg.connect(url, autocommit=True)
    with closing(other):
        for statement in begin:
            other.execute(statement)
        yield
        other.execute("ROLLBACK")


def test_a_locked_database_delays_only_stored_messages(database_url):
    with serving(database_url) as server, entering(server) as enter:
        ann, bob = enter("ann", "bob", query="&roster=diff")
        for one in (ann, bob):
            join(one, "typing")
        with locked(database_url):
            say(ann, "waits")
            check_what_goes_on(server, ann, bob)
            bob.send_json({"type": JOIN, "room": "lobby", "since": 0, "id": "reads"})
            assert bob.recv_json(type=SYNCED, timeout=AT_ONCE)["seq"] == 0
            assert all(message["type"] == ROSTER_DIFF for message in ann.recv_here())
        assert ann.recv_json(type=ACK)["ref"] == "waits"
        bob.recv_json(type=GROUP, data="waits")


def join(client, room):
    client.send_json({"type": JOIN, "room": room})
    client.recv_json(type=SYNCED, room=room, timeout=AT_ONCE)


def say(client, text, room="lobby"):
    client.send_json({"type": GROUP, "room": room, "data": text, "id": text})
