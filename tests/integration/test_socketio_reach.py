"""What a site's code does with its Socket.IO clients on one worker: handshakes, middlewares, rooms, asks of rooms."""

import json
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime

import pytest
import socketio

from tests.integration.socketio_reach import ReachServer
from tests.integration.socketio_reach_site import NAMESPACE
from tests.integration.socketio_wire import Endpoint, PollingSession, WebSocketSession
from tests.servers import ROOT
from tests.socketio_node import Failed, connecting
from tests.tokens import token
from tests.waiting import until

#: Credentials that must not appear in a log.
SECRETS = {"Cookie": "session=cookie-secret", "Authorization": "Bearer header-secret"}
#: A timeout that a test never waits for.
LONG = 600


@pytest.fixture(scope="module")
def site():
    with ReachServer(env={"CHAT_LOG_LEVEL": "INFO", "ACCESS_LOG": "-"}) as server:
        yield server


@pytest.fixture
def endpoint(site):
    with Endpoint(site, "/socket.io/") as endpoint:
        yield endpoint


@pytest.fixture
def enter(connect):
    """enter("a", "b") is a client that is in those rooms."""
    return lambda *rooms, **options: connect(
        namespace=NAMESPACE, **{"auth": {"rooms": list(rooms)}, **options}
    )


def raw(session, auth=None, namespace=NAMESPACE):
    """Connect a raw session to a namespace, and return its id."""
    session.send(f"40{namespace},{json.dumps(auth or {})}")
    answer = session.receive()
    assert answer.startswith("40"), answer
    return json.loads(answer.partition(",")[2])["sid"]


def ask(session, event, *args, namespace=NAMESPACE):
    """The ack of a raw session's event."""
    session.send(f"42{namespace},7{json.dumps([event, *args])}")
    return json.loads(session.receive().partition(",7")[2])


# -- the handshake


def test_the_handshake_has_what_it_has_on_node(connect, transports):
    before = time.time() * 1000
    client = connect(
        namespace=NAMESPACE,
        auth={"e": "f"},
        query={"a": "b", "&a": "&=?a"},
        extraHeaders={"X-Custom": "of ours", **SECRETS},
        **transports,
    )
    (handshake,) = client.call("handshake")
    assert handshake["query"]["a"] == "b"
    assert handshake["query"]["&a"] == "&=?a"
    assert handshake["query"]["EIO"] == "4"
    assert handshake["query"]["transport"] == transports.get("transports", ["polling"])[0]
    assert handshake["auth"] == {"e": "f"}
    assert handshake["headers"]["x-custom"] == "of ours"
    assert handshake["headers"]["cookie"] == SECRETS["Cookie"]
    assert handshake["headers"]["authorization"] == SECRETS["Authorization"]
    assert handshake["address"] == "127.0.0.1"
    assert handshake["url"].startswith("/socket.io/?")
    assert before - 1000 < handshake["issued"] < time.time() * 1000 + 1000
    assert parsedate_to_datetime(handshake["time"]).timestamp() == handshake["issued"] // 1000
    assert handshake["secure"] is False
    assert handshake["xdomain"] is False


def test_a_query_in_the_address_of_a_namespace_is_the_handshakes(site, node):
    with connecting(node, site) as connect:
        client = connect(namespace=f"{NAMESPACE}?b=c&d=e")
        (handshake,) = client.call("handshake")
        assert (handshake["query"]["b"], handshake["query"]["d"]) == ("c", "e")


def test_a_query_in_a_packet_is_of_that_namespace_alone(endpoint):
    session = WebSocketSession(endpoint, here="1", lang="en", twice="x")
    raw(session, {}, f"{NAMESPACE}?lang=zh&more=2&more=3")
    (handshake,) = ask(session, "handshake")
    query = handshake["query"]
    assert (query["here"], query["lang"], query["more"]) == ("1", "zh", ["2", "3"])
    raw(session, {}, "/workspace-1")
    assert ask(session, "where", namespace="/workspace-1") == ["/workspace-1"]


