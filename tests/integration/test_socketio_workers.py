"""Socket.IO over several workers on one port: each request of a client may reach any of them.

- stock clients, thirty at a time, on every choice of transports: no reconnect, no error, nothing lost
- polls, POSTs and upgrades that reach another worker than the session's
- a worker that ends, by SIGTERM or SIGKILL, on either side
- unknown sessions; several servers; the directory in which workers find each other
"""

import gc
import json
import os
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import socketio

from tests.integration.socketio_server import SocketIOServer
from tests.integration.socketio_wire import (
    UNKNOWN_SID,
    Endpoint,
    PollingSession,
    UpgradedSession,
    WebSocketSession,
    probe,
)
from tests.integration.socketio_workers import KINDS, NewsSession, WorkerEndpoint, Workers, packet
from tests.socketio_node import HASTY, TRANSPORTS, Failed, connecting
from tests.wsclient import Refused, text_frame

CLIENTS, EMITS = 30, 20
#: Seconds within which a released poll is answered; the next ping comes later.
SOON = 10.0
TERM, KILL = signal.SIGTERM, signal.SIGKILL


@pytest.fixture(scope="module", params=KINDS)
def site(request):
    with Workers(request.param) as server:
        yield server


@pytest.fixture
def make_site():
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Workers(*args, **options))


@pytest.fixture
def endpoints(site):
    """The endpoints at two workers."""
    site.wait_serving()
    first, second, *_ = site.workers()
    with WorkerEndpoint(site, first) as one, WorkerEndpoint(site, second) as other:
        yield one, other


@pytest.fixture
def session(endpoints):
    """A session of the first worker."""
    return NewsSession(endpoints[0])


