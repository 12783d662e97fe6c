"""Two servers of one worker each, on one database and one Valkey: what crosses, and how soon.

Most tests run where Valkey alone can be in time: the comparison with the store and the look into the control table are
many seconds apart. Others run where there is no Valkey, and some with the ordinary intervals.
"""

import json
from itertools import count
from socket import create_server
from urllib.parse import quote

import pytest

from tests.databases import stored
from tests.integration.named_clients import ask, make_room, names_in, wait_for_users
from tests.integration.pairs import BY_VALKEY_ALONE, NO_VALKEY, SOON, entering_either, metric, two_servers
from tests.resumer import DIRECT, ERROR, GROUP, JOIN, LEAVE, SYNCED, said
from tests.tokens import token
from tests.waiting import until

GROUP_LIST, ROSTER_DIFF, READ, ROOMS = 1, 5, 10, 11
FULL, RESTARTING = 1013, 1012
#: Seconds within which the comparison with the store finds what nobody told of.
COMPARED = 1.5
#: Seconds in which an orderly end is known everywhere; the lease would take ten.
AT_ONCE = 5.0
#: Sockets that one address may have.
MOST = 6

numbers = count(1)


@pytest.fixture(scope="module", params=["postgresql"])
def database(request, fresh_database):
    return fresh_database(request.param)


@pytest.fixture(scope="module")
def sites(database, valkey_server):
    with two_servers(database, valkey_server.url, **BY_VALKEY_ALONE) as sites:
        yield sites


@pytest.fixture
def enter_at(sites):
    with entering_either(sites) as enter_at:
        yield enter_at


@pytest.fixture
def den(sites):
    """A room that was made by the first server."""
    return make_room(sites[0], f"den {next(numbers)}")["name"]


def join(client, room):
    client.send_json({"type": JOIN, "room": room})
    assert client.recv_json(type=SYNCED, room=room)["recovered"]
    return client


def say(client, text, **fields):
    client.send_json({"type": GROUP, "data": text, **fields})
    return client.recv_json(type=GROUP, data=text)


def tell(client, to, text):
    """Send a direct message to somebody who may have come just now: those who come have a row a moment later."""
    until(lambda: _is_told(client, to, text))


def _is_told(client, to, text):
    id = f"told-{next(numbers)}"
    client.send_json({"type": DIRECT, "to": to, "data": text, "id": id})
    (*_, answer) = client.recv_until(lambda m: m.get("ref") == id)
    assert answer["type"] != ERROR or answer["code"] == "unknown_user", answer
    return answer["type"] != ERROR


def hear(client, text, kind=GROUP, **fields):
    return client.recv_json(type=kind, data=text, timeout=SOON, **fields)


def name():
    return f"user{next(numbers)}"


# -- messages


def test_a_message_crosses_to_the_other_server_at_once(enter_at):
    ann, bob = enter_at(0, "ann"), enter_at(1, "bob")
    for number in range(5):
        for speaker, listener in ((ann, bob), (bob, ann)):
            echo = say(speaker, f"word {number}")
            assert hear(listener, f"word {number}") == echo


def test_every_message_is_received_once_and_in_order_on_both(enter_at, database):
    clients = [enter_at(number % 2, "ann") for number in range(4)]
    for number in range(40):
        for place, client in enumerate(clients):
            client.send_json({"type": GROUP, "data": f"{place}: {number}"})
    heard = [[said(client.recv_json(type=GROUP, timeout=SOON)) for _ in range(160)] for client in clients]
    store = [one for one in stored(database)["lobby"] if one in heard[0]]
    assert heard == [store] * 4


def test_no_message_was_found_by_the_comparison_alone(sites, enter_at):
    late = [metric(site, "chat_messages_late_total") for site in sites]
    ann, bob = enter_at(0, "ann"), enter_at(1, "bob")
    for number in range(20):
        say(ann, f"hint {number}")
        hear(bob, f"hint {number}")
    assert [metric(site, "chat_messages_late_total") for site in sites] == late


def test_the_first_messages_of_a_conversation_reach_all_sockets_of_both_users(enter_at):
    carl, dora = name(), name()
    sockets = {(who, place): enter_at(place, who) for who in (carl, dora) for place in (0, 1)}
    for who, other in ((carl, dora), (dora, carl), (carl, dora)):
        for place in (0, 1):
            text = f"{who} at {place}, {next(numbers)}"
            tell(sockets[who, place], other, text)
            for key, socket in sockets.items():
                if key != (who, place):
                    hear(socket, text, DIRECT, to=other)


def test_a_message_to_oneself_reaches_ones_other_socket(enter_at):
    me = name()
    here, there = enter_at(0, me), enter_at(1, me)
    tell(here, me, "a note")
    hear(there, "a note", DIRECT)


