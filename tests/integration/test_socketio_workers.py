"""Socket.IO over several workers on one port, none of which gets all of a client's requests.

- stock clients, thirty at a time, on every choice of transports: no reconnect, no error, nothing lost
- polls, POSTs and upgrades that reach another worker than the session's
- a worker that ends, in good order or by SIGKILL, on either side
- sessions that nobody knows; several servers; the folder where the workers meet
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
from tests.integration.socketio_workers import KINDS, Door, NewsSession, Workers, packet
from tests.socketio_node import HASTY, TRANSPORTS, Failed, connecting
from tests.wsclient import Refused, text_frame

CROWD, EMITS = 30, 20
#: Seconds within which a poll is over that is not left to wait for the next ping.
SOON = 10.0
GOOD_ORDER, AT_ONCE = signal.SIGTERM, signal.SIGKILL


@pytest.fixture(scope="module", params=KINDS)
def site(request):
    with Workers(request.param) as server:
        yield server


@pytest.fixture
def make_site():
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Workers(*args, **options))


@pytest.fixture
def doors(site):
    """The endpoint at one worker, and at another."""
    site.wait_serving()
    first, second, *_ = site.workers()
    with Door(site, first) as one, Door(site, second) as other:
        yield one, other


@pytest.fixture
def session(doors):
    """A session of the first worker."""
    return NewsSession(doors[0])


def make_crowd(site, connect):
    """Clients whose sessions are spread over all workers: one that is idle would take all that come in a row."""
    crowd = []
    for worker in site.workers():
        with site.only(worker):
            crowd += [connect() for _ in range(CROWD // site.COUNT)]
    return crowd


# -- stock clients


def test_many_stock_clients_see_no_reconnect_or_error(site, connect, transports):
    crowd = make_crowd(site, lambda: connect(namespace="/news", **transports))
    for number in range(EMITS):
        calls = [client.begin_call("echo", number, client.name) for client in crowd]
        assert [client.answer(call) for client, call in zip(crowd, calls, strict=True)] == [
            [number, client.name] for client in crowd
        ]
    for client in crowd:
        assert {event for event, _ in client.log} <= {"connect", "upgrade", "ping"}
        assert len(client.heard("connect")) == 1
    assert len({client.state["engine"].split(".")[0] for client in crowd}) == site.COUNT


def test_nothing_is_lost_or_doubled_while_many_clients_upgrade(site, connect):
    crowd = make_crowd(site, lambda: connect(namespace="/news"))
    said = list(range(40))
    for number in said:
        for client in crowd:
            client.emit("tell me", number)
    for client in crowd:
        client.recv("told", lambda number, *_: number == said[-1])
        client.wait_heard("upgrade")
        assert [args[0] for args in client.heard("told")] == said


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the client forgets some of its sockets
@pytest.mark.parametrize("transports", [None, ["polling"], ["websocket"]], ids=TRANSPORTS)
def test_many_python_clients_see_no_reconnect_or_error(site, transports):
    def connect():
        client = socketio.Client(handle_sigint=False, reconnection=False)
        client.connect(site.url, namespaces=["/news"], transports=transports)
        return client

    def talk(client):
        return [client.call("echo", number, namespace="/news") for number in range(EMITS)]

    crowd = make_crowd(site, connect)
    try:
        with ThreadPoolExecutor(CROWD) as threads:
            assert list(threads.map(talk, crowd)) == [list(range(EMITS))] * CROWD
        assert all(client.connected for client in crowd)
    finally:
        for client in crowd:
            client.shutdown()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def test_stock_clients_reconnect_when_a_worker_is_killed(site, connect, transports):
    crowd = make_crowd(site, lambda: connect(namespace="/news", **HASTY, **transports))
    its_own = crowd[: CROWD // site.COUNT]
    os.kill(site.workers()[0], AT_ONCE)
    for client in its_own:
        assert client.recv("disconnect") in {"transport close", "transport error"}
        client.recv("connect", timeout=30)
    for client in crowd:
        assert call_until_answered(client) == [client.name]


def call_until_answered(client):
    """Others may have had a request under way at that worker: they come back too."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return client.call("echo", client.name, timeout=2)
        except Failed:
            assert time.monotonic() < deadline


