"""What a site's code does with the Socket.IO clients of other workers: over Valkey, and without it."""

from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.integration.pairs import metric
from tests.integration.socketio_reach import ReachServer
from tests.integration.socketio_reach_site import NAMESPACE
from tests.integration.socketio_workers import Workers
from tests.socketio_node import connecting
from tests.tokens import token
from tests.waiting import until

#: A timeout that a test never waits for.
LONG = 600


@contextmanager
def pair(database, redis_url, **env):
    """Two servers of one worker each on one database."""
    common = {
        "CHAT_DATABASE_URL": database,
        "CHAT_REDIS_URL": redis_url,
        "CHAT_REDIS_PREFIX": f"reach-{uuid4().hex}",
        "CHAT_METRICS": 1,
        # What is asked of the other worker comes by Valkey alone.
        "CHAT_CONTROL_INTERVAL": 30,
        **env,
    }
    with ReachServer(env=common) as one, ReachServer(env=common) as other:
        yield one, other


@pytest.fixture(scope="module")
def sites(valkey_server, fresh_database):
    with pair(fresh_database("sqlite"), valkey_server.url) as (one, other):
        until(lambda: metric(one, "chat_workers") == metric(other, "chat_workers") == 2)
        yield one, other


@pytest.fixture
def site(sites):
    return sites[0]


@pytest.fixture
def enter(sites, connect):
    """enter(1, "a") is a client of the second server that is in the room."""
    return lambda number, *rooms, **auth: connect(
        namespace=NAMESPACE, at=sites[number], auth={"rooms": list(rooms), **auth}
    )


def test_answers_come_from_all_workers(sites, enter):
    clients = [enter(number % 2, "asked") for number in range(4)]
    for number, client in enumerate(clients):
        client.reply("question", number)
    for site in sites:
        assert sorted(site.io("call", "question", room="asked", timeout=LONG)) == [0, 1, 2, 3]
    clients[1].reply("question", b"\xff\x00")
    assert "ff00" in sites[0].io("call", "question", room="asked", timeout=LONG)


def test_an_ask_of_one_client_reaches_its_worker(sites, enter):
    client = enter(1, "single")
    client.reply("question", "here")
    assert sites[0].io("call", "question", room=client.id, timeout=LONG) == ["here"]


def test_who_did_not_answer_in_time_is_reported_from_all_workers(sites, enter):
    quick = [enter(number, "half") for number in (0, 1)]
    slow = [enter(number, "half") for number in (0, 1)]
    for client in quick:
        client.reply("question", "here")
    answer = sites[0].io("call", "question", room="half", timeout=1.5)
    assert sorted(answer["missing"]) == sorted(client.id for client in slow)
    assert answer["came"] == ["here", "here"]
    assert answer["complete"] is False


def test_a_client_of_another_worker_that_disconnects_is_not_waited_for(sites, enter):
    quick, gone = enter(0, "leaving"), enter(1, "leaving")
    quick.reply("question", 5)
    id = gone.id
    sites[0].io("ask", "question", room="leaving", timeout=LONG)
    gone.recv("question")
    gone.ask("disconnect")
    until(lambda: ["answers", [5], [id]] in sites[0].notes())


def test_skip_and_volatile_reach_all_workers(sites, enter):
    clients = [enter(0, "all"), enter(1, "all"), enter(1, "all", "odd"), enter(0, "all")]
    skip = ["odd", clients[3].id]
    sites[0].io("emit", "news", room="all", skip=skip, volatile=True)
    sites[0].io("emit", "end", room="all")
    for client in clients:
        client.recv("end")
    assert [len(client.received("news")) for client in clients] == [1, 1, 0, 0]


def test_sessions_of_all_workers_without_their_credentials(sites, connect):
    here = connect(namespace=NAMESPACE, at=sites[0], auth={"rooms": ["listed"]})
    there = connect(
        namespace=NAMESPACE,
        at=sites[1],
        auth={"rooms": ["listed", "b"], "token": token("ann")},
        query={"a": "b", "token": "query-secret"},
        extraHeaders={"Cookie": "cookie-secret", "Authorization": "header-secret", "X-Custom": "ours"},
    )
    there.call("set", "n", {"of": [1]})
    there.call("set what JSON cannot hold")
    found = {one["id"]: one for one in sites[0].io("sessions", "listed")}
    assert set(found) == {here.id, there.id}
    remote = found[there.id]
    handshake = remote.pop("handshake")
    assert remote == {
        "kind": "RemoteSession",
        "id": there.id,
        "namespace": NAMESPACE,
        "user": "ann",
        "rooms": ["b", "listed"],
        "data": {"checked": True, "n": {"of": [1]}},
    }
    assert handshake["auth"] == {"rooms": ["listed", "b"]}
    assert handshake["headers"]["x-custom"] == "ours"
    assert handshake["query"]["a"] == "b"
    assert "secret" not in str(handshake)
    assert token("ann") not in str(handshake)