def test_a_page_of_an_origin_is_told_from_others(site, endpoint):
    session = PollingSession(endpoint)
    raw(session)
    assert ask(session, "handshake")[0]["xdomain"] is False
    answer = endpoint.ask(headers={"Origin": site.url})
    session.sid = json.loads(answer.body[1:])["sid"]
    raw(session)
    assert ask(session, "handshake")[0]["xdomain"] is True


def test_the_handshake_of_a_python_client(site):
    client = socketio.SimpleClient(handle_sigint=False)
    client.connect(
        f"{site.url}?a=b", headers={"X-Custom": "ours"}, namespace=NAMESPACE, auth={"e": "f"},
        transports=["websocket"],
    )  # fmt: skip
    try:
        handshake = client.call("handshake")
    finally:
        client.disconnect()
    assert (handshake["query"]["a"], handshake["headers"]["x-custom"]) == ("b", "ours")
    assert handshake["auth"] == {"e": "f"}


def test_huge_headers_are_not_all_kept(endpoint):
    many = {f"X-Number-{number}": "y" * 4000 for number in range(8)}
    answer = endpoint.ask(headers={**many, "X-Last": "z"})
    session = PollingSession(endpoint)
    session.sid = json.loads(answer.body[1:])["sid"]
    raw(session)
    headers = ask(session, "handshake")[0]["headers"]
    assert 2 <= sum(name.startswith("x-number") for name in headers) <= 4


def test_a_handshake_that_is_logged_shows_no_credential(site, enter):
    client = enter(auth={"key": "auth-secret"}, query={"key": "query-secret"}, extraHeaders=SECRETS)
    assert client.call("log handshake") == ["logged"]
    log = site.wait_log("<Handshake from 127.0.0.1>")
    for secret in ("cookie-secret", "header-secret", "auth-secret"):
        assert secret not in log
    (line,) = [line for line in log.splitlines() if "<Handshake from" in line]
    assert "secret" not in line


# -- middlewares


def test_middlewares_run_in_their_order_before_on_connect(site, enter):
    client = enter()
    assert site.notes(client.id) == [["first"], ["second"], ["connected"]]
    assert client.call("state")[0]["data"] == {"checked": True}


@pytest.mark.parametrize(
    ("refuse", "error"),
    [
        (
            "plan",
            {"message": "The plan gold has expired.", "data": {"code": "plan_expired", "plan": "gold"}},
        ),
        ("plainly", {"message": "Refused", "data": None}),
        ("break", {"message": "internal", "data": None}),
        ("data", {"message": "No.", "data": None}),
    ],
)
def test_a_middlewares_refusal_reaches_the_client(site, connect, transports, refuse, error):
    before = len(site.notes())
    client = connect(namespace=NAMESPACE, auth={"refuse": refuse}, wait=False, **transports)
    assert client.recv("connect_error") == error
    assert client.received("connect") == []
    assert [note[0] for note in site.notes()[before:] if note[0] != "disconnected"] == ["first"]
    assert not client.state["reconnecting"]
    client.ask("auth", auth={})
    client.reconnect()
    assert client.call("nothing") == []


def test_the_refusal_of_a_python_client_is_typed(site):
    client = socketio.Client(handle_sigint=False, reconnection=False)
    errors = []
    client.on("connect_error", errors.append, namespace=NAMESPACE)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(site.url, namespaces=[NAMESPACE], auth={"refuse": "plan"}, transports=["websocket"])
    assert errors[0]["data"] == {"code": "plan_expired", "plan": "gold"}


def test_a_recovered_client_passes_the_middlewares_again(site, enter):
    client = enter("a")
    site.io("emit", "offset")
    client.recv("offset")
    id = client.id
    client.cut()
    assert client.reconnect()["recovered"]
    assert client.id == id
    assert site.notes(id)[-3:] == [["first"], ["second"], ["connected"]]


# -- dynamic namespaces


def test_a_pattern_allows_namespaces_by_their_whole_name(connect):
    client = connect(namespace="/workspace-101")
    assert client.call("where") == ["/workspace-101"]
    for name in ("/workspace-", "/workspace-1x", "/x/workspace-1", "/workspace-" + "1" * 300):
        refused = connect(namespace=name, wait=False)
        assert refused.recv("connect_error")["message"] == "Invalid namespace"