# -- at another worker


def begin_poll(door, session):
    """A poll that waits; what was asked behind it has been answered, again and again.

    Under threads a single question may overtake it, and nothing tells when a poll is held.
    """
    waiting = door.begin(sid=session.sid)
    for _ in range(10):
        assert door.is_unknown(guess(session.sid))
    return waiting


def guess(sid):
    """An id as that worker makes them, of no session."""
    return sid[:-1] + ("A" if sid[-1] != "A" else "B")


def test_a_poll_waits_at_another_worker(doors, session):
    _, other = doors
    waiting = begin_poll(other, session)
    assert session.emit("tell me", "late").body == "ok"
    assert '["told","late"' in waiting.answer().body


def test_a_post_is_served_at_another_worker(doors, session):
    session.endpoint = doors[1]
    answer = session.emit("tell me", "大家好")
    assert (answer.status, answer.body) == (200, "ok")
    session.endpoint = doors[0]
    assert json.loads(session.receive().removeprefix("42/news,"))[:2] == ["told", "大家好"]


def test_large_payloads_pass_between_two_workers(doors, session):
    session.endpoint = doors[1]
    texts = [letter * 100_000 for letter in "abcdef"]
    for text in texts:
        session.emit("tell me", text)
    assert [json.loads(session.receive()[8:])[1] for _ in texts] == texts


def test_two_polls_at_once_end_a_session_at_any_worker(doors, session):
    polls = [door.begin(sid=session.sid) for door in doors]
    assert sorted(poll.answer().status for poll in polls) == [200, 400]  # whichever was the second
    for door in doors:
        assert door.is_unknown(session.sid)


def test_a_malformed_payload_ends_a_session_at_another_worker(doors, session):
    one, other = doors
    answer = other.ask("POST", "no packet", sid=session.sid)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert one.is_unknown(session.sid)


def test_a_payload_that_is_too_large_ends_a_session_at_another_worker(doors, session):
    one, other = doors
    assert other.ask("POST", "4" * 200_000, sid=session.sid).status == 413
    assert one.is_unknown(session.sid)


def test_a_session_over_websocket_cannot_be_polled_at_another_worker(doors, session):
    _, other = doors
    session.endpoint = other
    upgraded = UpgradedSession(other, of=session)
    upgraded.send(packet("tell me", "by websocket"))
    assert "by websocket" in upgraded.receive()
    assert other.ask(sid=session.sid).json["code"] == 3


def test_an_upgrade_at_another_worker_loses_nothing(doors, session):
    _, other = doors
    session.emit("tell me", "before")
    early = text_frame("2probe") + text_frame("5") + text_frame(packet("tell me", "with it"))
    ws = other.websocket(sid=session.sid, early=early)
    assert ws.recv() == "3probe"
    ws.send_text(packet("tell me", "behind it"))
    assert [json.loads(ws.recv()[8:])[1] for _ in range(3)] == ["before", "with it", "behind it"]


def test_a_poll_at_another_worker_is_released_by_an_upgrade(doors, session):
    _, other = doors
    waiting = begin_poll(other, session)
    session.endpoint = other
    ws = probe(session)
    assert waiting.answer().body == "6"
    ws.send_text("5")
    ws.send_text(packet("tell me", "over it"))
    assert "over it" in ws.recv()


# -- workers that end


def test_an_upgraded_session_outlives_the_worker_that_forwarded_it(doors, session):
    _, other = doors
    session.endpoint = other
    upgraded = UpgradedSession(other, of=session)
    other.end(AT_ONCE)
    upgraded.send(packet("tell me", "still here"))
    assert "still here" in upgraded.receive()


def test_a_session_survives_the_kill_of_the_worker_where_it_polled(doors, session):
    _, other = doors
    waiting = begin_poll(other, session)
    other.end(AT_ONCE)
    with pytest.raises(ConnectionError):
        waiting.answer()
    session.emit("tell me", "kept")
    assert "kept" in session.receive()


