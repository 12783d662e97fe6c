"""A tick survives everything, and nobody waits for what another one does."""

import json
import threading
import time

import pytest

from tests.integration.failing_site import CLOSE_OTHERS, RAISE, SLEEP
from tests.integration.named_clients import entering, received_before, settle
from tests.servers import Server
from tests.tokens import token
from tests.wsclient import Closed, text_frame

KINDS = ["gunicorn-gevent", "gunicorn-gthread"]
APP = "tests.integration.failing_site:create_app()"
QUICK = {"CHAT_RATE_LIMIT": "0", "CHAT_ROSTER_GRACE": "0.2"}
RAISED = "RuntimeError: a handler of the site's own"
#: Seconds within which a message is heard that nothing holds up.
SOON = 1.0


@pytest.fixture(scope="module", params=KINDS)
def site(request):
    threads = ("--threads", "4") if request.param == "gunicorn-gthread" else ()
    with Server(request.param, QUICK, APP, threads) as server:
        yield server


@pytest.fixture
def enter(site):
    with entering(site) as enter:
        yield enter


def says_soon(speaker, *others, text="soon"):
    """Hold that what is said now is heard by all in no time."""
    began = time.monotonic()
    settle(speaker, *others, text=text)
    assert time.monotonic() - began < SOON


# -- handlers


def test_a_handler_that_raises_ends_its_own_connection_alone(site, enter):
    bad, good = enter("bad", "good")
    bad.send_raw(text_frame({"type": RAISE, "id": "x"}) + text_frame({"type": 2, "data": "after it"}))
    error = bad.recv_json(type=0)
    assert (error["code"], error["user"]) == ("internal", None)
    assert bad.wait_closed()[0] == 1011
    assert settle(good) == []
    assert all(b"after it" not in got.payload for got in good.log)
    wait_for_log(site, RAISED)


def wait_for_log(site, text, times=1):
    deadline = time.monotonic() + 10
    while site.log().count(text) < times:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # the log is written when it is written


def test_a_handler_that_raises_on_early_data_ends_its_own_connection_alone(site, enter):
    good = enter("good")
    with site.socket(token=token("hasty"), early=text_frame({"type": RAISE})) as hasty:
        assert hasty.recv_json(type=0)["code"] == "internal"
        assert hasty.wait_closed()[0] == 1011
    says_soon(good)


def test_a_client_whose_admission_fails_is_removed(site, enter):
    witness = enter("witness", query="&roster=diff")
    site.get("/fail-next-admission")
    early = text_frame({"type": 2, "data": "as who?"})
    with site.socket(token=token("unlucky"), early=early) as unlucky:
        assert unlucky.recv_json(type=0)["code"] == "internal"
        assert unlucky.wait_closed()[0] == 1011
    lucky = enter("lucky")
    assert settle(lucky, witness) == [[]]
    assert json.loads(site.get("/healthz")[2])["connections"] == 2


def test_a_user_kicked_during_admission_is_not_admitted(site, enter):
    witness = enter("witness", query="&roster=diff")
    site.get("/kick-next-user")
    with site.socket(token=token("late")) as late:
        assert json.loads(late.recv())["code"] == "token_invalid"
        assert late.wait_closed()[0] == 4401
    assert settle(witness) == []
    assert all(b"late" not in got.payload for got in witness.log)


def test_clients_closed_earlier_in_the_batch_are_skipped(enter):
    clients = enter(*(f"rival{i}" for i in range(6)))
    packet = text_frame({"type": CLOSE_OTHERS, "id": "x"}) + text_frame({"type": 2, "data": "I am left"})
    for client in clients:
        client.send_raw(packet)
    ends = [end_of(client) for client in clients]
    assert ends.count("left") == 1
    assert ends.count(4403) == len(clients) - 1
    survivor = clients[ends.index("left")]
    says_soon(survivor)


def end_of(client):
    """What became of a client: its close code, or that it heard itself."""
    try:
        client.recv_until(lambda m: m.get("data") == "I am left" and m["user"]["username"] == client.name)
    except Closed as closed:
        return closed.code
    return "left"


# -- the site's own code


def heard(site, name):
    """What the site's receiver has heard of one user."""
    return [text for who, text in json.loads(site.get("/heard")[2]) if who == name]


def wait_heard(site, name, texts):
    deadline = time.monotonic() + SLEEP + 10
    while heard(site, name) != texts:
        assert time.monotonic() < deadline, heard(site, name)
        time.sleep(0.05)  # only the receiver knows when it is done


def test_a_receiver_that_sleeps_delays_no_client(site, enter):
    sleeper, other = enter("sleeper", "other")
    sleeper.send_json({"type": 2, "data": "sleep"})
    received_before(other, "sleep")
    says_soon(sleeper, other, text="from the sleeper")
    says_soon(other, sleeper, text="from the other")
    began = time.monotonic()
    while "from the other" not in heard(site, "other"):
        assert time.monotonic() - began < SOON
    assert heard(site, "sleeper") == []
    sleeper.send_json({"type": 9, "data": token("sleeper")})
    sleeper.recv_json(type=9, timeout=SOON)
    wait_heard(site, "sleeper", ["sleep", "from the sleeper"])


@pytest.mark.parametrize("way", ["throw", "exit"])
def test_a_receiver_that_raises_is_logged_and_called_again(site, enter, way):
    name = f"{way}er"
    speaker = enter(name)
    for text in (way, "next", way, "last"):
        speaker.send_json({"type": 2, "data": text})
    wait_heard(site, name, ["next", "last"])
    wait_for_log(site, "site code failed")


# -- the log


def test_a_blocked_log_delays_no_tick(site, enter):
    bad, good = enter("bad", "good")
    done, told = [], site.log().count(RAISED)
    page = threading.Thread(target=lambda: done.append(site.get("/hold-the-log?seconds=1.5")[2]))
    page.start()
    received_before(good, "the log is held")
    began = time.monotonic()
    for _ in range(3):
        bad.send_json({"type": RAISE})
    assert bad.wait_closed()[0] == 1011
    says_soon(good)
    with site.socket(token=token("newcomer")) as newcomer:
        newcomer.recv_json(type=1)
        says_soon(newcomer, good, text="new here")
    assert time.monotonic() - began < 1.5
    assert not done
    page.join()
    assert done == ["released"]
    wait_for_log(site, RAISED, told + 1)


# -- its health


def test_healthz_reports_a_stopped_reactor(make_server):
    server = make_server(env=QUICK, app=APP)
    with server.socket(token=token("ann")) as ann:
        ann.recv_json(type=1)
        assert server.get("/healthz")[0] == 200
        assert server.get("/stop-the-reactor")[0] == 200
        deadline = time.monotonic() + 10
        while server.get("/healthz")[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # it is measured in time
        status, _, body = server.get("/healthz")
        assert (status, json.loads(body)["status"]) == (503, "stalled")
