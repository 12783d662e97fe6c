"""The proxies of deploy/ in front of two nodes on one database: what passes, what does not, what is kept where.

Time runs faster here than there: nginx bears READ_TIMEOUT seconds of silence, and the heartbeats are shorter too.
"""

import gc
import json
import re
import time
import warnings
from contextlib import ExitStack
from http.cookies import SimpleCookie

import pytest

from chat.web.assets import DIST
from tests.built import build
from tests.integration.through_proxy import (
    POLLING,
    enter,
    enter_from,
    open_session,
    socketio_client,
    trusting,
)
from tests.proxies import KINDS, READ_TIMEOUT, Proxy
from tests.servers import Server
from tests.tokens import token
from tests.waiting import until
from tests.wsclient import TIMEOUT, Refused

APP = "tests.integration.draining_site:create_app()"
ENV = {
    "CHAT_TRUSTED_PROXIES": "1",
    "CHAT_RATE_LIMIT": "0",
    "CHAT_METRICS": "1",
    "CHAT_MAX_CONNECTIONS_PER_IP": "1000",  # all clients have one address, and polling sessions end by their timeout
    "CHAT_PING_INTERVAL": "0.6",
    "CHAT_IO_PING_INTERVAL": "0.6",
}
STRANGER, PRETENDED = "127.0.0.2", "203.0.113.9"

#: python-socketio's client forgets to close some of its sockets.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module")
def make_node(fresh_database):
    """make_node("a") is a node of that name, which has not been started; all have one database."""
    env = ENV | {"CHAT_DATABASE_URL": fresh_database("sqlite")}
    return lambda name: Server("gunicorn-gevent", env | {"CHAT_NODE": name}, APP)


@pytest.fixture(scope="module")
def nodes(make_node):
    """Two nodes, a and b, which nobody stops."""
    with ExitStack() as stack:
        both = [make_node(name) for name in "ab"]
        for node in both:
            stack.callback(node.stop)
            node.launch()
        for node in both:
            node.wait_ready()
        yield both


@pytest.fixture(scope="module", params=KINDS)
def site(request, nodes):
    """A proxy in front of them."""
    with Proxy(request.param, nodes) as proxy:
        yield proxy


@pytest.fixture
def node(make_node):
    """A node a of the test's own, which it may stop."""
    with make_node("a") as own:
        yield own