def test_a_worker_that_stops_releases_forwarded_polls(doors, session):
    _, other = doors
    waiting = begin_poll(other, session)
    began = time.monotonic()
    os.kill(other.worker, GOOD_ORDER)
    assert waiting.answer().body == "6"
    assert time.monotonic() - began < SOON
    other.end(GOOD_ORDER)
    session.emit("tell me", "kept")
    assert "kept" in session.receive()


def test_a_poll_at_another_worker_ends_with_its_session(doors, session):
    one, other = doors
    waiting = begin_poll(other, session)
    os.kill(one.worker, GOOD_ORDER)
    assert waiting.answer().body == "6"
    one.end(GOOD_ORDER)
    assert other.is_unknown(session.sid)


def test_a_session_of_a_worker_that_was_killed_is_unknown_everywhere(doors, session):
    one, other = doors
    waiting = begin_poll(other, session)
    one.end(AT_ONCE)
    for answer in (waiting.answer(), other.ask(sid=session.sid), other.ask("POST", "6", sid=session.sid)):
        assert (answer.status, answer.json) == (400, UNKNOWN_SID)
    with pytest.raises(Refused) as refused:
        other.websocket(sid=session.sid)
    assert (refused.value.status, json.loads(refused.value.body)) == (400, UNKNOWN_SID)


# -- sessions that nobody knows


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
def test_an_unknown_session_is_refused_at_every_worker(site, doors, session, change):
    sid = change(session.sid)
    for door in doors:
        assert door.is_unknown(sid)
        assert door.ask(sid=sid).json == UNKNOWN_SID
        with pytest.raises(Refused) as refused:
            door.websocket(sid=sid)
        assert json.loads(refused.value.body) == UNKNOWN_SID
    site.wait_log("sticky sessions")


# -- several servers, and the chat itself


@pytest.mark.parametrize(("nodes", "are_neighbours"), [(("", ""), True), (("web1", "web2"), False)])
def test_servers_are_peers_unless_their_node_names_differ(
    valkey_server, fresh_database, nodes, are_neighbours
):
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
        assert other.is_unknown(sid) is not are_neighbours


def test_several_workers_with_valkey_serve_the_chat(valkey_server, node):
    env = {"WEB_CONCURRENCY": 3, "CHAT_REDIS_URL": valkey_server.url, "CHAT_REDIS_PREFIX": "workers"}
    with SocketIOServer(env=env) as server, connecting(node, server) as connect:
        crowd = [connect("ann", **transports) for transports in TRANSPORTS.values() for _ in range(4)]
        for number in range(5):
            for client in crowd:
                (answer,) = client.call("group_chat", {"data": f"{client.name} {number}"})
                assert answer["room"] == "lobby"
        for client in crowd:
            assert len(client.heard("connect")) == 1
            assert client.heard("disconnect") == client.heard("connect_error") == []


# -- the folder where they meet


@pytest.mark.parametrize("kind", KINDS)
def test_workers_use_a_private_directory_and_remove_it(make_site, kind):
    site = make_site(kind)
    first, second, third = site.workers()
    with Door(site, first) as one, Door(site, second) as other, Door(site, third) as another:
        assert site.meeting_places() == {}  # until there is a session of long-polling
        WebSocketSession(one)
        assert site.meeting_places() == {}
        sids = [NewsSession(one).sid, NewsSession(other).sid]
        ((folder, names),) = site.meeting_places().items()
        assert names == sorted(sid.split(".")[0] for sid in sids)
        assert folder.stat().st_mode & 0o777 == 0o700
        one.end(AT_ONCE)
        assert another.is_unknown(sids[0])
        assert not another.is_unknown(sids[1])
        assert site.meeting_places() == {folder: [sids[1].split(".")[0]]}
    site.wait_serving()
    site.process.terminate()
    site.wait_exit()
    assert site.meeting_places() == {}
