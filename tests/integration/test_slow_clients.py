"""Clients that are slow on purpose hold no server: heads and bodies that never end, responses that nobody reads.

Each input is the one that was found to stop the service, on a real gunicorn; others are served meanwhile.
"""

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.proxies import KINDS as PROXIES
from tests.proxies import Proxy
from tests.servers import Server
from tests.waiting import until

RECEIVE, SEND = 1.5, 1.5
#: Half of it is what one address may hold.
CONNECTIONS = 60
WORKERS = {
    "gevent": ("gunicorn-gevent", ("--worker-connections", CONNECTIONS)),
    "gthread": ("gunicorn-gthread", ("--threads", CONNECTIONS)),
}
HALF_LOGIN = (
    b"POST /api/login HTTP/1.1\r\nHost: chat\r\nContent-Type: application/json\r\n%b"
    b"Content-Length: 1000\r\n\r\n{"
)
HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: chat\r\nX-Slow: "
ENV = {"CHAT_RECEIVE_TIMEOUT": RECEIVE, "CHAT_SEND_TIMEOUT": SEND, "CHAT_RATE_LIMIT": 0}


@pytest.fixture(scope="module", params=WORKERS)
def site(request):
    kind, options = WORKERS[request.param]
    with Server(kind, ENV, options=options) as server:
        yield server


@pytest.fixture
def connect():
    """A function that opens a connection, from any address of this machine, and sends something."""
    with ExitStack() as stack:

        def connect(site, data, address="127.0.0.1", rcvbuf=None):
            sock = stack.enter_context(socket.socket())
            if rcvbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            sock.bind((address, 0))
            sock.settimeout(15)
            sock.connect(("127.0.0.1", site.port))
            sock.sendall(data)
            return sock

        yield connect


def get_from(connect, site, address, path="/healthz"):
    """The status of a request from another address of this machine."""
    sock = connect(
        site, b"GET %b HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n" % path.encode(), address
    )
    return int(read_all(sock).split()[1])


def read_all(sock):
    """Everything up to the end of the connection."""
    data = b""
    try:
        while piece := sock.recv(65_536):
            data += piece
    except ConnectionError:
        pass
    return data


def seconds_until_end(sock):
    started = time.monotonic()
    read_all(sock)
    return time.monotonic() - started


# -- what is received


@pytest.mark.parametrize("begun", [HALF_LOGIN % b"", HALF_HEAD], ids=["bodies", "heads"])
def test_others_are_served_while_one_address_begins_more_requests_than_the_worker_takes(site, connect, begun):
    for _ in range(3 * CONNECTIONS):
        connect(site, begun)
    started = time.monotonic()
    assert get_from(connect, site, "127.0.0.2") == 200
    assert time.monotonic() - started < RECEIVE  # it waited for none of them


@pytest.mark.parametrize("begun", [HALF_LOGIN % b"", HALF_HEAD], ids=["bodies", "heads"])
def test_a_request_that_is_sent_byte_by_byte_ends_in_time(site, connect, begun):
    sock = connect(site, begun)
    started = time.monotonic()
    with pytest.raises(ConnectionError):
        drip(sock, until=started + 20)
    assert time.monotonic() - started < 10


def drip(sock, until):
    """Send a byte now and then."""
    sock.settimeout(0.2)
    while time.monotonic() < until:
        sock.sendall(b" ")
        try:
            if not sock.recv(4096):
                raise ConnectionResetError
        except TimeoutError:
            pass


def test_a_chunked_body_ends_in_time(site, connect):
    head = b"POST /api/login HTTP/1.1\r\nHost: chat\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"
    assert seconds_until_end(connect(site, head)) < 10


def test_a_body_for_a_page_that_reads_none_ends_in_time(site, connect):
    assert seconds_until_end(connect(site, HALF_LOGIN.replace(b"/api/login", b"/nowhere") % b"")) < 10


def test_a_websocket_that_claims_a_body_is_limited_too(site, connect):
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    assert seconds_until_end(connect(site, HALF_LOGIN % upgrade)) < 10