def test_a_message_of_the_site_reaches_both_servers(sites, enter_at):
    clients = [enter_at(0, "ann"), enter_at(1, "bob")]
    for number, site in enumerate(sites):
        site.send(f"from the site {number}")
        one, other = (hear(client, f"from the site {number}") for client in clients)
        assert one == other
        assert one["user"] is None


def test_a_direct_message_of_the_site_reaches_the_other_server(sites, enter_at):
    who = name()
    ann = enter_at(0, who)
    until(lambda: has_a_row(sites[1], who))
    sites[1].send("psst", to=who)
    hear(ann, "psst", DIRECT, to=who)


def test_a_room_just_created_on_the_other_server_can_be_joined(sites, enter_at):
    ann, bob = enter_at(0, "ann"), enter_at(1, "bob")
    for number in range(5):
        room = make_room(sites[number % 2], f"fresh {next(numbers)}")["name"]
        for client in (ann, bob):
            join(client, room)
        hear_each_other(ann, bob, room)


def hear_each_other(ann, bob, room):
    for speaker, listener in ((ann, bob), (bob, ann)):
        text = f"in {room}, {next(numbers)}"
        say(speaker, text, room=room)
        hear(listener, text, room=room)


def test_a_room_open_on_one_server_is_complete_when_it_opens_on_the_other(enter_at, den):
    ann, bob = join(enter_at(0, "ann"), den), enter_at(1, "bob")
    for number in range(3):
        say(ann, f"before {number}", room=den)
    bob.send_json({"type": JOIN, "room": den, "since": 0})
    seen = bob.recv_until(lambda m: m["type"] == SYNCED and m["room"] == den)
    told = [message["data"] for message in seen if message.get("room") == den and message["type"] == GROUP]
    assert told == [f"before {number}" for number in range(3)]
    hear_each_other(ann, bob, den)


def test_a_room_that_closes_and_opens_again_receives_again(enter_at, den):
    ann, bob = join(enter_at(0, "ann"), den), enter_at(1, "bob")
    for _ in range(3):
        join(bob, den)
        hear_each_other(ann, bob, den)
        bob.send_json({"type": LEAVE, "room": den})
        bob.recv_json(type=LEAVE, room=den)
        say(ann, f"missed {next(numbers)}", room=den)


# -- who is there


def told_of(client, who):
    return client.recv_until(lambda m: m["type"] == ROSTER_DIFF and who in names_in(m), SOON)


def told_left(client, who, timeout=SOON):
    return client.recv_until(lambda m: m["type"] == ROSTER_DIFF and who in m["left"], timeout)


def who_is_there(client, room="lobby"):
    client.send_json({"type": GROUP_LIST, "room": room})
    return names_in(client.recv_json(type=GROUP_LIST, room=room))


def test_a_joining_client_gets_the_users_of_both_servers(enter_at):
    here, there, new = name(), name(), name()
    ann, bob = enter_at(0, here), enter_at(1, there)
    told_of(ann, there)
    told_of(bob, here)
    for place in (0, 1):
        assert {here, there} <= who_is_there(enter_at(place, new))


def test_a_client_without_diffs_gets_the_users_of_both_servers(enter_at):
    old, who = enter_at(0, "ann", query=""), name()
    bob = enter_at(1, who)
    old.recv_until(lambda m: m["type"] == GROUP_LIST and who in names_in(m), SOON)
    bob.sock.close()
    old.recv_until(lambda m: m["type"] == GROUP_LIST and who not in names_in(m), SOON)


def test_a_user_on_both_servers_leaves_with_the_last_socket(enter_at):
    who = name()
    eyes = [enter_at(0, "ann"), enter_at(1, "ann")]
    bobs = [enter_at(0, who), enter_at(1, who), enter_at(1, who)]
    for eye in eyes:
        told_of(eye, who)
    for bob in bobs[:2]:
        bob.sock.close()
        for eye in eyes:
            with pytest.raises(TimeoutError):
                told_left(eye, who, timeout=0.6)  # the grace and a push, twice
    bobs[2].sock.close()
    for eye in eyes:
        told_left(eye, who)
        assert who not in who_is_there(eye)


def test_a_user_who_reconnects_to_the_other_server_has_not_left(enter_at):
    who, after, eye = name(), name(), enter_at(0, "ann")
    bob = enter_at(0, who)
    for place in (1, 0, 1):
        before, bob = bob, enter_at(place, who)
        before.sock.close()
    enter_at(0, after)
    seen = told_of(eye, after)
    assert who not in [left for message in seen if message["type"] == ROSTER_DIFF for left in message["left"]]
    assert who in who_is_there(eye)