def test_many_sessions_come_in_batches(sites, node):
    with connecting(node, sites[1]) as connect:
        first = connect(namespace=NAMESPACE, auth={"rooms": ["many"]})
        for _ in range(119):
            connect(namespace=NAMESPACE, auth={"rooms": ["many"]}, wait=False, transports=["websocket"])
        until(lambda: len(sites[1].io("sessions", "many")) == 120)
        ids = [one["id"] for one in sites[0].io("sessions", "many")]
        assert len(set(ids)) == len(ids) == 120
        assert first.id in ids


def test_a_remote_session_can_be_reached(sites, enter):
    client = enter(1, "remote")
    client.reply("question", "here")
    id = client.id
    assert sites[0].remote("call", id, "question") == ["RemoteSession", "here"]
    sites[0].remote("join", id, "x")
    sites[0].remote("emit", id, "news", 1)
    assert client.recv("news")[0] == 1
    assert client.call("state")[0]["rooms"] == ["remote", "x"]
    sites[0].remote("leave", id, "x")
    until(lambda: client.call("state")[0]["rooms"] == ["remote"])
    sites[0].remote("disconnect", id)
    assert client.recv("disconnect") == "io server disconnect"


def test_rooms_and_disconnects_reach_all_workers(sites, enter):
    clients = [enter(0, "base"), enter(1, "base"), enter(1, "base", "spared")]
    sites[0].io("join", ["x", "y"], room="base", skip="spared")
    until(lambda: len(sites[0].io("sessions", "x")) == 2)
    sites[0].io("leave", "y", room="base")
    until(lambda: sites[0].io("sessions", "y") == [])
    assert clients[1].call("state")[0]["rooms"] == ["base", "x"]
    sites[0].io("disconnect", "base", skip="spared")
    for client in clients[:2]:
        assert client.recv("disconnect") == "io server disconnect"
    assert clients[2].call("state")[0]["rooms"] == ["base", "spared"]


def test_a_client_that_moved_is_not_sent_what_skips_it(sites, enter):
    client = enter(1, "moved")
    sites[0].io("emit", "news", "for others", room="moved", skip=client.id)
    sites[0].io("emit", "end", room="moved")
    client.recv("end")
    assert client.received("news") == []


# -- a worker that does not answer; two workers of one gunicorn; no broker


def test_a_worker_that_is_suspended_is_reported_as_incomplete(own_valkey, fresh_database, node):
    with pair(fresh_database("sqlite"), own_valkey.url) as (one, other), connecting(node, one) as connect:
        until(lambda: metric(one, "chat_workers") == metric(other, "chat_workers") == 2)
        client = connect(namespace=NAMESPACE, auth={"rooms": ["a"]})
        client.reply("question", "here")
        with own_valkey.paused():
            answer = one.io("call", "question", room="a", timeout=1)
        assert answer == {"came": ["here"], "missing": [], "complete": False}
        until(lambda: one.io("call", "question", room="a", timeout=5) == ["here"])
        assert other.get("/healthz")[0] == 200


class ReachWorkers(Workers, ReachServer):
    """The site on two workers of one gunicorn."""

    COUNT = 2


def spread(site, connect):
    """A client of each worker; over a WebSocket, because a poll may be held by the other worker."""
    site.wait_serving()
    clients = []
    for worker in site.workers():
        with site.only(worker):
            auth = {"rooms": ["a"]}
            clients.append(connect(namespace=NAMESPACE, auth=auth, transports=["websocket"]))
    for number, client in enumerate(clients):
        client.reply("question", number)
    return clients


def answers_of_both(site):
    """Whether the clients of both workers answer: the workers may have yet to find each other."""
    return sorted(site.io("call", "question", room="a", timeout=LONG)) == [0, 1]


def test_two_workers_of_one_gunicorn_with_a_broker(valkey_server, node):
    env = {
        "CHAT_REDIS_URL": valkey_server.url,
        "CHAT_REDIS_PREFIX": f"reach-{uuid4().hex}",
        "CHAT_METRICS": 1,
    }
    with ReachWorkers(env=env) as site, connecting(node, site) as connect:
        clients = spread(site, connect)
        until(lambda: all(answers_of_both(site) for _ in range(6)))  # whichever worker is asked
        ids = {client.id for client in clients}
        until(lambda: {one["id"] for one in site.io("sessions", "a")} == ids)
        site.io("disconnect", "a")
        for client in clients:
            assert client.recv("disconnect") == "io server disconnect"


def test_two_workers_without_a_broker_reach_their_own_clients_alone(node):
    with ReachWorkers() as site, connecting(node, site) as connect:
        clients = spread(site, connect)
        for number, worker in enumerate(site.workers()):
            with site.only(worker):
                assert site.io("call", "question", room="a", timeout=LONG) == [number]
                assert [one["id"] for one in site.io("sessions", "a")] == [clients[number].id]
                site.io("join", "x", room="a")
        assert [client.call("state")[0]["rooms"] for client in clients] == [["a", "x"]] * 2
