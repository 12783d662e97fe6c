"""The stock socket.io-client against the server: transports, reconnects, namespaces, acks, binary, handlers."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from tests.integration.socketio_server import SocketIOServer
from tests.leftovers import children
from tests.servers import KINDS, ROOT
from tests.socketio_node import HASTY, TRANSPORTS, Failed, connecting, running_node
from tests.tokens import token

ALL_BYTES = bytes(range(256))
#: Reasons that a client reports after the server closed the connection.
ENDED = {"transport close", "transport error"}
GREETING = {"type": 2, "user": None, "data": "欢迎欢迎,热烈欢迎,进入聊天室"}


@pytest.fixture(scope="module")
def site():
    with SocketIOServer() as server:
        yield server


@pytest.fixture
def make_site():
    """make_site(CHAT_IO_PATH="/io") is a server for this test alone."""
    with ExitStack() as stack:
        yield lambda **env: stack.enter_context(SocketIOServer(env=env))


def connect_three(connect, **options):
    """A client for each choice of transports, the default one upgraded."""
    clients = [connect(**options, **transports) for transports in TRANSPORTS.values()]
    clients[0].wait_received("upgrade")
    return clients


def numbered(count):
    return [f"n{number}" for number in range(count)]


# -- transports


def test_the_default_client_starts_on_polling_and_upgrades(connect):
    client = connect("ann")
    client.wait_received("upgrade")
    assert client.call("wave") == [["ann"]]
    assert client.state["transport"] == "websocket"


@pytest.mark.parametrize("name", ["polling", "websocket"])
def test_a_client_of_one_transport_stays_on_it(connect, name):
    client = connect("ann", **TRANSPORTS[name])
    for number in range(5):
        assert client.call("wave", number) == [["ann", number]]
    assert client.state["transport"] == name
    assert client.received("upgrade") == []


def test_nothing_is_lost_or_doubled_while_a_client_upgrades(site, connect):
    client = connect(namespace="/news")
    for text in numbered(60):
        client.emit("note", text)
        if text.endswith("0"):
            site.emit("bulletin", text)
    client.wait_received("upgrade")
    site.emit("bulletin", "last")
    client.recv("bulletin", lambda text, *_: text == "last")
    assert [args[0] for args in client.received("bulletin")] == [*numbered(60)[::10], "last"]
    client.call("note", "last")
    assert [text for _, text in site.journal(client.id, "note")] == [*numbered(60), "last"]


def test_many_events_arrive_in_order(site, connect, transports):
    client = connect(namespace="/news", **transports)
    for text in numbered(300):
        client.emit("tell me", text, {"pad": "x" * 500})
    client.recv("told", lambda text, *_: text == "n299")
    assert [args[0] for args in client.received("told")] == numbered(300)


def test_a_site_may_offer_one_transport_only(make_site, node):
    with connecting(node, make_site(CHAT_IO_TRANSPORTS="polling")) as connect:
        client = connect("ann")
        assert client.call("wave") == [["ann"]]
        assert client.state["transport"] == "polling"
        refused = connect("bob", wait=False, transports=["websocket"], reconnection=False)
        assert refused.recv("connect_error")["data"] is None


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind != "gunicorn-gevent"]
)  # the server of the other tests
def test_every_server_serves_every_transport(node, kind):
    threads = ["--threads", "8"] if kind == "gunicorn-gthread" else []  # each poll that waits holds a thread
    with SocketIOServer(kind, options=threads) as server, connecting(node, server) as connect:
        clients = connect_three(connect, name="ann")
        for number, client in enumerate(clients):
            assert client.call("wave", number) == [["ann", number]]
            client.emit("group_chat", {"data": f"from {number}"})
            for other in clients:
                other.recv("group_chat", lambda message, *_, text=f"from {number}": message["data"] == text)
        news = connect(namespace="/news", transports=["polling"])
        assert news.call("reverse", ALL_BYTES)[0] == ALL_BYTES[::-1]


def test_heartbeats_keep_an_idle_client_connected(make_site, node):
    with connecting(node, make_site(CHAT_IO_PING_INTERVAL="0.2", CHAT_IO_PING_TIMEOUT="5")) as connect:
        clients = connect_three(connect, name="ann")
        for client in clients:
            client.wait_received("ping", 5)
            assert client.call("wave") == [["ann"]]
            assert client.received("disconnect") == []


def test_the_endpoint_and_the_chats_namespace_are_configurable(make_site, node):
    server = make_site(CHAT_IO_PATH="/live/io", CHAT_IO_CHAT_NAMESPACE="/chat")
    with connecting(node, server) as connect:
        for transports in TRANSPORTS.values():
            ann = connect("ann", namespace="/chat", path="/live/io", **transports)
            assert ann.call("group_chat", {"data": "here"})[0]["room"] == "lobby"
            assert ann.recv("group_chat") == GREETING
            main = ann.share("/", auth={"token": token("ann")})  # the site's own event remains there
            main.recv("connect")
            assert main.call("wave") == [["ann"]]
            assert main.received("group_chat") == []
        lost = connect("ann", wait=False, reconnection=False)
        assert lost.recv("connect_error")["data"] is None


def test_a_site_may_switch_socketio_off(make_site):
    assert make_site(CHAT_IO="0").get("/socket.io/?EIO=4&transport=polling")[0] == 404


# -- several workers (polling on them: test_socketio_workers.py)


@pytest.fixture
def two_workers():
    """A site with only its own events, on two workers."""
    with SocketIOServer(
        env={"CHAT_IO_CHAT_NAMESPACE": ""}, options=("--workers", "2", "--config", os.devnull)
    ) as server:
        yield server


@contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_with_several_workers_websockets_need_no_settings(two_workers, node):
    with connecting(node, two_workers) as connect:
        for worker in children(two_workers.pid):
            with stopped(worker):  # so that the next client reaches the other one
                client = connect(namespace="/news", **TRANSPORTS["websocket"])
                assert client.call("echo", worker) == [worker]


# -- reconnecting


def test_a_client_reconnects_after_the_server_closed_the_transport(connect, transports):
    client = connect("ann", **HASTY, **transports)
    for times in (1, 2):
        if not transports:
            client.wait_received("upgrade", times)
        client.ask("raw", message="9 is no packet")
        assert client.recv("disconnect") in ENDED
        client.recv("connect")
        assert client.call("wave") == [["ann"]]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_clients_reconnect_after_a_restart_of_the_server(make_site, node, how):
    server = make_site()
    with connecting(node, server) as connect:
        clients = connect_three(connect, name="ann", **HASTY)
        os.killpg(server.pid, how)
        for client in clients:
            assert client.recv("disconnect") in ENDED
            assert client.state["active"]
        server.wait_exit()
        server.restart()
        for client in clients:
            assert client.recv("connect", timeout=30)["recovered"] is False
            assert client.call("wave") == [["ann"]]
            assert [args[0] for args in client.received("group_chat")] == [GREETING, GREETING]


def test_a_client_that_was_suspended_too_long_is_recovered(make_site):
    server = make_site(CHAT_IO_PING_INTERVAL="0.2", CHAT_IO_PING_TIMEOUT="0.4")
    with running_node() as sleeper, connecting(sleeper, server) as connect:
        client = connect(namespace="/news", **HASTY)
        client.wait_received("upgrade")
        id = client.id
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            reason = server.wait_journal(id, "disconnected")[0][1]
            server.emit("bulletin", "you slept")
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        assert "ping timeout" in reason
        client.recv("disconnect")
        assert client.recv("connect") == {"id": id, "recovered": True}
        assert client.recv("bulletin")[0] == "you slept"


# -- namespaces


def test_two_namespaces_share_one_connection(site, connect, transports):
    chat = connect("ann", **transports)
    news = chat.share("/news", auth={"token": token("ann"), "with": "luggage"})
    news_id = news.recv("connect")["id"]
    assert news_id != chat.id
    assert news.state["engine"] == chat.state["engine"]
    assert news.call("about")[0]["data"] == {"connected with": "luggage"}
    assert chat.call("wave") == [["ann"]]
    site.emit("bulletin", "for readers")
    site.emit("bulletin", "for talkers", namespace="/")
    assert news.recv("bulletin")[0] == "for readers"
    assert chat.recv("bulletin")[0] == "for talkers"
    assert len(news.received("bulletin")) == len(chat.received("bulletin")) == 1
    news.ask("disconnect")
    assert news.recv("disconnect") == "io client disconnect"
    site.wait_journal(news_id, "disconnected")
    assert chat.call("wave") == [["ann"]]
    news.reconnect()
    assert news.call("echo", 1) == [1]


def test_a_client_may_leave_and_rejoin_the_chat_on_one_connection(connect):
    news = connect("ann", namespace="/news")
    chat = news.share("/", auth={"token": token("ann")})
    watcher = connect("watcher")
    for _ in range(2):
        chat.recv("group_list")
        watcher.recv("group_list", lambda m, *_: "ann" in [user["username"] for user in m["data"]])
        chat.ask("disconnect")
        watcher.recv("group_list", lambda m, *_: "ann" not in [user["username"] for user in m["data"]])
        assert news.call("echo", "still here") == ["still here"]
        watcher.call("group_chat", {"data": "behind her back"})
        chat.reconnect()
    assert "behind her back" not in [args[0]["data"] for args in chat.received("group_chat")]


def test_an_unregistered_namespace_is_refused_and_the_connection_stays(connect):
    chat = connect("ann")
    other = chat.share("/nowhere")
    assert other.recv("connect_error") == {"message": "Invalid namespace", "data": None}
    assert chat.call("wave") == [["ann"]]


def test_a_namespace_exists_with_a_single_event(connect):
    quiet = connect(namespace="/quiet")
    quiet.emit("hello", "Ann")
    assert quiet.recv("hello")[0] == "Hello, Ann"


# -- on_connect


def test_on_connect_refuses_with_a_message_and_data(site, connect):
    client = connect(namespace="/news", wait=False, auth={"refuse": "We are full", "token": "x"})
    assert client.recv("connect_error") == {"message": "We are full", "data": {"try": "later"}}
    assert not client.state["active"]
    client.ask("auth", auth={"with": "patience"})
    client.reconnect()
    assert client.call("about")[0]["data"] == {"connected with": "patience"}


@pytest.mark.parametrize("auth", [{"refuse": "plainly"}, {"break": True}])
def test_on_connect_that_returns_false_or_raises_admits_no_client(site, connect, auth):
    client = connect(namespace="/news", wait=False, auth=auth)
    assert client.recv("connect_error")["message"]
    assert client.received("connect") == []
    site.emit("bulletin", "for members")
    inside = connect(namespace="/news")
    site.emit("bulletin", "the last")
    inside.recv("bulletin")
    assert client.received("bulletin") == []


def test_the_site_knows_the_identity_of_good_tokens_only(connect):
    known = connect("ann", namespace="/news")
    assert known.call("about")[0]["identity"] == {"id": "id-ann", "username": "ann"}
    stranger = connect(namespace="/news")
    assert stranger.call("about")[0]["identity"] is None
    forger = connect(namespace="/news", auth={"token": token("ann", key="another key, and long enough")})
    assert forger.call("about")[0]["identity"] is None


# -- rooms and disconnects


def test_events_of_a_room_reach_its_members_only(site, connect):
    ann, bob = connect(namespace="/news"), connect(namespace="/news")
    ann.call("join", "sports")
    bob.call("join", "arts")
    site.emit("bulletin", "goal", room="sports")
    site.emit("bulletin", "opera", room="arts", path="/emit/thread")
    bob.call("leave", "arts")
    bob.call("join", "sports")
    site.emit("bulletin", "finale", room="arts")
    site.emit("bulletin", "whistle", room="sports")
    site.emit("bulletin", "good night")
    for client in (ann, bob):
        client.recv("bulletin", lambda text, *_: text == "good night")
    assert [args[0] for args in ann.received("bulletin")] == ["goal", "whistle", "good night"]
    assert [args[0] for args in bob.received("bulletin")] == ["opera", "whistle", "good night"]


def test_events_to_a_session_id_reach_that_session_only(site, connect):
    ann, bob = connect(namespace="/news"), connect(namespace="/news")
    site.emit("bulletin", "for ann alone", room=ann.id)
    ann.call("tell others", "for all but ann")
    site.emit("bulletin", "good night")
    for client in (ann, bob):
        client.recv("bulletin", lambda text, *_: text == "good night")
    assert [args[0] for args in ann.received("bulletin")] == ["for ann alone", "good night"]
    assert [args[0] for args in bob.received("bulletin")] == ["for all but ann", "good night"]


def test_events_emitted_in_on_connect_arrive_after_the_connect(site, connect, transports):
    client = connect(namespace="/news", auth={"room": "sports"}, wait=False, **transports)
    seen = client.recv_until(lambda event, *_: event == "welcome")
    assert [event for event, _ in seen if event != "upgrade"] == ["connect", "welcome"]
    site.emit("bulletin", "goal", room="sports")
    assert client.recv("bulletin")[0] == "goal"


def test_a_script_beside_the_server_can_emit(site, connect):
    client = connect(namespace="/news", auth={"room": "sports"})
    code = (
        "from tests.integration.socketio_site import create_app\n"
        "create_app().extensions['chat'].io.emit("
        "'bulletin', '来自脚本', {'of': [1]}, room='sports', namespace='/news')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=site.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert client.recv("bulletin")[:2] == ["来自脚本", {"of": [1]}]


def test_handlers_know_their_app(connect):
    assert connect(namespace="/news").call("whose site") == ["tests.integration.socketio_site"]


def test_a_session_that_the_site_ends_stays_disconnected(site, connect):
    client = connect(namespace="/news")
    id = client.id
    client.emit("go")
    assert client.recv("disconnect") == "io server disconnect"
    state = client.state
    assert not state["active"] and not state["reconnecting"]
    assert len(site.wait_journal(id, "disconnected")) == 1
    client.reconnect()
    assert client.id != id


def test_on_disconnect_is_called_once_for_each_session(site, connect, transports):
    client = connect(namespace="/news", **transports)
    ids = [client.id]
    client.ask("disconnect")
    client.reconnect()
    ids.append(client.id)
    client.cut()
    for id in ids:
        (disconnected,) = site.wait_journal(id, "disconnected")
        assert disconnected[1]
    # A second call would be in the journal before the next entry.
    client.reconnect()
    client.call("note", "here")
    assert [len(site.journal(id, "disconnected")) for id in ids] == [1, 1]


# -- acknowledgements


def test_the_handlers_result_is_the_ack(connect, transports):
    client = connect(namespace="/news", **transports)
    assert client.call("echo") == []
    sent = [1, "two", [3], {"four": None}, "五 🎉"]
    assert client.call("echo", *sent) == sent
    assert client.call("about")[0]["id"] == client.id
    assert client.call("note", "no answer of its own") in ([], [None])


def test_many_acks_reach_their_own_callbacks(connect, transports):
    client = connect(namespace="/news", **transports)
    asked = [client.begin_call("echo", number) for number in range(100)]
    assert [client.answer(number) for number in asked] == [[number] for number in range(100)]


def test_the_client_answers_the_server(site, connect, transports):
    client = connect(namespace="/news", **transports)
    client.reply("question", "blue", {"and": "green"})
    client.emit("ask me", "which colour?")
    assert client.recv("question") == "which colour?"
    assert site.wait_journal(client.id, "answer") == [("answer", ["blue", {"and": "green"}])]
    client.reply("question", "red")
    assert client.call("call me", "and which now?") == [{"answer": "red"}]


def test_a_question_that_the_client_does_not_answer_times_out(connect):
    client = connect(namespace="/news")
    assert client.call("call me in vain") == ["not answered"]
    assert client.call("echo", "still here") == ["still here"]


def test_a_client_that_retries_is_acked_even_without_a_result(site, connect):
    client = connect(namespace="/news", retries=2, ackTimeout=2000)
    for text in numbered(5):
        client.emit("note", text)
    site.wait_journal(client.id, "note", count=5)
    client.call("echo", "all sent")
    assert [text for _, text in site.journal(client.id, "note")] == numbered(5)


# -- binary


def test_bytes_travel_both_ways(connect, transports):
    client, other = connect(namespace="/news", **transports), connect(namespace="/news")
    assert client.call("reverse", ALL_BYTES) == [ALL_BYTES[::-1], {"of": 256}]
    for one in (client, other):
        assert one.recv("reversed")[0] == {"data": ALL_BYTES[::-1]}
    sent = ["text", {"a": [b"", {"b": b"\x00\xff"}]}, b"x" * 60_000, None]
    assert client.call("echo", *sent) == sent
    client.emit("tell me", b"\x1e\n\x00", {"deep": [b"4"]})
    assert client.recv("told")[:2] == [b"\x1e\n\x00", {"deep": [b"4"]}]


def test_bytes_work_in_calls_and_acks(connect, transports):
    client = connect(namespace="/news", **transports)
    client.reply("question", [b"\x01\x02"])
    assert client.call("call me", b"?") == [{"answer": [b"\x01\x02"]}]
    assert client.recv("question") == b"?"


def test_bytes_and_texts_keep_their_order(connect, transports):
    client = connect(namespace="/news", **transports)
    sent = [text.encode() if number % 2 else text for number, text in enumerate(numbered(50))]
    for part in sent:
        client.emit("tell me", part, 0)
    client.emit("tell me", "last", 0)
    client.recv("told", lambda part, *_: part == "last")
    assert [args[0] for args in client.received("told")] == [*sent, "last"]


# -- handlers


def test_a_sessions_handlers_run_in_order_and_block_no_other_session(site, connect):
    slow, quick = connect(namespace="/news"), connect(namespace="/news")
    site.close_gate()
    slow.emit("hold")
    site.wait_journal(slow.id, "hold")
    for number in range(20):
        slow.emit("work", number, 0.02 if number % 3 == 0 else 0)
    assert quick.call("echo", "I need not wait") == ["I need not wait"]
    assert site.journal(slow.id, "work") == []
    site.open_gate()
    assert slow.call("work", "last", 0) == ["last"]
    assert [value for _, value in site.journal(slow.id, "work")] == [*range(20), "last"]


def test_events_beyond_a_sessions_queue_are_dropped_and_it_lives(make_site, node):
    server = make_site(CHAT_QUEUE_SIZE="5")
    with connecting(node, server) as connect:
        chat = connect("ann")
        news = chat.share("/news")
        news.recv("connect")
        id = news.id
        news.emit("hold")
        server.wait_journal(id, "hold")
        for number in range(50):
            news.emit("note", number)
        chat.call("group_list")  # by its answer the server has read all events before it
        server.open_gate()
        server.wait_journal(id, "note", count=5)
        assert news.call("echo", "well") == ["well"]
        noted = [value for _, value in server.journal(id, "note")]
        assert noted == list(range(len(noted)))
        assert 5 <= len(noted) < 10
        server.wait_log("dropped")


def test_on_disconnect_is_called_though_the_queue_is_full(make_site, node):
    server = make_site(CHAT_QUEUE_SIZE="5")
    with connecting(node, server) as connect:
        client = connect(namespace="/news")
        id = client.id
        client.emit("hold")
        server.wait_journal(id, "hold")
        for number in range(50):
            client.emit("note", number)
        client.ask("disconnect")
        server.open_gate()
        assert server.wait_journal(id, "disconnected") == [("disconnected", "client namespace disconnect")]


@pytest.mark.parametrize("how", ["error", "exit"])
def test_a_handler_that_fails_harms_no_session(site, connect, how, transports):
    client, other = connect(namespace="/news", **transports), connect(namespace="/news")
    id = client.id
    client.emit("fail", how)
    with pytest.raises(Failed, match="timed out"):
        client.call("fail", how, timeout=0.5)
    assert client.call("echo", "alive") == ["alive"]
    assert other.call("echo", "me too") == ["me too"]
    assert client.id == id
    site.wait_log(f"a handler fails: {how}")


def test_an_event_without_a_handler_is_ignored(connect):
    client = connect(namespace="/news")
    client.emit("no handler", 1)
    client.emit("toString")
    client.emit("__proto__", {"a": 1})
    assert client.call("echo", "well") == ["well"]
