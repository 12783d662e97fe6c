"""Rights where two servers share a database: what two requests race for, and what each server's sockets are told."""

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.databases import DATABASES, query
from tests.integration.named_clients import ask
from tests.servers import Server
from tests.tokens import token
from tests.waiting import until

IN_TIME = 5.0
DIRECT, JOIN, LEAVE, SYNCED, ERROR, ACK, ROOMS, INVITATION = 3, 6, 7, 8, 0, 4, 11, 12
OWNERS = (
    "SELECT count(*) FROM chat_memberships AS m JOIN chat_rooms AS r ON r.id = m.room_id"
    " WHERE r.name = '{}' AND m.role = 'owner'"
)
CREATED = "SELECT count(*) FROM chat_rooms WHERE created_by = '{}'"


@pytest.fixture(scope="module", params=DATABASES)
def database(request, fresh_database):
    return fresh_database(request.param)


@pytest.fixture(scope="module")
def sites(database):
    env = {"CHAT_DATABASE_URL": database, "CHAT_RATE_LIMIT": "0", "CHAT_MAX_ROOMS_CREATED": "5"}
    env |= {"CHAT_INVITATIONS_OPEN": "5"}
    with Server("gunicorn-gevent", env) as one, Server("gunicorn-gthread", env) as other:
        # The API knows a user by name who has been here.
        for name in ("ann", "bob", "cy", "dan"):
            until(lambda name=name: is_known(one, name))
        yield one, other


def is_known(site, name):
    with site.socket(token=token(name)) as client:
        client.recv_json(type=1)
        headers = {"Authorization": f"Bearer {token(name)}"}
        return site.get(f"/chat/api/users/{name}", headers)[0] == 200


def send(site, method, path, body=None, name="ann"):
    """(status, code) of one request."""
    headers = {"Authorization": f"Bearer {token(name)}", "Content-Type": "application/json"}
    text = None if body is None else json.dumps(body)
    status, _, answer = site.request(method, f"/chat/api{path}", text, headers, timeout=30)
    return status, (json.loads(answer).get("code") if answer else None)


def at_once(*calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(call) for call in calls]]


def add(site, room, name, role):
    """Have a user in a room, with a role."""
    ask(site, "POST", f"/rooms/{quote(room)}/members", {"id": f"id-{name}", "role": role})
    ask(site, "POST", f"/invitations/{quote(room)}/accept", name=name)


def test_one_of_two_owners_stays_however_often_both_step_down(sites, database):
    room = ask(sites[0], "POST", "/rooms", {"title": "club", "kind": "private"})["name"]
    add(sites[0], room, "bob", "owner")
    for _ in range(10):
        answers = at_once(
            *(
                lambda site=site, name=name: send(
                    site, "PATCH", f"/rooms/{room}/members/id-{name}", {"role": "member"}, name
                )
                for site, name in zip(sites, ("ann", "bob"), strict=True)
            )
        )
        assert sorted(answers) == [(200, None), (403, "last_owner")]
        assert query(database, OWNERS.format(room)) == [(1,)]
        owner, other = ("bob", "ann") if answers[0][0] == 200 else ("ann", "bob")
        ask(sites[1], "PATCH", f"/rooms/{room}/members/id-{other}", {"role": "owner"}, name=owner)


def test_forty_requests_create_no_more_rooms_than_allowed(sites, database):
    answers = at_once(
        *(
            lambda n=n: send(
                sites[n % 2], "POST", "/rooms", {"title": f"room {n}", "kind": "public"}, name="dan"
            )
            for n in range(40)
        )
    )
    assert sorted(answers) == [(201, None)] * 5 + [(403, "too_many_rooms")] * 35
    assert query(database, CREATED.format("id-dan")) == [(5,)]


def test_of_titles_that_look_alike_one_server_gives_one(sites):
    for number in range(3):
        answers = at_once(
            lambda number=number: send(
                sites[0], "POST", "/rooms", {"title": f"Harbour {number}", "kind": "public"}, "bob"
            ),
            lambda number=number: send(
                sites[1], "POST", "/rooms", {"title": f"Hаrbour {number}", "kind": "public"}, "cy"
            ),
        )
        assert sorted(answers) == [(201, None), (409, "room_taken")]


