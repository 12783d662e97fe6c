"""python-socketio's client against the server: the most used implementation after socket.io-client."""

import gc
import queue
import time
import warnings

import engineio
import pytest
import socketio

from chat.wire.errors import EXPIRED, FAILURES
from tests.integration.named_clients import entering
from tests.integration.socketio_server import SocketIOServer
from tests.tokens import token

TRANSPORTS = {"default": None, "polling": ["polling"], "websocket": ["websocket"]}
GREETING = {"type": 2, "user": None, "data": "欢迎欢迎,热烈欢迎,进入聊天室"}
#: Seconds that a wait lasts by default; a test that passes needs far less.
TIMEOUT = 10.0


#: The client leaves some of its sockets open when a server ends.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def collected():
    """Collect the garbage of the client here, and not during a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Listener:
    """One client, and the events that it receives in each namespace, connect and disconnect included."""

    def __init__(self, *namespaces, **options):
        self.client = socketio.Client(handle_sigint=False, **options)
        self.inbox = {namespace: queue.Queue() for namespace in namespaces}
        self.replies = {}
        for namespace in namespaces:
            self._listen(namespace)

    def _listen(self, namespace):
        put = self.inbox[namespace].put

        def take_event(event, *args):
            put((event, args))
            return self.replies.get(event)

        self.client.on("*", take_event, namespace=namespace)
        for event in ("connect", "disconnect", "connect_error"):
            self.client.on(event, lambda *args, event=event: put((event, args)), namespace=namespace)

    def recv(self, event, wanted=lambda *args: True, namespace="/"):
        """The arguments of the next `event` that is `wanted`; others before it are skipped."""
        deadline = time.monotonic() + TIMEOUT
        seen = []
        while True:
            try:
                seen.append(self.inbox[namespace].get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                raise TimeoutError(f"{event} is not among {seen[-5:]}") from None
            if seen[-1][0] == event and wanted(*seen[-1][1]):
                return seen[-1][1]

    def next_message(self, event, namespace="/", **fields):
        """The next message under `event` that has these fields."""
        return self.recv(event, lambda m, *_: all(m.get(k) == v for k, v in fields.items()), namespace)[0]

    def call(self, event, *args, namespace="/"):
        return self.client.call(event, args, namespace=namespace, timeout=TIMEOUT)


@pytest.fixture(scope="module")
def site():
    # A client that polls may not send its last packet; its poll is then answered by the next ping (by default, 25 s).
    with SocketIOServer(env={"CHAT_IO_PING_INTERVAL": 3}) as server:
        yield server


@pytest.fixture
def connect(site):
    """connect("ann", "/", "/news", transports=…) is a Listener that has connected; disconnected at the end."""
    opened = []

    def connect(name, *namespaces, at=site, transports=None, auth=None, query="", **options):
        listener = Listener(*(namespaces or ("/",)), **options)
        opened.append(listener.client)
        auth = {"token": token(name)} if auth is None else auth
        listener.client.connect(at.url + query, auth=auth, transports=transports, wait_timeout=TIMEOUT)
        return listener

    yield connect
    for client in opened:
        client.shutdown()


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


@pytest.fixture(params=TRANSPORTS.values(), ids=TRANSPORTS)
def transports(request):
    return request.param


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """The client handles packets in the thread that reads them.

    By default each packet has a thread of its own. So bytes may overtake the packet that announces them, and the end of
    a session the message before it.
    """
    trigger = engineio.Client._trigger_event

    def trigger_at_once(client, event, *args, run_async=False, **options):
        return trigger(client, event, *args, run_async=run_async and event != "message", **options)

    monkeypatch.setattr(engineio.Client, "_trigger_event", trigger_at_once)


# -- transports, acknowledgements, bytes


def test_every_transport_carries_events(connect, transports):
    ann = connect("ann", transports=transports)
    assert ann.client.transport() == ("polling" if transports == ["polling"] else "websocket")
    for number in range(5):
        assert ann.call("wave", number) == ["ann", number]


def test_acks_work_in_both_directions(site, connect, transports):
    news = connect("ann", "/news", transports=transports)
    assert news.call("echo", 1, "two", {"three": [3]}, namespace="/news") == (1, "two", {"three": [3]})
    news.replies["question"] = "blue"
    assert news.call("call me", "which colour?", namespace="/news") == {"answer": "blue"}
    assert news.recv("question", namespace="/news") == ("which colour?",)
    news.replies["question"] = ("red", {"and": "green"})
    news.client.emit("ask me", "and now?", namespace="/news")
    id = news.client.get_sid("/news")
    assert site.wait_journal(id, "answer") == [("answer", ["red", {"and": "green"}])]


def test_bytes_travel_both_ways(connect, transports):
    news = connect("ann", "/news", transports=transports)
    data = bytes(range(256))
    assert news.call("reverse", data, namespace="/news") == (data[::-1], {"of": 256})
    assert news.next_message("reversed", namespace="/news") == {"data": data[::-1]}
    sent = ("text", {"a": [b"", {"b": b"\x00\xff"}]}, b"x" * 60_000)
    assert news.call("echo", *sent, namespace="/news") == sent
    news.replies["question"] = b"\x01"
    assert news.call("call me", b"?", namespace="/news") == {"answer": b"\x01"}


def test_many_events_arrive_in_order(connect, transports):
    news = connect("ann", "/news", transports=transports)
    for number in range(200):
        news.client.emit("tell me", (number, {"pad": "x" * 300}), namespace="/news")
    told = [news.recv("told", namespace="/news")[0] for _ in range(200)]
    assert told == list(range(200))


# -- namespaces, on_connect


def test_two_namespaces_share_one_connection(site, connect, transports):
    both = connect("ann", "/", "/news", transports=transports)
    assert both.client.get_sid("/") != both.client.get_sid("/news")
    assert both.call("wave") == ["ann"]
    assert both.call("about", namespace="/news")["identity"] == {"id": "id-ann", "username": "ann"}
    site.emit("bulletin", "for readers")
    site.emit("bulletin", "for talkers", namespace="/")
    assert both.recv("bulletin", namespace="/news")[0] == "for readers"
    assert both.recv("bulletin")[0] == "for talkers"


def test_a_refusal_carries_its_reason(site):
    listener = Listener("/news")
    with pytest.raises(socketio.exceptions.ConnectionError, match="/news"):
        listener.client.connect(site.url, auth={"refuse": "We are full"}, wait_timeout=TIMEOUT)
    assert listener.recv("connect_error", namespace="/news") == (
        {"message": "We are full", "data": {"try": "later"}},
    )


@pytest.mark.parametrize(
    ("made", "code"), [(lambda: token("ann", ttl=-1), "token_expired"), (lambda: "x", "token_invalid")]
)
def test_a_bad_token_is_refused_with_a_reason(site, made, code, transports):
    listener = Listener("/")
    with pytest.raises(socketio.exceptions.ConnectionError):
        listener.client.connect(site.url, auth={"token": made()}, transports=transports, wait_timeout=TIMEOUT)
    assert listener.recv("connect_error") == ({"message": EXPIRED, "data": {"code": code}},)


# -- the chat


def test_chat_messages_are_those_of_the_raw_wire(connect, enter, transports):
    ann, raw = connect("ann", transports=transports), enter("raw")
    assert ann.next_message("group_chat") == GREETING
    ann.client.emit("group_chat", {"data": "你好 🎉"})
    said = raw.recv_json(type=2, data="你好 🎉")
    assert said["user"] == {"id": "id-ann", "username": "ann"}
    assert ann.next_message("group_chat", id=said["id"]) == said
    raw.send_json({"type": 3, "to": "ann", "data": "psst", "id": f"p{time.monotonic_ns()}"})
    ack = raw.recv_json(type=4)
    told = ann.next_message("single_chat")
    assert (told["user"]["username"], told["to"], told["data"]) == ("raw", "ann", "psst")
    assert {key: told[key] for key in ("id", "room", "seq", "ts")} == {
        key: ack[key] for key in ("id", "room", "seq", "ts")
    }
    answer = ann.call("single_chat", {"to": "raw", "data": "hush"})
    told = raw.recv_json(type=3)
    assert answer == {key: told[key] for key in ("id", "room", "seq", "ts")}
    roster = ann.call("group_list")
    assert {"id": "id-raw", "username": "raw"} in roster["data"]


def test_errors_are_acks_or_events(connect):
    ann = connect("ann")
    told = ann.call("single_chat", {"to": "nobody here", "data": "a", "id": "u1"})
    assert told == {"error": "unknown_user", "data": FAILURES["unknown_user"].en, "ref": "u1"}
    ann.client.emit("single_chat", {"data": "a", "id": "u2"})
    assert ann.next_message("chat_error") == {
        "type": 0,
        "user": None,
        "data": FAILURES["missing_to"].en,
        "code": "missing_to",
        "ref": "u2",
    }


def test_the_client_may_ask_for_roster_diffs(connect, enter):
    ann = connect("ann", query="?roster=diff")
    enter("carl")
    # Changes are batched: the one that names carl may name users who joined just before.
    carl = {"id": "id-carl", "username": "carl"}
    assert ann.recv("roster_diff", lambda message: carl in message["joined"])[0]["room"] == "lobby"


# -- the end of a session, and reconnecting


def test_a_kicked_user_is_told_and_does_not_reconnect(site, connect, transports):
    name = f"python-{transports and transports[0]}"
    ann = connect(None, auth={"token": site.user(name)}, transports=transports, reconnection_delay=0.1)
    site.kick(name)
    assert ann.next_message("chat_error")["code"] == "kicked"
    assert ann.recv("disconnect")[0] == ann.client.reason.SERVER_DISCONNECT
    ann.client.wait()
    assert not ann.client.connected
    assert ann.inbox["/"].empty()


def test_the_client_reconnects_after_a_restart(connect, transports):
    with SocketIOServer() as server:
        options = {"reconnection_delay": 0.1, "reconnection_delay_max": 0.2, "randomization_factor": 0}
        ann = connect("ann", "/", "/news", at=server, transports=transports, **options)
        ann.recv("connect")
        server.restart()
        for namespace in ("/", "/news"):
            ann.recv("disconnect", namespace=namespace)
            ann.recv("connect", namespace=namespace)
        assert ann.call("wave") == ["ann"]
        ann.client.shutdown()