def test_a_site_behind_a_proxy_counts_by_the_address_that_the_proxy_tells(connect):
    env = ENV | {"CHAT_TRUSTED_PROXIES": 1, "CHAT_MAX_REQUESTS_PER_IP": 8, "CHAT_RECEIVE_TIMEOUT": 20}
    with Server("gunicorn-gevent", env) as site:
        held = [connect(site, HALF_LOGIN % b"X-Forwarded-For: 2001:db8:1:2::5\r\n") for _ in range(8)]
        until(lambda: site.get("/healthz", {"X-Forwarded-For": "2001:db8:1:2:ffff::1"})[0] == 503)
        assert site.get("/healthz", {"X-Forwarded-For": "2001:db8:1:3::1"})[0] == 200
        status, headers, _ = site.get("/healthz", {"X-Forwarded-For": "2001:db8:1:2::5"})
        assert (status, headers["Retry-After"]) == (503, "5")
        for sock in held:
            sock.close()


@pytest.mark.parametrize("kind", PROXIES)
def test_others_are_served_behind_a_proxy(connect, kind):
    """The proxy takes as many as come; the site counts them by the address that it tells."""
    env = ENV | {"CHAT_TRUSTED_PROXIES": 1}
    with ExitStack() as stack:
        site = stack.enter_context(
            Server("gunicorn-gevent", env, options=("--worker-connections", CONNECTIONS))
        )
        proxy = stack.enter_context(Proxy(kind, [site, site]))
        for _ in range(3 * CONNECTIONS):
            sock = connect(proxy, b"")
            stack.enter_context(proxy.tls.wrap_socket(sock, server_hostname="127.0.0.1")).sendall(
                HALF_LOGIN % b""
            )
        started = time.monotonic()
        other = proxy.tls.wrap_socket(connect(proxy, b"", "127.0.0.2"), server_hostname="127.0.0.1")
        with stack.enter_context(other):
            other.sendall(b"GET /chat/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert read_all(other).split()[1] == b"200"
        assert time.monotonic() - started < RECEIVE


def test_polls_that_wait_are_not_counted(connect):
    env = ENV | {"CHAT_MAX_REQUESTS_PER_IP": 8}
    with Server("gunicorn-gevent", env) as site:
        for _ in range(12):
            _, _, opened = site.get("/socket.io/?EIO=4&transport=polling")
            sid = json.loads(opened[1:])["sid"]
            connect(
                site,
                f"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
            )
        assert site.get("/healthz")[0] == 200


def test_bodies_end_in_a_worker_of_gevents_own_server(connect):
    with Server("gunicorn-geventwebsocket", ENV) as site:
        assert seconds_until_end(connect(site, HALF_LOGIN % b"")) < 10
        assert site.get("/healthz")[0] == 200
        with site.socket("ann") as ann:
            ann.recv_json(type=2)


# -- what is sent


def test_a_file_that_nobody_reads_ends(site, connect):
    """The server sends files by sendfile, past the middleware."""
    request = b"GET /chat/static/css/sidebar.css HTTP/1.1\r\nHost: chat\r\n\r\n"
    sock = connect(site, request * 2_000, rcvbuf=4096)
    until(lambda: not is_connected(site, sock))


@pytest.fixture(scope="module")
def long_history(site):
    """The token of a user for whom the lobby holds messages of several megabytes."""
    with site.socket("ann") as ann:
        for number in range(200):
            ann.send_json({"type": 2, "data": "\U0001f600" * 9_000, "id": f"long{number}"})
            ann.recv_json(type=4, id=f"long{number}")
    return site.token("ann")


def history_request(token):
    return (
        b"GET /chat/api/rooms/lobby/messages?limit=200 HTTP/1.1\r\nHost: chat\r\n"
        b"Authorization: Bearer %b\r\n\r\n" % token.encode()
    )


def test_a_response_that_nobody_reads_ends(site, connect, long_history):
    """Requests are repeated on one connection, because the kernel takes several pages."""
    readers = [connect(site, history_request(long_history) * 100, rcvbuf=4096) for _ in range(5)]
    until(lambda: not any(is_connected(site, sock) for sock in readers))
    assert "Traceback" not in site.log()


def test_a_response_that_is_read_slowly_is_whole(site, connect, long_history):
    sock = connect(site, history_request(long_history), rcvbuf=4096)
    started, got, size = time.monotonic(), b"", None
    while size is None or len(got) < size:
        got += sock.recv(2048)
        if size is None and b"\r\n\r\n" in got:
            head, _, body = got.partition(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split()[0])
            got = body
        time.sleep(0.03)  # the pace of the reader
    assert time.monotonic() - started > 2 * SEND
    assert json.loads(got)["last_seq"] == 200


def is_connected(site, sock):
    """Whether the server's end of this connection exists, in any state."""
    ends = [f"{port:04X}" for port in (site.port, sock.getsockname()[1])]
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any([end.rpartition(":")[2] for end in line.split()[1:3]] == ends for line in lines)
