"""Two apps with chat in one process do not meet: not their users, rooms, tokens, handlers, nor signals."""

import json
import re
import signal
import time
from contextlib import ExitStack

import pytest

from tests import wsclient
from tests.integration.two_sites import COMPASS
from tests.servers import Server
from tests.wsclient import TEXT, Closed

APP = "tests.integration.two_sites:create_app()"
BASES = {"north": "/north/talk", "south": "/south"}


@pytest.fixture(scope="module", params=["gunicorn-gevent", "gunicorn-gthread"])
def both(request):
    with Server(request.param, {"CHAT_ROSTER_GRACE": "0.2", "CHAT_CONTROL_INTERVAL": "0.1"}, APP) as server:
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


def winds_in(client):
    """What was said to this client of the winds, whatever it has read of it."""
    data = [json.loads(frame.payload).get("data") for frame in client.log if frame.opcode == TEXT]
    return {text for text in data if text.endswith(" wind")}


def test_each_site_sees_its_own_users_alone(both, enter):
    anna, ben = enter("north", "anna"), enter("north", "ben")
    olga, _ = enter("south", "olga"), enter("south", "anna")
    for client, names in ((anna, {"anna", "ben"}), (ben, {"anna", "ben"}), (olga, {"olga", "anna"})):
        client.recv_until(lambda m, names=names: names_in(m) == names)
    assert set(state(both, "north")["here"]) == {"anna", "ben"}
    assert set(state(both, "south")["here"]) == {"anna", "olga"}


def test_clients_of_each_site_receive_its_own_messages_alone(both, enter):
    norths, souths = [enter("north", n) for n in "ab"], [enter("south", n) for n in "ac"]
    norths[0].send_json({"type": 2, "data": "north wind"})
    souths[0].send_json({"type": 2, "data": "south wind"})
    for clients, own in ((norths, "north wind"), (souths, "south wind")):
        for client in clients:
            client.recv_json(type=2, data=own)
            client.ping()
            assert winds_in(client) == {own}


def test_a_message_of_one_site_does_not_reach_the_other(both, enter):
    anna, olga = enter("north", "anna"), enter("south", "olga")
    both.request("POST", "/north/announce/snow")
    both.request("POST", "/south/announce/sun")
    assert anna.recv_until(lambda m: m.get("data") in {"snow", "sun"})[-1]["data"] == "snow"
    assert olga.recv_until(lambda m: m.get("data") in {"snow", "sun"})[-1]["data"] == "sun"


def test_a_user_of_the_other_site_is_unknown(both, enter):
    anna, _ = enter("north", "anna"), enter("south", "olga")
    anna.send_json({"type": 3, "to": "olga", "data": "over there?", "id": "d1"})
    assert anna.recv_json(type=0)["code"] == "unknown_user"


def test_a_token_of_one_site_is_invalid_at_the_other(both, enter):
    stranger = enter("south", None, token=token_of(both, "north", "stranger"))
    assert stranger.recv_json(type=0)["code"] == "token_invalid"
    assert stranger.wait_closed()[0] == 4401
    assert "stranger" not in state(both, "south")["here"]


def test_a_kick_ends_the_sockets_of_one_site(both, enter):
    anna, anna_south = enter("north", "anna"), enter("south", "anna")
    anna.recv_json(type=1)
    both.request("POST", "/north/kick/anna")
    with pytest.raises(Closed) as end:
        anna.recv_until(lambda m: False)
    assert end.value.code == 4403
    time.sleep(0.5)  # some looks into the control table, which must not be north's
    anna_south.send_json({"type": 2, "data": "still here"})
    assert anna_south.recv_json(type=2, data="still here")


def test_a_handler_of_one_site_is_unknown_in_the_other(both, enter):
    anna, olga = enter("north", "anna"), enter("south", "olga")
    for client in (anna, olga):
        client.send_json({"type": COMPASS})
    assert anna.recv_until(lambda m: m["type"] in {0, COMPASS})[-1] == {"type": COMPASS}
    assert olga.recv_until(lambda m: m["type"] in {0, COMPASS})[-1]["code"] == "unknown_type"


def test_a_receiver_gets_the_signals_of_its_own_app(both, enter):
    anna, olga = enter("north", "anna"), enter("south", "olga")
    anna.send_json({"type": 2, "data": "hei"})
    olga.send_json({"type": 2, "data": "ciao"})
    for client, text in ((anna, "hei"), (olga, "ciao")):
        client.recv_json(type=2, data=text)
        client.ping()
    heard = {site: state(both, site)["heard"] for site in BASES}
    assert ["north", "anna", "hei"] in heard["north"]
    assert ["south", "olga", "ciao"] in heard["south"]
    assert {fact[0] for fact in heard["north"]} == {"north"}
    assert {fact[0] for fact in heard["south"]} == {"south"}


@pytest.mark.parametrize("site", BASES)
def test_the_page_knows_where_its_site_is_mounted(both, site):
    status, _, body = both.get(f"{BASES[site]}/chat", {"X-Visitor": "anna"})
    assert status == 200
    assert f'"socketPath": "{BASES[site]}/ws/chat"' in body
    assert re.search(rf'"{BASES[site]}/chat/static/(dist/page-\w+|js/page)\.js"', body)


def test_both_sites_announce_the_shutdown(both, enter):
    """The last one: it ends the server."""
    anna, olga = enter("north", "anna"), enter("south", "olga")
    for client in (anna, olga):
        client.recv_json(type=1)
    both.signal(signal.SIGTERM)
    assert [client.wait_closed()[0] for client in (anna, olga)] == [1012, 1012]