@pytest.fixture(params=KINDS)
def own_site(request, node, nodes):
    """A proxy in front of it and the b that nobody stops."""
    with Proxy(request.param, [node, nodes[1]]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def built():
    """The front end's files by the names that templates know, built if they have changed."""
    build()
    return json.loads((DIST / "manifest.json").read_text())


@pytest.fixture
def browser(site):
    """An HTTP client with cookies, which trusts the certificate and sends what a browser sends with a form."""
    with trusting(site) as session:
        session.headers["Referer"] = session.headers["Origin"] = site.url
        yield session


@pytest.fixture
def connect():
    """connect(site, "ann", transports=…) is a stock Socket.IO client in the chat; disconnected at the end."""
    with ExitStack() as stack:
        yield lambda site, name, **options: stack.enter_context(socketio_client(site, name, **options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # what the client has left open goes here, and not during somebody else's test


# -- pages


def test_a_user_registers_and_opens_the_chat_over_tls(site, browser):
    form = browser.get(f"{site.url}/register")
    fields = {"username": f"ann-{site.kind}", "password": "correct horse"}
    fields["csrf_token"] = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)[1]
    arrived = browser.post(f"{site.url}/register", data=fields)
    assert (arrived.status_code, arrived.url) == (200, f"{site.url}/chat")
    assert f"wss://127.0.0.1:{site.port}" in arrived.headers["Content-Security-Policy"]
    cookies = SimpleCookie(form.headers["Set-Cookie"])
    assert cookies and all(cookie["secure"] for cookie in cookies.values())
    told = browser.post(f"{site.url}/chat/token").json()
    with site.socket(token=told["token"], headers={"Origin": site.url}) as client:
        assert client.recv_json(type=1)


def test_plain_http_is_redirected_to_tls(site):
    with trusting(site) as session:
        answer = session.get(f"http://127.0.0.1:{site.http_port}/chat?a=1", allow_redirects=False)
    assert answer.status_code == 308
    assert re.fullmatch(r"https://127\.0\.0\.1(:\d+)?/chat\?a=1", answer.headers["Location"])


def test_metrics_are_not_served_outside(site, nodes):
    assert "chat_connections" in nodes[0].get("/metrics")[2]
    for path in ("/metrics", "//metrics", "/%6detrics", "/metrics?x=1"):
        status, _, body = site.get(path)
        assert status in (308, 404) and "chat_connections" not in body, path


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_a_body_that_is_too_long_is_refused_by_the_proxy(site, nodes):
    headers = {"Content-Type": "application/json"}
    assert site.request("POST", "/api/login", "x" * (256 * 1024 + 1), headers)[0] == 413
    assert not any('"POST /api/login' in node.log() for node in nodes)


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_shared_files_are_fetched_from_a_node_once(site, nodes):
    path = "/chat/static/js/connection.js"
    answers = [site.get(path) for _ in range(30)]
    assert {status for status, _, _ in answers} == {200}
    assert sum(node.log().count(f"GET {path}") for node in nodes) <= 2
    status, _, body = site.get(path, {"If-None-Match": answers[0][1]["ETag"]})
    assert (status, body) == (304, "")
    assert "no-cache" in answers[0][1]["Cache-Control"]


def test_built_files_come_compressed_and_stay_in_the_browser(site, nodes, built, browser):
    path = f"/chat/static/dist/{built['page.js']}"
    for encoding in ("br", "gzip"):
        answers = [browser.get(site.url + path, headers={"Accept-Encoding": encoding}) for _ in range(15)]
        assert {answer.headers["Content-Encoding"] for answer in answers} == {encoding}
        assert {answer.headers["Cache-Control"] for answer in answers} == {
            "public, max-age=31536000, immutable"
        }
        assert {answer.headers["Vary"] for answer in answers} == {"Accept-Encoding"}
    plain = browser.get(site.url + path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == (DIST / built["page.js"]).read_bytes()
    if site.kind == "nginx":
        assert sum(node.log().count(f"GET {path}") for node in nodes) <= 6


def test_pages_come_uncompressed(site, browser):
    assert "Content-Encoding" not in browser.get(f"{site.url}/login").headers


# -- sockets


def test_a_socket_carries_messages_both_ways(site):
    with enter(site, "ann") as ann, enter(site, "bob") as bob:
        ann.send_json({"type": 2, "data": "你好", "id": f"hello-{site.kind}"})
        assert bob.recv_json(type=2, data="你好")["user"]["username"] == "ann"
        bob.send_json({"type": 2, "data": "你也好"})
        assert ann.recv_json(type=2, data="你也好")["user"]["username"] == "bob"


def test_a_silent_socket_is_kept_open_by_its_heartbeat(site):
    with enter(site, "ann", query="&roster=diff") as ann:
        silent_until = time.monotonic() + 1.5 * READ_TIMEOUT
        while (left := silent_until - time.monotonic()) > 0:
            listen(ann, left)
        ann.send_json({"type": 2, "data": "still here", "id": f"still-{site.kind}"})
        ann.recv_json(type=4, ref=f"still-{site.kind}")


def listen(client, seconds):
    try:
        client.recv(seconds)
    except TimeoutError:
        return


def test_a_foreign_page_is_refused(site):
    with pytest.raises(Refused) as refused:
        site.socket(token=token("ann"), headers={"Origin": "https://evil.example"})
    assert refused.value.status == 403
    with enter(site, headers={"Origin": site.url}):
        pass


@pytest.mark.parametrize(
    ("origin", "lie"),
    [
        ("https://evil.example", {"X-Forwarded-Host": "evil.example"}),
        ("https://evil.example", {"Forwarded": "host=evil.example"}),
        ("https://127.0.0.1:1", {"X-Forwarded-Port": "1"}),
    ],
)
def test_no_client_can_choose_the_sites_host_name(site, origin, lie):
    with pytest.raises(Refused) as refused:
        site.socket(token=token("ann"), headers={"Origin": origin, **lie})
    assert refused.value.status == 403


def test_the_site_sees_the_clients_real_address(site, nodes):
    name = f"stranger-{site.kind}"
    lies = {"X-Forwarded-For": PRETENDED, "X-Real-IP": PRETENDED, "Forwarded": f"for={PRETENDED}"}
    with enter_from(STRANGER, site, name, lies):
        until(lambda: entries_of(nodes, name))
    assert entries_of(nodes, name) == [STRANGER]


def entries_of(nodes, name):
    """The addresses from which a user came, as the nodes have noted them."""
    line = re.compile(rf'(\S+) "GET /ws/chat" 101 user id-{re.escape(name)}\b')
    return [address for node in nodes for address in line.findall(node.log())]


# -- Socket.IO


@pytest.mark.parametrize(
    "transports", [None, ["polling"], ["websocket"]], ids=["default", "polling", "websocket"]
)
def test_stock_clients_stay_on_the_node_of_their_session(site, connect, transports):
    clients = [connect(site, f"io{number}", transports=transports) for number in range(10)]
    for _ in range(5):
        for client in clients:
            assert client.call("group_list", timeout=TIMEOUT)["type"] == 1
    wanted = "polling" if transports == ["polling"] else "websocket"
    assert {client.transport() for client in clients} == {wanted}
    assert {client.eio.sid[:2] for client in clients} == {"a.", "b."}


def test_a_poll_is_held_until_there_is_a_packet(site, connect):
    listener = connect(site, "listener", transports=["polling"])
    heard = []
    listener.on("group_chat", lambda message, *_: heard.append(message))
    time.sleep(1.5 * READ_TIMEOUT)  # what is shown is that nothing happens in so long a time
    assert listener.connected
    with enter(site, "speaker") as speaker:
        speaker.send_json({"type": 2, "data": f"after silence, {site.kind}"})
        until(lambda: any(m["data"].startswith("after silence") for m in heard))


# -- a node that is away


def test_a_node_that_is_down_is_skipped_until_it_is_back(own_site, node):
    node.end()
    for number in range(8):
        assert own_site.get("/login")[0] == 200
        enter(own_site, f"ann{number}").sock.close()
        assert open_session(own_site).startswith("b.")
    assert own_site.get(f"{POLLING}&sid=a.gone")[0] == 502
    node.start()
    until(lambda: open_session(own_site).startswith("a."))
    assert own_site.get(f"{POLLING}&sid=a.gone")[0] == 400


def test_a_draining_node_is_skipped(own_site, node, connect):
    assert node.get("/drain")[0] == 200
    with pytest.raises(Refused) as refused:
        node.socket(token=token("ann"))
    assert refused.value.status == 503
    for number in range(8):
        enter(own_site, f"ann{number}").sock.close()
        assert open_session(own_site).startswith("b.")
        assert connect(own_site, "ann", transports=["websocket"]).eio.sid.startswith("b.")


# -- logs


def test_no_log_of_the_proxy_has_a_token(own_site, node):
    node.end()
    secret = token("ann")
    own_site.socket(token=secret).close()
    referer = {"Referer": f"{own_site.url}/?token={secret}"}
    for query in (
        f"&token={secret}",
        f"&%74oken={secret}",
        f"&sid={secret}",
        f"&x='&token={secret}&sid=a.gone",
    ):
        own_site.get(POLLING + query, referer)
    own_site.get(f"/account/reset?key={secret}", referer)
    with pytest.raises(Refused):
        own_site.socket(token=secret, headers={"Origin": "https://evil.example"})
    with trusting(own_site) as session:
        insecure = f"http://127.0.0.1:{own_site.http_port}/ws/chat?token={secret}"
        session.get(insecure, allow_redirects=False)
    until(lambda: own_site.logged().count("/ws/chat") >= 3)
    until(lambda: own_site.logged().count("/socket.io/") >= 2)
    assert secret[:40] not in own_site.logged()