def connect_many(site, connect):
    """Clients spread evenly over all workers: otherwise an idle worker would accept most of them."""
    site.wait_serving()  # the test before may have killed one
    clients = []
    for worker in site.workers():
        with site.only(worker):
            clients += [connect() for _ in range(CLIENTS // site.COUNT)]
    return clients


# -- stock clients


def test_many_stock_clients_see_no_reconnect_or_error(site, connect, transports):
    clients = connect_many(site, lambda: connect(namespace="/news", **transports))
    for number in range(EMITS):
        calls = [client.begin_call("echo", number, client.name) for client in clients]
        assert [client.answer(call) for client, call in zip(clients, calls, strict=True)] == [
            [number, client.name] for client in clients
        ]
    for client in clients:
        assert {event for event, _ in client.log} <= {"connect", "upgrade", "ping"}
        assert len(client.received("connect")) == 1
    assert len({client.state["engine"].split(".")[0] for client in clients}) == site.COUNT


def test_nothing_is_lost_or_doubled_while_many_clients_upgrade(site, connect):
    clients = connect_many(site, lambda: connect(namespace="/news"))
    said = list(range(40))
    for number in said:
        for client in clients:
            client.emit("tell me", number)
    for client in clients:
        client.recv("told", lambda number, *_: number == said[-1])
        client.wait_received("upgrade")
        assert [args[0] for args in client.received("told")] == said


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the client leaves some sockets open
@pytest.mark.parametrize("transports", [None, ["polling"], ["websocket"]], ids=TRANSPORTS)
def test_many_python_clients_see_no_reconnect_or_error(site, transports):
    def connect():
        client = socketio.Client(handle_sigint=False, reconnection=False)
        client.connect(site.url, namespaces=["/news"], transports=transports)
        return client

    def talk(client):
        return [client.call("echo", number, namespace="/news") for number in range(EMITS)]

    clients = connect_many(site, connect)
    try:
        with ThreadPoolExecutor(CLIENTS) as threads:
            assert list(threads.map(talk, clients)) == [list(range(EMITS))] * CLIENTS
        assert all(client.connected for client in clients)
    finally:
        with ThreadPoolExecutor(CLIENTS) as threads:  # over polling some wait for the next ping
            list(threads.map(lambda client: client.shutdown(), clients))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def test_stock_clients_reconnect_when_a_worker_is_killed(site, connect, transports):
    clients = connect_many(site, lambda: connect(namespace="/news", **HASTY, **transports))
    of_killed = clients[: CLIENTS // site.COUNT]
    if not transports:
        # A client that loses its connection in the moment of its upgrade stays silent until its ping timeout.
        for client in clients:
            client.wait_received("upgrade")
    os.kill(site.workers()[0], KILL)
    for client in of_killed:
        assert client.recv("disconnect") in {"transport close", "transport error"}
        client.recv("connect", timeout=30)
    for client in clients:
        assert call_until_answered(client) == [client.name]


def call_until_answered(client):
    """Call repeatedly: clients whose request was in progress at the killed worker reconnect too."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return client.call("echo", client.name, timeout=2)
        except Failed:
            assert time.monotonic() < deadline


# -- at another worker


def begin_poll(endpoint, session):
    """A poll that waits: ten requests sent after it have been answered.

    Under threads a single request may overtake it, and nothing shows when a poll is held.
    """
    waiting = endpoint.begin(sid=session.sid)
    for _ in range(10):
        assert endpoint.is_unknown(guess(session.sid))
    return waiting


def guess(sid):
    """A well-formed id of the same worker, of no session."""
    return sid[:-1] + ("A" if sid[-1] != "A" else "B")


def test_a_poll_waits_at_another_worker(endpoints, session):
    _, other = endpoints
    waiting = begin_poll(other, session)
    assert session.emit("tell me", "late").body == "ok"
    assert '["told","late"' in waiting.answer().body


def test_a_post_is_served_at_another_worker(endpoints, session):
    session.endpoint = endpoints[1]
    answer = session.emit("tell me", "大家好")
    assert (answer.status, answer.body) == (200, "ok")
    session.endpoint = endpoints[0]
    assert json.loads(session.receive().removeprefix("42/news,"))[:2] == ["told", "大家好"]


def test_large_payloads_pass_between_two_workers(endpoints, session):
    session.endpoint = endpoints[1]
    texts = [letter * 100_000 for letter in "abcdef"]
    for text in texts:
        session.emit("tell me", text)
    assert [json.loads(session.receive()[8:])[1] for _ in texts] == texts


def test_two_polls_at_once_end_a_session_at_any_worker(endpoints, session):
    polls = [endpoint.begin(sid=session.sid) for endpoint in endpoints]
    assert sorted(poll.answer().status for poll in polls) == [200, 400]  # whichever was the second
    for endpoint in endpoints:
        assert endpoint.is_unknown(session.sid)


def test_a_malformed_payload_ends_a_session_at_another_worker(endpoints, session):
    one, other = endpoints
    answer = other.ask("POST", "no packet", sid=session.sid)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert one.is_unknown(session.sid)


def test_a_payload_that_is_too_large_ends_a_session_at_another_worker(endpoints, session):
    one, other = endpoints
    assert other.ask("POST", "4" * 200_000, sid=session.sid).status == 413
    assert one.is_unknown(session.sid)


def test_a_session_over_websocket_cannot_be_polled_at_another_worker(endpoints, session):
    _, other = endpoints
    session.endpoint = other
    upgraded = UpgradedSession(other, of=session)
    upgraded.send(packet("tell me", "by websocket"))
    assert "by websocket" in upgraded.receive()
    assert other.ask(sid=session.sid).json["code"] == 3


def test_an_upgrade_at_another_worker_loses_nothing(endpoints, session):
    _, other = endpoints
    session.emit("tell me", "before")
    early = text_frame("2probe") + text_frame("5") + text_frame(packet("tell me", "with it"))
    ws = other.websocket(sid=session.sid, early=early)
    assert ws.recv() == "3probe"
    ws.send_text(packet("tell me", "behind it"))
    assert [json.loads(ws.recv()[8:])[1] for _ in range(3)] == ["before", "with it", "behind it"]


def test_a_poll_at_another_worker_is_released_by_an_upgrade(endpoints, session):
    _, other = endpoints
    waiting = begin_poll(other, session)
    session.endpoint = other
    ws = probe(session)
    assert waiting.answer().body == "6"
    ws.send_text("5")
    ws.send_text(packet("tell me", "over it"))
    assert "over it" in ws.recv()


# -- workers that end


def test_an_upgraded_session_outlives_the_worker_that_forwarded_it(endpoints, session):
    _, other = endpoints
    session.endpoint = other
    upgraded = UpgradedSession(other, of=session)
    other.end(KILL)
    upgraded.send(packet("tell me", "still here"))
    assert "still here" in upgraded.receive()


def test_a_session_survives_the_kill_of_the_worker_where_it_polled(endpoints, session):
    _, other = endpoints
    waiting = begin_poll(other, session)
    other.end(KILL)
    with pytest.raises(ConnectionError):
        waiting.answer()
    session.emit("tell me", "kept")
    assert "kept" in session.receive()


def test_a_worker_that_stops_releases_forwarded_polls(endpoints, session):
    _, other = endpoints
    waiting = begin_poll(other, session)
    began = time.monotonic()
    os.kill(other.worker, TERM)
    assert waiting.answer().body == "6"
    assert time.monotonic() - began < SOON
    other.end(TERM)
    session.emit("tell me", "kept")
    assert "kept" in session.receive()


def test_a_poll_at_another_worker_ends_with_its_session(endpoints, session):
    one, other = endpoints
    waiting = begin_poll(other, session)
    os.kill(one.worker, TERM)
    assert waiting.answer().body == "6"
    one.end(TERM)
    assert other.is_unknown(session.sid)


def test_a_session_of_a_worker_that_was_killed_is_unknown_everywhere(endpoints, session):
    one, other = endpoints
    waiting = begin_poll(other, session)
    one.end(KILL)
    for answer in (waiting.answer(), other.ask(sid=session.sid), other.ask("POST", "6", sid=session.sid)):
        assert (answer.status, answer.json) == (400, UNKNOWN_SID)
    with pytest.raises(Refused) as refused:
        other.websocket(sid=session.sid)
    assert (refused.value.status, json.loads(refused.value.body)) == (400, UNKNOWN_SID)


# -- unknown sessions


@pytest.mark.parametrize(
    "change",
    [
        lambda sid: "abc",
        guess,
        lambda sid: "elsewhere." + sid,
        lambda sid: "00000000" + sid[8:],
        lambda sid: "../../../" + sid,
    ],
    ids=["no id", "guessed", "of another machine", "of no worker", "hostile"],
)
def test_an_unknown_session_is_refused_at_every_worker(site, endpoints, session, change):
    sid = change(session.sid)
    for endpoint in endpoints:
        assert endpoint.is_unknown(sid)
        assert endpoint.ask(sid=sid).json == UNKNOWN_SID
        with pytest.raises(Refused) as refused:
            endpoint.websocket(sid=sid)
        assert json.loads(refused.value.body) == UNKNOWN_SID
    site.wait_log("sticky sessions")


# -- several servers, and the chat itself


@pytest.mark.parametrize(("nodes", "are_peers"), [(("", ""), True), (("web1", "web2"), False)])
def test_servers_are_peers_unless_their_node_names_differ(valkey_server, fresh_database, nodes, are_peers):
    shared = {
        "CHAT_DATABASE_URL": fresh_database("sqlite"),
        "CHAT_REDIS_URL": valkey_server.url,
        "CHAT_REDIS_PREFIX": "neighbours",
        "CHAT_IO_CHAT_NAMESPACE": "",
    }
    with ExitStack() as stack:
        servers = [stack.enter_context(SocketIOServer(env={**shared, "CHAT_NODE": node})) for node in nodes]
        one, other = (stack.enter_context(Endpoint(server, "/socket.io/")) for server in servers)
        sid = PollingSession(one).sid
        assert sid.count(".") == (2 if nodes[0] else 1) and sid.startswith(nodes[0])
        assert other.is_unknown(sid) is not are_peers


def test_several_workers_with_valkey_serve_the_chat(valkey_server, node):
    env = {"WEB_CONCURRENCY": 3, "CHAT_REDIS_URL": valkey_server.url, "CHAT_REDIS_PREFIX": "workers"}
    with SocketIOServer(env=env) as server, connecting(node, server) as connect:
        clients = [connect("ann", **transports) for transports in TRANSPORTS.values() for _ in range(4)]
        for number in range(5):
            for client in clients:
                (answer,) = client.call("group_chat", {"data": f"{client.name} {number}"})
                assert answer["room"] == "lobby"
        for client in clients:
            assert len(client.received("connect")) == 1
            assert client.received("disconnect") == client.received("connect_error") == []


# -- the directory of the workers


@pytest.mark.parametrize("kind", KINDS)
def test_workers_use_a_private_directory_and_remove_it(make_site, kind):
    site = make_site(kind)
    first, second, third = site.workers()
    with (
        WorkerEndpoint(site, first) as one,
        WorkerEndpoint(site, second) as other,
        WorkerEndpoint(site, third) as another,
    ):
        assert site.directories() == {}  # until the first session on long-polling
        WebSocketSession(one)
        assert site.directories() == {}
        sids = [NewsSession(one).sid, NewsSession(other).sid]
        ((directory, names),) = site.directories().items()
        assert names == sorted(sid.split(".")[0] for sid in sids)
        assert directory.stat().st_mode & 0o777 == 0o700
        one.end(KILL)
        assert another.is_unknown(sids[0])
        assert not another.is_unknown(sids[1])
        assert site.directories() == {directory: [sids[1].split(".")[0]]}
    site.wait_serving()
    site.process.terminate()
    site.wait_exit()
    assert site.directories() == {}
