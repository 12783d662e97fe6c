"""Taking sockets from a web server: an old gunicorn, a server that gives no access, and failures half-way."""

import os
from contextlib import suppress

import pytest

from tests.leftovers import descendants
from tests.servers import Server
from tests.waiting import until
from tests.wsclient import Closed, Refused, connect, text_frame

APP = "tests.integration.taking_site:create_app()"
GUNICORNS = ("gunicorn-gevent", "gunicorn-gthread")
TRIES = 20


@pytest.fixture(scope="module", params=GUNICORNS)
def site(request):
    with Server(request.param, {"OLD_GUNICORN": "1"}, APP) as server:
        yield server


def descriptors(server):
    """How many descriptors the server's processes have open."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (server.pid, *descendants(server.pid)))


def fail(site, query):
    """Open a socket that the server cannot serve; return its status, if it answered at all."""
    with suppress(ConnectionError, Closed, EOFError, TimeoutError):
        try:
            connect("127.0.0.1", site.port, f"/ws/chat?{query}").close()
        except Refused as refused:
            return refused.status
    return None


def warm_up(site):
    """Have the server open what it opens once: its database, its threads."""
    with site.socket("ann"):
        pass
    for _ in range(TRIES):
        site.get("/healthz")


def test_a_gunicorn_without_take_buffered_opens_sockets_and_passes_on_what_came_early(site):
    early = text_frame({"type": 2, "data": "with the handshake", "id": "early"})
    with site.socket("ann", early=early) as ann:
        assert ann.recv_until(lambda message: message.get("ref") == "early")[-1]["type"] == 4


def test_a_site_with_a_response_class_of_its_own_answers_no_taken_socket(site):
    with site.socket("ann") as ann:
        ann.recv_until(lambda message: message["type"] == 1)
        site.get("/login")
        log = site.wait_log("the site answers /login")
    assert "the site answers /ws/chat" not in log


@pytest.mark.parametrize("query", ["fail=buffer", "fail=reader", "token=fail"])
def test_a_socket_that_cannot_be_taken_or_parked_leaks_no_descriptor(site, query):
    warm_up(site)
    before = descriptors(site)
    for _ in range(TRIES):
        fail(site, query)
    until(lambda: descriptors(site) < before + TRIES / 2)
    with site.socket("ann") as ann:
        ann.recv_until(lambda message: message["type"] == 1)  # the server goes on


def test_a_server_that_gives_no_access_says_so_in_its_answer_and_once_in_its_log(site):
    with pytest.raises(Refused) as refused:
        connect("127.0.0.1", site.port, "/ws/chat?fail=reader")
    assert refused.value.status == 501
    assert b"gives the chat no access to its sockets" in refused.value.body
    fail(site, "fail=reader")
    with site.socket("ann") as ann:
        ann.recv_until(lambda message: message["type"] == 1)
    log = site.wait_log("gives the chat no access to its sockets")
    assert log.count("gives the chat no access to its sockets") == 1


@pytest.mark.parametrize("header", [{"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}])
def test_a_handshake_with_a_body_is_refused(site, header):
    with pytest.raises(Refused) as refused:
        connect("127.0.0.1", site.port, "/ws/chat?token=x", header, early=b"0\r\n\r\n")
    assert refused.value.status == 400
    assert b"no body" in refused.value.body
