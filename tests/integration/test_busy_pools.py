"""What keeps threads busy for long, searches and passwords, delays no message of another user: on a real gunicorn.

No duration is asserted: while all that was asked for at the beginning is under way, another user sends messages one
after the other, each once the one before is acknowledged.
"""

import http.client
import json
import random
import threading
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest

from chat.store.engine import make_engine
from chat.store.history import Draft
from chat.store.sql import SqlHistory
from chat.wire.envelope import Identity
from tests.databases import migrated_sqlite
from tests.servers import Server
from tests.tokens import token
from tests.waiting import until

ANN = Identity("id-ann", "ann")
#: Messages that are acknowledged meanwhile.
SENT = 20


def long_text(seed, length):
    """Text in which every pair of three characters occurs, so that only reading it shows that it has no long phrase."""
    return "".join(random.Random(seed).choices("北京天", k=length))


@pytest.fixture(scope="module")
def long_history(tmp_path_factory):
    """The URL of a database in which a search for a long phrase takes a core half a second."""
    url = migrated_sqlite(tmp_path_factory.mktemp("long") / "chat.db")
    history = SqlHistory(make_engine(url), lambda function: function())
    history.ensure_room("lobby")
    found = [long_text(seed, 10_000) for seed in range(20)]
    for number in range(50):
        history.append(
            [Draft(2, "lobby", ANN, f"{number}-{one}", True, text) for one, text in enumerate(found)], 1
        )
    history.close()
    return url


class Asked:
    """A request that was sent in full; `status` and `body` once it is answered."""

    def __init__(self, server, method, path, body=None, headers=None):
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self._connection.request(method, path, body, headers or {})
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        with self._connection.getresponse() as answer:
            self.status, self.headers, self.body = answer.status, answer.headers, answer.read().decode()
        self._connection.close()

    @property
    def is_answered(self):
        return not self._thread.is_alive()

    def wait(self):
        self._thread.join()
        return self


def search(server, name, words):
    path = f"/chat/api/search?{urlencode({'q': words, 'room': 'lobby'})}"
    return Asked(server, "GET", path, headers={"Authorization": f"Bearer {token(name)}"})


@contextmanager
def talking(server):
    """talk(count) sends messages one by one and returns once each has its Ack."""
    with server.socket(token=token("zoe"), query="&roster=diff") as zoe:
        zoe.send_json({"type": 6, "room": "lobby"})
        zoe.recv_json(type=8)

        def talk(count):
            for number in range(count):
                zoe.send_json({"type": 2, "data": "hi", "id": f"{id(zoe)}-{threading.get_ident()}-{number}"})
                zoe.recv_json(type=4)

        talk(1)
        yield talk


def test_acks_come_while_ten_searches_of_long_phrases_are_under_way(long_history):
    # One search after the other takes five seconds; nothing else can keep an Ack for so long.
    env = {"CHAT_DATABASE_URL": long_history, "CHAT_SEARCH_SECONDS": 0}
    with Server("gunicorn-gevent", env) as server, talking(server) as talk:
        names = ["ann", "bob", "cat", "dan", "eve"] * 2
        asked = [search(server, name, long_text(at + 100, 60)) for at, name in enumerate(names)]
        try:
            talk(SENT)
            assert not all(one.is_answered for one in asked)
        finally:
            statuses = [one.wait().status for one in asked]
        assert statuses == [200] * 10


def test_joins_come_while_searches_are_under_way(long_history):
    env = {"CHAT_DATABASE_URL": long_history, "CHAT_SEARCH_SECONDS": 0}
    with Server("gunicorn-gevent", env) as server, talking(server):
        names = ["ann", "bob", "cat", "dan", "eve"] * 2
        asked = [search(server, name, long_text(at + 100, 60)) for at, name in enumerate(names)]
        try:
            with server.socket(token=token("yan"), query="&lobby=0") as yan:
                for _ in range(SENT):
                    yan.send_json({"type": 6, "room": "lobby", "since": 1_000})
                    assert yan.recv_json(type=8)["recovered"]
            assert not all(one.is_answered for one in asked)
        finally:
            for one in asked:
                one.wait()


def test_a_third_search_and_one_that_takes_too_long_are_refused(long_history):
    env = {"CHAT_DATABASE_URL": long_history, "CHAT_SEARCH_SECONDS": 0.2}
    with Server("gunicorn-gevent", env) as server:
        asked = [search(server, "ann", long_text(at, 60)) for at in range(100, 106)]
        answers = [one.wait() for one in asked]
        codes = [json.loads(one.body)["code"] for one in answers]
        assert set(codes) == {"search_too_long", "search_busy"}
        assert {(one.status, one.headers["Retry-After"]) for one in answers} == {(400, None), (429, "1")}
        assert search(server, "ann", "tea").wait().status == 200


def test_acks_come_while_passwords_are_checked():
    with Server("gunicorn-gevent") as server, talking(server) as talk:
        body = [json.dumps({"username": f"nobody{at}", "password": "wrong"}) for at in range(40)]
        json_body = {"Content-Type": "application/json"}
        asked = [Asked(server, "POST", "/api/login", one, json_body) for one in body]
        try:
            talk(SENT)
            assert not all(one.is_answered for one in asked)
        finally:
            assert {one.wait().status for one in asked} == {401}
        until(lambda: server.get("/healthz")[0] == 200)