def test_a_new_name_is_known_on_both(enter_at):
    old, new = name(), name()
    eyes = [enter_at(0, "ann"), enter_at(1, "ann")]
    enter_at(0, old)
    for eye in eyes:
        told_of(eye, old)
    enter_at(0, new, token=token(new, sub=f"id-{old}"))
    for eye in eyes:
        *_, last = told_of(eye, new)
        assert old in last["left"]
        there = who_is_there(eye)
        assert new in there
        assert old not in there


def test_the_roster_of_a_room_has_the_users_of_the_other_server(enter_at, den):
    here, there = name(), name()
    ann, bob = join(enter_at(0, here), den), join(enter_at(1, there), den)
    for client in (ann, bob):
        until(lambda client=client: who_is_there(client, den) == {here, there})
    bob.send_json({"type": LEAVE, "room": den})
    assert told_left(ann, there)[-1]["room"] == den
    assert who_is_there(ann, den) == {here}


def test_the_json_api_lists_users_of_a_room_open_on_the_other_server_alone(sites, enter_at, den):
    who = name()
    bob = join(enter_at(0, who), den)
    until(lambda: has_a_row(sites[0], who))
    ask(sites[0], "POST", f"/rooms/{quote(den)}/members", {"username": who})
    for site in sites:
        assert here_by_api(site, den)[who]
    bob.send_json({"type": LEAVE, "room": den})
    for site in sites:
        until(lambda site=site: not here_by_api(site, den).get(who))


def here_by_api(site, room):
    return {
        one["username"]: one["here"] for one in ask(site, "GET", f"/rooms/{quote(room)}/members")["members"]
    }


# -- what changes for one user


def test_read_positions_and_unread_counts_cross_at_once(sites, enter_at):
    who = name()
    here, there = enter_at(0, who), enter_at(1, who)
    until(lambda: has_a_row(sites[0], who))  # or nobody could mention him
    seq = say(here, "to be read")["seq"]
    wanted = {"type": READ, "room": "lobby", "seq": seq, "unread": 0, "mentions": 0}
    here.send_json({"type": READ, "room": "lobby", "seq": seq})
    assert here.recv_json(type=READ) == there.recv_json(type=READ, timeout=SOON) == wanted
    say(enter_at(1, "bob"), f"unread, @{who}")
    there.send_json({"type": READ, "room": "lobby", "seq": seq})
    wanted = {**wanted, "unread": 1, "mentions": 1}
    # The mark has not moved, so nothing is written, and other workers are not told: issue 13.
    assert there.recv_json(type=READ, unread=1) == wanted


def test_access_to_a_private_room_changes_at_once(sites, enter_at):
    who = name()
    guests = [enter_at(0, who), enter_at(1, who)]
    until(lambda: has_a_row(sites[0], who))
    room = ask(sites[0], "POST", "/rooms", {"title": name(), "kind": "private"})["name"]
    member = ask(sites[0], "POST", f"/rooms/{room}/members", {"username": who})
    for guest in guests:
        assert guest.recv_json(type=ROOMS, room=room, timeout=SOON)["change"] == "joined"
        join(guest, room)
    ask(sites[1], "PATCH", f"/rooms/{room}/members/{member['id']}", {"role": "admin"})
    for guest in guests:
        assert guest.recv_json(type=ROOMS, room=room, timeout=SOON)["change"] == "updated"
    ask(sites[1], "DELETE", f"/rooms/{room}/members/{member['id']}")
    for guest in guests:
        told = guest.recv_until(lambda m: m["type"] == LEAVE, SOON)
        assert told[-1]["room"] == room
        assert {"type": ROOMS, "room": room, "change": "left"} in told


def has_a_row(site, who):
    status, _, _ = site.get(f"/chat/api/users/{who}", {"Authorization": f"Bearer {token('ann')}"})
    return status == 200


# -- limits


@pytest.fixture
def small_sites(fresh_database, valkey_server):
    with two_servers(fresh_database("sqlite"), valkey_server.url, CHAT_MAX_CONNECTIONS_PER_IP=MOST) as sites:
        yield sites


def test_the_sockets_of_an_address_are_counted_over_both(small_sites):
    with entering_either(small_sites) as enter_at:
        clients = [enter_at(number % 2, f"u{number}") for number in range(MOST)]
        for site in small_sites:
            until(lambda site=site: not is_let_in(site))
        clients[0].sock.close()
        for site in small_sites:
            until(lambda site=site: is_let_in(site))


def is_let_in(site):
    with site.socket(token=token("late")) as client:
        told = json.loads(client.recv())
        if told["type"] != ERROR:
            return True
        assert (told["code"], client.wait_closed()[0]) == ("too_many_for_address", FULL)
        return False


