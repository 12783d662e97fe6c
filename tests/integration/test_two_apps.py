"""Two apps with chat in one process do not meet: not their users, rooms, tokens, handlers, nor signals."""

import json
import signal
from contextlib import ExitStack

import pytest

from tests import wsclient
from tests.integration.two_sites import COMPASS
from tests.servers import Server
from tests.wsclient import Closed

APP = "tests.integration.two_sites:create_app()"
BASES = {"north": "/north/talk", "south": "/south"}


@pytest.fixture(params=["gunicorn-gevent", "gunicorn-gthread"])
def both(request):
    with Server(request.param, {"CHAT_ROSTER_GRACE": "0.2"}, APP) as server:
        yield server


@pytest.fixture
def enter(both):
    """Open a socket of somebody in one of the sites: enter("north", "anna"); `token` lends another's."""
    with ExitStack() as stack:

        def open_socket(site, name, token=None):
            path = f"{BASES[site]}/ws/chat?token={token or token_of(both, site, name)}"
            return stack.enter_context(wsclient.connect("127.0.0.1", both.port, path))

        yield open_socket


def token_of(server, site, name):
    return server.post_json(f"{BASES[site]}/chat/token", {}, {"X-Visitor": name})[1]["token"]


def state(server, site):
    return json.loads(server.get(f"/{site}/state")[2])


def names_in(message):
    return {user["username"] for user in json.loads(message["data"])} if message["type"] == 1 else set()


def test_each_hears_and_sees_its_own_alone(both, enter):
    anna, ben = enter("north", "anna"), enter("north", "ben")
    olga, anna_south = enter("south", "olga"), enter("south", "anna")
    anna.recv_until(lambda m: names_in(m) == {"anna", "ben"})
    olga.recv_until(lambda m: names_in(m) == {"olga", "anna"})
    anna.send_json({"type": 2, "data": "north wind"})
    olga.send_json({"type": 2, "data": "south wind"})
    assert ben.recv_json(type=2, data="north wind")["seq"] == 1
    assert anna_south.recv_json(type=2, data="south wind")["seq"] == 1
    for client in (anna, ben, olga, anna_south):
        client.send_json({"type": 1})
        client.recv_until(lambda m: m["type"] == 1)
    winds = {"north wind", "south wind"}
    heard = [
        {m["data"] for frame in client.log if (m := json.loads(frame.payload))["data"] in winds}
        for client in (anna, ben, olga, anna_south)
    ]
    assert heard == [{"north wind"}, {"north wind"}, {"south wind"}, {"south wind"}]
    assert set(state(both, "north")["here"]) == {"anna", "ben"}
    assert set(state(both, "south")["here"]) == {"anna", "olga"}


def test_what_one_site_says_the_other_does_not_hear(both, enter):
    anna, olga = enter("north", "anna"), enter("south", "olga")
    both.request("POST", "/north/announce/snow")
    both.request("POST", "/south/announce/sun")
    assert anna.recv_until(lambda m: m.get("data") in {"snow", "sun"})[-1]["data"] == "snow"
    assert olga.recv_until(lambda m: m.get("data") in {"snow", "sun"})[-1]["data"] == "sun"


def test_nobody_reaches_a_user_of_the_other_site(both, enter):
    anna, _ = enter("north", "anna"), enter("south", "olga")
    anna.send_json({"type": 3, "to": "olga", "data": "over there?", "id": "d1"})
    assert anna.recv_json(type=0)["code"] == "unknown_user"


def test_a_token_of_one_site_is_none_of_the_other(both, enter):
    stranger = enter("south", "anna", token=token_of(both, "north", "anna"))
    assert stranger.recv_json(type=0)["code"] == "token_invalid"
    assert stranger.wait_closed()[0] == 4401
    assert state(both, "south")["here"] == []


def test_a_kick_ends_the_sockets_of_one_site(both, enter):
    anna, anna_south = enter("north", "anna"), enter("south", "anna")
    anna.recv_json(type=1)
    both.request("POST", "/north/kick/anna")
    with pytest.raises(Closed) as end:
        anna.recv_until(lambda m: False)
    assert end.value.code == 4403
    anna_south.send_json({"type": 2, "data": "still here"})
    assert anna_south.recv_json(type=2, data="still here")


def test_a_handler_of_one_site_is_unknown_in_the_other(both, enter):
    anna, olga = enter("north", "anna"), enter("south", "olga")
    for client in (anna, olga):
        client.send_json({"type": COMPASS})
    assert anna.recv_until(lambda m: m["type"] in {0, COMPASS})[-1] == {"type": COMPASS}
    assert olga.recv_until(lambda m: m["type"] in {0, COMPASS})[-1]["code"] == "unknown_type"


def test_a_receiver_hears_the_app_that_it_asked_for(both, enter):
    anna, olga = enter("north", "anna"), enter("south", "olga")
    anna.send_json({"type": 2, "data": "hei"})
    olga.send_json({"type": 2, "data": "ciao"})
    olga.recv_json(type=2, data="ciao")
    for client in (anna, olga):
        client.ping()
    heard = [state(both, "north")["heard"], state(both, "south")["heard"]]
    assert heard == [[["north", "anna", "hei"]], [["south", "olga", "ciao"]]]


@pytest.mark.parametrize("site", BASES)
def test_the_page_knows_where_its_site_is_mounted(both, site):
    status, _, body = both.get(f"{BASES[site]}/chat", {"X-Visitor": "anna"})
    assert status == 200
    assert f'"socketPath": "{BASES[site]}/ws/chat"' in body
    assert f'"{BASES[site]}/chat/static/js/page.js"' in body


def test_the_end_is_told_in_both_sites(both, enter):
    anna, olga = enter("north", "anna"), enter("south", "olga")
    for client in (anna, olga):
        client.recv_json(type=1)
    both.signal(signal.SIGTERM)
    assert [client.wait_closed()[0] for client in (anna, olga)] == [1012, 1012]
