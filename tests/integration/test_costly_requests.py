"""Requests that are small, or that nobody reads, and would have a worker to themselves: others are served meanwhile.

Each input is one with which a single connection stopped the service for seconds, or for good.
"""

import contextlib
import socket
import threading
import time

import pytest

from tests.servers import Server
from tests.waiting import until

WORKERS = ("gunicorn-gevent", "gunicorn-gthread")
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module", params=WORKERS)
def site(request):
    with Server(request.param) as server:
        yield server


def answer_to(site, data):
    """Return what the server answers until it closes the connection, or has answered."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=15) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := sock.recv(65_536):
                answer += piece
        return answer


def status_of(site, data):
    return int(answer_to(site, data).split()[1])


def login_head(*lines):
    return "\r\n".join(("GET /login HTTP/1.1", "Host: chat", "Connection: close", *lines, "", "")).encode()


def posted(headers, body, path="/login"):
    return f"POST {path} HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n{headers}\r\n\r\n".encode() + body


# -- heads


def test_a_head_of_hundreds_of_kilobytes_is_refused(site):
    assert status_of(site, login_head(*["Cookie: " + "a=b; " * 1600] * 90)) in (400, 431)


def test_a_head_that_a_browser_may_send_is_served(site):
    assert status_of(site, login_head(*["Cookie: " + "a=b; " * 1600] * 3)) == 200


def test_an_endless_list_of_languages_is_not_read(site):
    assert b'<html lang="zh' in answer_to(site, login_head("Accept-Language: zh"))
    assert b'<html lang="en' in answer_to(site, login_head("Accept-Language: zh," + "aa;q=0.1," * 900))


def test_others_are_served_while_a_connection_sends_thousands_of_requests_at_once(site):
    count, answered = 2_000, []
    with socket.create_connection(("127.0.0.1", site.port), timeout=15) as sock:

        def read():
            with contextlib.suppress(OSError):
                while piece := sock.recv(65_536):
                    answered.append(piece.count(b"HTTP/1.1 "))

        reader = threading.Thread(target=read)
        reader.start()
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: chat\r\n\r\n" * count)
        until(lambda: answered)
        assert status_of(site, login_head()) == 200
        assert sum(answered) < count / 2
        sock.shutdown(socket.SHUT_RDWR)
        reader.join()


# -- bodies


def test_a_form_of_thousands_of_fields_is_refused(site):
    body = b"a&" * 10_000
    assert status_of(site, posted(f"Content-Type: {FORM}\r\nContent-Length: {len(body)}", body)) == 413


def chunked(size, count):
    return b"%x\r\n%b\r\n" % (size, b"a" * size) * count + b"0\r\n\r\n"


def json_log_in(spaces):
    """A right log-in but for its name, in chunks of one byte."""
    body = b" " * spaces + b'{"username": "nobody", "password": "a password"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = "Content-Type: application/json\r\nTransfer-Encoding: chunked"
    return posted(head, chunks, "/api/login")


def test_a_body_in_thousands_of_tiny_chunks_is_not_read(site):
    assert status_of(site, json_log_in(spaces=5_000)) == 400


def test_a_body_in_some_chunks_is_read(site):
    assert status_of(site, json_log_in(spaces=10)) == 401


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
def test_others_are_served_while_a_body_is_sent_that_nobody_reads(site, is_chunked):
    head = "Transfer-Encoding: chunked" if is_chunked else "Content-Length: 100000000000"
    piece = chunked(1_000, 1_000)[:-5] if is_chunked else bytes(1 << 20)
    ended = threading.Event()

    def send():
        while not ended.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", site.port)) as sock:
                sock.settimeout(5)
                sock.sendall(f"GET /healthz HTTP/1.1\r\nHost: chat\r\n{head}\r\n\r\n".encode())
                while not ended.is_set():
                    sock.sendall(piece)

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    try:
        began = time.monotonic()
        for _ in range(10):
            assert status_of(site, login_head()) == 200
        assert time.monotonic() - began < 10
    finally:
        ended.set()
        for sender in senders:
            sender.join()