def test_a_named_namespace_comes_before_a_pattern(connect):
    assert connect(namespace="/workspace-7").call("where") == ["the named one"]


def test_a_function_allows_namespaces_by_name_and_auth(connect):
    client = connect(namespace="/tenant/acme", auth={"tenant": "acme"})
    assert client.call("where") == [["tenant", "/tenant/acme"]]
    refused = connect(namespace="/tenant/acme", auth={"tenant": "other"}, wait=False)
    assert refused.recv("connect_error")["message"] == "Invalid namespace"
    failed = connect(namespace="/tenant/acme", auth={"break": 1}, wait=False)
    assert failed.recv("connect_error")["message"] == "internal"


def test_a_dynamic_namespace_has_middlewares_events_and_disconnects(site, connect):
    refused = connect(namespace="/workspace-13", wait=False)
    assert refused.recv("connect_error")["message"] == "Unlucky."
    one, other = connect(namespace="/workspace-1"), connect(namespace="/workspace-2")
    site.io("emit", "news", "for 2", namespace="/workspace-2")
    site.io("emit", "news", "for 1", namespace="/workspace-1")
    assert one.recv("news")[0] == "for 1"
    assert other.recv("news")[0] == "for 2"
    id = one.id
    one.cut()
    assert one.reconnect()["recovered"]
    one.ask("disconnect")
    site.wait_note(id, "disconnected", "client namespace disconnect")


# -- acks


def test_a_handler_that_returns_nothing_acknowledges(enter, transports):
    assert enter(**transports).call("nothing") == []


def test_a_handler_that_returns_no_ack_does_not(enter):
    client = enter()
    with pytest.raises(Failed, match="timed out"):
        client.call("no ack", timeout=0.3)
    assert client.call("nothing") == []


def test_the_answers_of_a_room_are_gathered(site, enter, transports):
    clients = [enter("asked", **transports) for _ in range(3)]
    for number, client in enumerate(clients):
        client.reply("question", number)
    enter("elsewhere")
    assert sorted(site.io("call", "question", room="asked", timeout=LONG)) == [0, 1, 2]
    clients[0].reply("question", "a", "b")
    clients[1].ask("reply", event="question", args=[])
    assert sorted(site.io("call", "question", room="asked", timeout=LONG), key=str) == [2, ["a", "b"], []]


def test_answers_may_be_bytes(site, enter):
    enter("binary").reply("question", b"\x00\xff")
    assert site.io("call", "question", room="binary", timeout=LONG) == ["00ff"]


def test_who_did_not_answer_in_time_is_reported(site, enter):
    quick, slow = enter("half"), enter("half")
    quick.reply("question", "here")
    answer = site.io("call", "question", room="half", timeout=1)
    assert answer == {"came": ["here"], "missing": [slow.id], "complete": False}
    # Its late answer disturbs nothing, and it may be asked again.
    slow.reply("question", "here too")
    assert sorted(site.io("call", "question", room="half", timeout=LONG)) == ["here", "here too"]


def test_the_callback_gets_answers_and_missing(site, enter):
    quick, slow = enter("called"), enter("called")
    quick.reply("question", 5)
    site.io("ask", "question", room="called", timeout=0.5)
    until(lambda: ["answers", [5], [slow.id]] in site.notes())


def test_a_client_that_disconnects_is_not_waited_for(site, enter):
    quick, gone = enter("leaving"), enter("leaving")
    quick.reply("question", 5)
    id = gone.id
    site.io("ask", "question", room="leaving", timeout=LONG)
    gone.recv("question")
    gone.ask("disconnect")
    until(lambda: ["answers", [5], [id]] in site.notes())


def test_an_empty_room_answers_at_once(site):
    assert site.io("call", "question", room="nobody", timeout=LONG) == []


# -- volatile


def test_what_is_volatile_is_dropped_while_something_waits(site, endpoint):
    session = PollingSession(endpoint)
    raw(session, {"rooms": ["slow"]})
    for number in range(3):  # no poll takes them
        site.io("emit", "tick", number, room="slow", volatile=True)
    site.io("emit", "end", room="slow")
    assert session.receive() == f'42{NAMESPACE},["tick",0]'
    assert session.receive().startswith(f'42{NAMESPACE},["end"')