def test_an_invitation_is_told_on_every_server(sites):
    with (
        sites[0].socket(token=token("cy"), query="&roster=diff") as here,
        sites[1].socket(token=token("cy"), query="&roster=diff") as there,
    ):
        room = ask(sites[0], "POST", "/rooms", {"title": "attic", "kind": "private"}, name="bob")["name"]
        ask(sites[0], "POST", f"/rooms/{room}/members", {"username": "cy"}, name="bob")
        told = {
            "type": INVITATION,
            "room": room,
            "change": "invited",
            "title": "attic",
            "kind": "private",
            "inviter": {"id": "id-bob", "username": "bob"},
            "role": "member",
        }
        for client in (here, there):
            assert client.recv_json(type=INVITATION, timeout=IN_TIME) == told
            client.send_json({"type": JOIN, "room": room, "id": "too early"})
            assert client.recv_json(ref="too early")["code"] == "unknown_room"
        ask(sites[1], "POST", f"/invitations/{room}/accept", name="cy")
        for client in (here, there):
            accepted = {"type": INVITATION, "room": room, "change": "accepted"}
            assert client.recv_json(type=INVITATION, timeout=IN_TIME) == accepted
            assert client.recv_json(type=ROOMS, timeout=IN_TIME)["change"] == "joined"
            client.send_json({"type": JOIN, "room": room})
            assert client.recv_json(type=SYNCED, room=room)["seq"] == 2  # what the room says of it
        with sites[0].socket(token=token("bob"), query="&roster=diff") as inviter:
            inviter.send_json({"type": JOIN, "room": room, "since": 0})
            lines = [inviter.recv_json(type=2, room=room)["data"] for _ in range(2)]
            assert lines == ["bob invited cy.", "cy joined, invited by bob."]


def test_a_socket_that_does_not_know_of_rooms_is_told_of_no_invitation(sites):
    with sites[0].socket(token=token("cy")) as old:
        room = ask(sites[1], "POST", "/rooms", {"title": "cellar", "kind": "private"}, name="bob")["name"]
        ask(sites[1], "POST", f"/rooms/{room}/members", {"username": "cy"}, name="bob")
        ask(sites[0], "POST", f"/invitations/{room}/decline", name="cy")
        old.send_json({"type": 2, "data": "the end"})
        heard = old.recv_until(lambda message: message.get("data") == "the end", IN_TIME)
        assert not [message for message in heard if message["type"] == INVITATION]


def test_an_account_ends_on_every_server(sites, database):
    known = sites[0].cli("token", "--create", "Zoe").strip()
    with (
        sites[1].socket(token=known, query="&roster=diff") as zoe,
        sites[1].socket(token=token("bob"), query="&roster=diff") as bob,
    ):
        bob.send_json({"type": DIRECT, "to": "Zoe", "data": "hello", "id": "d1"})
        room = zoe.recv_json(type=DIRECT, timeout=IN_TIME)["room"]
        headers = {"Authorization": f"Bearer {known}"}
        created = sites[0].post_json("/chat/api/rooms", {"title": "Zoe's", "kind": "public"}, headers)[1]
        ask(sites[1], "POST", f"/rooms/{quote(created['name'])}/join", name="bob")
        bob.recv_json(type=ROOMS, change="joined")
        sites[0].cli("delete-user", "zoe")
        zoe.wait_closed()
        changed = [bob.recv_json(type=ROOMS, change="updated", timeout=IN_TIME)["room"] for _ in range(2)]
        assert sorted(changed) == sorted([room, created["name"]])
        mine = {one["name"]: one for one in ask(sites[0], "GET", "/rooms", name="bob")["rooms"]}
        assert mine[created["name"]]["role"] == "owner"
        peer = mine[room]["peer"]
        assert (peer["username"], peer["deleted"]) == ("deleted account", True)
        for fields in ({"to_id": peer["id"]}, {"to": "Zoe", "to_id": peer["id"]}):
            bob.send_json({"type": DIRECT, "data": "are you there?", "id": "d2", **fields})
            error = bob.recv_json(type=ERROR, ref="d2")
            assert error["code"] == "account_deleted"
            assert error["data"] == "This account has been deleted. It can't receive messages."
        assert ask(sites[0], "GET", f"/rooms/{quote(room)}/messages", name="bob")["last_seq"] == 1
    with sites[1].socket(token=known) as late:
        assert late.recv_json(type=ERROR)["code"] == "token_invalid"