# -- with the ordinary intervals


def test_names_that_differ_in_case_mean_users_of_both_servers(enter_at):
    ann, high, low = enter_at(0, "ann"), enter_at(0, "Bob"), enter_at(1, "bob")
    wait_for_users(ann, "Bob", "bob")
    ann.send_json({"type": 3, "to": "BOB", "data": "whom?", "id": "b1"})
    error = ann.recv_json(type=0)
    assert (error["code"], [user["id"] for user in error["users"]]) == ("ambiguous_to", ["id-Bob", "id-bob"])
    ann.send_json({"type": 3, "to": "Bob", "data": "here"})
    for to in ({"to": "bob"}, {"to_id": "id-bob"}):
        ann.send_json({"type": 3, **to, "data": f"there {to}"})
        assert low.recv_json(type=3, timeout=SOON)["data"] == f"there {to}"
    assert high.recv_json(type=3)["data"] == "here"
    say(ann, "and that is all")
    for client in (high, low):
        seen = client.recv_until(lambda m: m.get("data") == "and that is all")
        assert [m for m in seen if m["type"] == 3] == []


@pytest.fixture(scope="module")
def everyday(fresh_database, valkey_server):
    with two_servers(fresh_database("sqlite"), valkey_server.url) as sites:
        yield sites


@pytest.fixture
def come_in(everyday):
    with entering_either(everyday) as enter_at:
        yield enter_at


def test_a_message_of_the_command_line_reaches_both_servers(everyday, come_in):
    clients = [come_in(0, "ann"), come_in(1, "bob")]
    everyday[0].cli("send", "lobby", "from the command line")
    one, other = (hear(client, "from the command line") for client in clients)
    assert one == other
    assert one["user"] is None


def test_the_command_line_lists_the_users_of_both_servers(everyday, come_in):
    room = make_room(everyday[0], "den")["name"]
    here, there = name(), name()
    ann, bob = come_in(0, here), join(come_in(1, there), room)
    told_of(ann, there)
    for _ in range(3):
        assert {here, there} <= set(everyday[0].cli("who").split())
        assert everyday[0].cli("who", room).split() == [there]
    assert who_is_there(bob, room) == {there}


# -- without Valkey


@pytest.fixture(scope="module")
def lonely(database):
    with two_servers(database, NO_VALKEY) as sites:
        yield sites


@pytest.fixture
def come_alone(lonely):
    with entering_either(lonely) as enter_at:
        yield enter_at


def test_without_valkey_messages_cross_by_the_comparison(lonely, come_alone):
    carl, dora = name(), name()
    ann, bob, twin = come_alone(0, carl), come_alone(1, dora), come_alone(1, carl)
    room = make_room(lonely[0], name())["name"]
    for client in (ann, bob):
        join(client, room)
    for text, fields in (("in the lobby", {}), ("in a room", {"room": room})):
        say(ann, text, **fields)
        bob.recv_json(type=GROUP, data=text, timeout=COMPARED)
    tell(ann, dora, "direct")
    for client in (bob, twin):
        client.recv_json(type=DIRECT, data="direct", timeout=COMPARED)
    lonely[0].send("from the site")
    bob.recv_json(type=GROUP, data="from the site", timeout=COMPARED)
    lonely[0].cli("send", "lobby", "the command line")
    for client in (ann, bob):
        client.recv_json(type=GROUP, data="the command line", timeout=COMPARED)


def test_a_server_does_not_wait_for_a_valkey_that_does_not_answer(make_server):
    with create_server(("127.0.0.1", 0)) as silent:
        server = make_server(env={"CHAT_REDIS_URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"})
        with server.socket(token=token("ann")) as client:
            say(client, "hello")
            assert "Redis" not in server.log()  # it has not been given up yet
            assert json.loads(server.get("/healthz")[2]) == {
                "status": "ok",
                "connections": 1,
                "broker": "down",
            }
            server.wait_log("cannot")


# -- the end of a server


@pytest.fixture
def parting(fresh_database, valkey_server):
    with two_servers(fresh_database("sqlite"), valkey_server.url) as sites:
        yield sites


def test_a_server_that_stops_removes_its_users_from_its_peers_rosters_at_once(parting):
    with entering_either(parting) as enter_at:
        ann, bob = enter_at(0, "ann"), enter_at(1, "bob")
        told_of(ann, "bob")
        parting[1].end()
        told_left(ann, "bob", timeout=AT_ONCE)
        assert bob.wait_closed()[0] == RESTARTING
        until(lambda: metric(parting[0], "chat_workers") == 1, AT_ONCE)