def test_a_burst_of_volatile_events_does_not_fill_the_outbox(site, endpoint):
    session = WebSocketSession(endpoint)
    id = raw(session)
    session.send(f'42{NAMESPACE},["burst",400]', f'42{NAMESPACE},["heard the burst"]')
    site.wait_note(
        id, "incoming", "heard the burst"
    )  # all were emitted, and the client has read none of the 40 MB
    session.send(f'42{NAMESPACE},9["nothing"]')
    received = 0
    while not (packet := session.receive()).startswith(f"43{NAMESPACE},9"):
        received += packet.startswith(f'42{NAMESPACE},["burst"')
    assert 0 < received < 400


def test_what_is_volatile_is_not_sent_after_a_recovery(site, enter):
    client = enter("cut")
    site.io("emit", "first", room="cut")
    client.recv("first")
    client.cut()
    site.io("emit", "told volatile", room="cut", volatile=True)
    site.io("emit", "kept", room="cut")
    assert client.reconnect()["recovered"]
    client.recv("kept")
    assert client.received("told volatile") == []


# -- skip, listeners


def test_skip_takes_several_sessions_and_rooms(site, enter):
    a, b, c, d = enter("all", "odd"), enter("all"), enter("all", "odd"), enter("all")
    site.io("emit", "news", 1, room="all", skip=["odd", b.id])
    site.io("emit", "end", room="all")
    for client in (a, b, c, d):
        client.recv("end")
    assert [len(client.received("news")) for client in (a, b, c, d)] == [0, 0, 0, 1]
    site.io("emit", "twice", room=["odd", "all", d.id])
    site.io("emit", "end", room="all")
    for client in (a, b, c, d):
        client.recv("end")
        assert len(client.received("twice")) == 1


def test_a_recovered_client_is_not_sent_what_skipped_it(site, enter):
    one, other = enter("both", "mine"), enter("both")
    for client in (one, other):
        site.io("emit", "first", room=client.id)
        client.recv("first")
    id = other.id
    one.cut()
    other.cut()
    site.io("emit", "news", "not one's", room="both", skip="mine")
    site.io("emit", "news", "not other's", room="both", skip=[id])
    site.io("emit", "news", "by its id", room=id)
    site.io("emit", "end", room="both")
    for client in (one, other):
        assert client.reconnect()["recovered"]
        client.recv("end")
    assert [args[0] for args in one.received("news")] == ["not other's"]
    assert [args[0] for args in other.received("news")] == ["not one's", "by its id"]


def test_a_listener_hears_every_event_from_clients(site, enter):
    client = enter()
    client.emit("heard without a handler", 1, {"a": 2})
    client.emit("heard", "two")
    client.call("nothing")
    incoming = [note for note in site.notes(client.id) if note[0] == "incoming"]
    assert incoming == [["incoming", "heard without a handler", 1, {"a": 2}], ["incoming", "heard", "two"]]


def test_a_listener_that_raises_stops_the_event(site, enter):
    client = enter()
    client.emit("stop")
    client.call("nothing")
    assert ["not stopped"] not in site.notes(client.id)


def test_a_listener_hears_every_event_to_clients(site, enter):
    one, other = enter("told"), enter("told")
    site.io("emit", "told", 1, [2], room="told")
    site.io("call", "told and asked", room=one.id, timeout=0.1)
    site.wait_note(one.id, "outgoing", "told and asked")
    site.wait_note(one.id, "outgoing", "told", "1", "[2]")
    site.wait_note(other.id, "outgoing", "told", "1", "[2]")


# -- sessions, rooms, disconnects


def test_sessions_of_a_room(site, enter):
    one, _ = enter("listed", "b"), enter("other")
    one.call("set", "n", 1)
    (found,) = site.io("sessions", "listed")
    assert found.pop("handshake")["auth"] == {"rooms": ["listed", "b"]}
    assert found == {
        "kind": "Connection",
        "id": one.id,
        "namespace": NAMESPACE,
        "user": None,
        "rooms": ["b", "listed"],
        "data": {"checked": True, "n": 1},
    }
    assert [one["id"] for one in site.io("sessions", ["listed", "b"])] == [one.id]
    assert site.io("sessions", "listed", skip="b") == []
    assert {one.id} < {one["id"] for one in site.io("sessions")}


