"""The memory that one idle Socket.IO session takes, with the handshake of a browser."""

import gc
import resource
import socket
import tracemalloc

import pytest
from flask import Flask

from chat.rooms.arrivals import PATIENCE
from chat.rooms.client import Taken
from chat.store import migrate
from chat.web.socketio_routes import opening_request
from tests.socketio_processes import Line, Process, io_settings, new_clock

SESSIONS = 200
#: Bytes of one session at most, with its handshake and without. Measured on Python 3.11: 3,094 and 2,786, of which 140
#: are tables of the stepped driver and of queues that have grown with the number of tasks; before there were
#: handshakes, 2,666 and 2,534. The request, 590 characters, takes 168 of them; a dict of its headers took 1,541.
MOST = 3_150
#: That of a site without handlers of its own, which keeps no request.
MOST_WITHOUT = 2_850
BROWSER = {
    "Host": "site.example",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/144.0.0.0 "
    "Safari/537.36",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9,zh-CN;q=0.8,zh;q=0.7",
    "Origin": "https://site.example",
    "Referer": "https://site.example/chat/lobby",
    "Sec-Ch-Ua": '"Chromium";v="144", "Not(A:Brand";v="8", "Google Chrome";v="144"',
    "Sec-Ch-Ua-Mobile": "?0",
    "Sec-Ch-Ua-Platform": '"Linux"',
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def process(tmp_path):
    url = f"sqlite:///{tmp_path}/chat.db"
    migrate.upgrade(url)
    many = 10_000
    settings = io_settings(max_connections=many, max_connections_per_ip=many, max_connections_per_user=many)
    process = Process(url, settings, new_clock())
    yield process
    process.kill()
    while lines:
        lines.pop().cut()


#: The clients' ends of all connections.
lines = []


def opening(number, is_kept):
    """The request of one of many users of a browser."""
    cookie = f"session={number:08x}.eyJfZnJlc2giOnRydWUsIl91c2VyX2lkIjoi{number * 7919:020d}"
    with Flask("site").test_request_context(
        f"/socket.io/?EIO=4&transport=websocket&t=P{number:06x}", headers={**BROWSER, "Cookie": cookie}
    ) as context:
        return opening_request(context.request, is_kept)


def prepare(numbers):
    """Sockets for clients to come, and our ends of them."""
    pairs = {number: socket.socketpair() for number in numbers}
    for _, theirs in pairs.values():
        theirs.setblocking(False)
    made = {number: (ours.detach(), Line(theirs)) for number, (ours, theirs) in pairs.items()}
    lines.extend(line for _, line in made.values())
    return made


def connect(process, prepared):
    with process.scheduled():
        for number, (fd, line) in prepared.items():
            process.runtime.hub.reactor.call(
                process.runtime.io_engine.open_websocket,
                Taken(fd, b"", b""),
                opening(number, bool(process.events)),
            )
            line.send(f'40{{"token":"user{number}"}}')
            process.scheduler.run()
            line.receive()
        process.scheduler.run(
            PATIENCE + 1.0
        )  # until no timer is left that would have admitted it without the store
        for _, line in prepared.values():
            line.receive()


def bytes_grown(work, *args):
    gc.collect()
    tracemalloc.start()
    work(*args)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown


def grown_by_a_session(process):
    connect(process, prepare(range(20)))
    prepared = prepare(range(20, 20 + SESSIONS))
    grown = bytes_grown(connect, process, prepared) / SESSIONS
    assert len(process.runtime.io_engine.sessions) == 20 + SESSIONS
    return grown


def test_an_idle_session_takes_no_more_memory_than_it_did(process):
    assert grown_by_a_session(process) <= MOST_WITHOUT


def test_a_session_that_keeps_its_handshake_takes_little_more(process):
    process.events.add("/", "hello", print)
    assert grown_by_a_session(process) <= MOST