def test_a_session_knows_its_user(site, enter):
    enter(auth={"token": token("ann"), "rooms": ["known"]})
    assert [one["user"] for one in site.io("sessions", "known")] == ["ann"]


def test_clients_join_and_leave_from_outside(site, enter):
    one, other = enter("base"), enter("base")
    site.io("join", ["x", "y"], room="base", skip=other.id)
    assert one.call("state")[0]["rooms"] == ["base", "x", "y"]
    assert other.call("state")[0]["rooms"] == ["base"]
    site.io("emit", "news", room="x")
    one.recv("news")
    site.io("leave", "x", room=one.id)
    assert one.call("state")[0]["rooms"] == ["base", "y"]


def test_clients_are_disconnected_by_room(site, enter):
    one, other = enter("closing"), enter("open")
    id = one.id
    site.io("disconnect", "closing")
    assert one.recv("disconnect") == "io server disconnect"
    site.wait_note(id, "disconnected", "server namespace disconnect")
    assert other.call("nothing") == []
    assert not one.state["active"]


def test_close_ends_the_other_namespaces_and_the_transport(site, connect, transports):
    first = connect(namespace="/workspace-1", **transports)
    second = first.share(NAMESPACE, auth={"rooms": ["whole"]})
    second.recv("connect")
    site.io("disconnect", "whole", close=True)
    assert second.recv("disconnect") == "io server disconnect"
    assert first.recv("disconnect") == "io server disconnect"
    assert site.io("sessions", "whole") == []


# -- wrong arguments, scripts


@pytest.mark.parametrize(
    ("method", "args", "options", "sentence"),
    [
        ("emit", ["disconnect"], {}, "'disconnect' is a name of Socket.IO's own"),
        ("call", ["connect"], {}, "'connect' is a name of Socket.IO's own"),
        ("emit", ["x"], {"namespace": "news"}, "must begin with a slash"),
        ("call", ["x"], {"timeout": 0}, "a number of seconds above 0"),
        ("join", [["a", 5]], {}, "A room's name is a text, not 5."),
        ("emit", ["x"], {"room": [None]}, "A room's name is a text, not None."),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(site, method, args, options, sentence):
    assert sentence in site.io(method, *args, **options)["refused"]


def test_a_script_beside_the_server_changes_rooms_and_disconnects(site, enter):
    client, other = enter("scripted"), enter("scripted", "spared")
    done = run_script(
        site,
        f"io.join('more', room='scripted', namespace={NAMESPACE!r})",
        f"io.emit('news', room='more', skip='spared', volatile=True, namespace={NAMESPACE!r})",
        f"io.disconnect('scripted', skip='spared', namespace={NAMESPACE!r})",
    )
    assert done.returncode == 0, done.stderr
    client.recv("news")
    assert client.recv("disconnect") == "io server disconnect"
    assert other.call("state")[0]["rooms"] == ["more", "scripted", "spared"]
    assert other.received("news") == []


def test_a_script_cannot_ask_clients(site):
    for line in (f"io.sessions(namespace={NAMESPACE!r})", f"io.call('x', namespace={NAMESPACE!r})"):
        done = run_script(site, line)
        assert "Only a process that serves clients can ask them" in done.stderr


def run_script(site, *lines):
    code = "\n".join(
        [
            "from tests.integration.socketio_reach_site import create_app",
            "io = create_app().extensions['chat'].io",
            *lines,
        ]
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=site.env, capture_output=True, text=True, timeout=60
    )


def test_no_test_left_an_error(site):
    """What was meant to fail is logged; nothing else is."""
    log = site.log()
    for line in log.splitlines():
        if line.startswith(("RuntimeError", "TypeError", "KeyError", "AttributeError", "ValueError")):
            assert line in (
                "RuntimeError: a middleware failed",
                "RuntimeError: the function failed",
                "RuntimeError: stopped",
            ), line
