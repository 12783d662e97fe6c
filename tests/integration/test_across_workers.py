"""One chat over two machines of two workers each: what happens at one of them is known at all of them."""

import json
import time
from contextlib import nullcontext

import pytest

from app import create_app
from tests.integration.people import ask, names_in
from tests.machines import two_machines
from tests.resumer import ERROR, GROUP, JOIN, LEAVE, SYNCED
from tests.servers import SECRET
from tests.tokens import token
from tests.waiting import until
from tests.wsclient import TEXT

ROSTER_DIFF = 5
#: Seconds within which a decision reaches the sockets of all workers, with Valkey or without.
IN_TIME = 2.0
#: Seconds that what only Valkey carries may take, on a busy machine.
SOON = 1.0


@pytest.fixture(scope="module")
def house():
    with two_machines() as house:
        yield house


@pytest.fixture(scope="module")
def elsewhere(house):
    """The chat of the same site in this process, which serves nobody and knows of no Valkey."""
    chat = create_app({"CHAT_DATABASE_URL": house.url, "SECRET_KEY": SECRET}).extensions["chat"]
    yield chat
    chat.users._db._engine.dispose()  # or its connections would be found lying about


@pytest.fixture(params=["with Valkey", "without an answer of Valkey"])
def broker(request, house):
    """A context in which Valkey works, and one in which it is held still."""
    yield nullcontext if request.param == "with Valkey" else house.valkey.paused
    until(house.is_well)


@pytest.fixture
def victim(elsewhere, request):
    """A user with a row in the store, known by the name of the test."""
    return elsewhere.users.create(f"victim{abs(hash(request.node.name)) % 10**8}")


def told(client, began, **fields):
    """The message that tells it, which has come in time."""
    message = client.recv_json(timeout=IN_TIME, **fields)
    assert time.monotonic() - began < IN_TIME
    return message


# -- who is there, and what is stored nowhere


def test_who_comes_and_goes_is_told_at_every_worker(house):
    with house.on_each_worker(token("ann")) as anns:
        for machine in house.machines:
            with machine.server.socket(token=token("bob")) as bob:
                bob.recv_json(type=1)
                for ann in anns.values():
                    ann.recv_until(
                        lambda m: m["type"] == ROSTER_DIFF and "bob" in names_in(m), timeout=IN_TIME
                    )
            for ann in anns.values():
                ann.recv_until(lambda m: m["type"] == ROSTER_DIFF and "bob" in m["left"], timeout=IN_TIME)


def test_what_is_stored_nowhere_is_heard_at_every_worker_once(house):
    with house.on_each_worker(token("ann")) as anns:
        for ann in anns.values():
            ann.send_json({"type": JOIN, "room": "typing"})
            ann.recv_json(type=SYNCED, room="typing")
        until(lambda: all(all_hear(ann, anns.values(), "is this on?") for ann in anns.values()))
        for number, ann in enumerate(anns.values()):
            assert all_hear(ann, anns.values(), f"word {number}")
        for ann in anns.values():
            assert words_in(ann.log) == [f"word {number}" for number in range(len(anns))]


def words_in(log):
    said = [json.loads(got.payload).get("data") or "" for got in log if got.opcode == TEXT]
    return [text for text in said if text.startswith("word")]


def all_hear(speaker, listeners, text):
    """Say something in a room that keeps nothing; whether all hear it soon. Who has just come may not."""
    speaker.send_json({"type": GROUP, "room": "typing", "data": text})
    try:
        return all(one.recv_json(type=GROUP, data=text, timeout=SOON) for one in listeners)
    except TimeoutError:
        return False


# -- limits


def test_the_sockets_of_a_user_are_counted_over_all_workers(house):
    with house.on_each_worker(token("many")) as sockets:
        with house.on_each_worker(token("many"), accept=is_one_too_many) as refused:
            assert refused.keys() == sockets.keys()
            assert {client.wait_closed()[0] for client in refused.values()} == {1013}
        sockets.popitem()[1].sock.close()
        until(lambda: is_let_in(house.machines[0].server, "many"))


def is_one_too_many(greeting):
    return greeting.get("code") == "too_many_for_user"


def is_let_in(server, name):
    with server.socket(token=token(name)) as client:
        return json.loads(client.recv())["type"] == GROUP


# -- Valkey


def test_whether_valkey_answers_is_told_to_who_watches(house):
    for machine in house.machines:
        until(lambda machine=machine: machine.broker_is("up") and machine.metric("chat_broker_up") == 1)
    with house.valkey.paused():
        for machine in house.machines:
            until(lambda machine=machine: machine.broker_is("down") and machine.metric("chat_broker_up") == 0)
    until(house.is_well)


# -- decisions


@pytest.mark.parametrize(
    ("decide", "code", "close"),
    [("kick", "kicked", 4403), ("ban", "banned", 4403), ("log_out", "token_invalid", 4401)],
)
def test_a_decision_reaches_every_worker_in_time(house, elsewhere, victim, broker, decide, code, close):
    with house.on_each_worker(elsewhere.token_for(victim.identity)) as sockets, broker():
        began = time.monotonic()
        DECISIONS[decide](elsewhere, victim)
        for client in sockets.values():
            assert told(client, began, type=ERROR)["code"] == code
            assert client.wait_closed()[0] == close


DECISIONS = {
    "kick": lambda chat, user: chat.kick(user.username),
    "ban": lambda chat, user: chat.ban(user.username),
    "log_out": lambda chat, user: chat.revoke(user.id),
}


def test_who_is_put_out_of_a_room_hears_it_at_no_worker_any_more(house, elsewhere, victim, broker):
    server = house.machines[0].server
    room = ask(server, "POST", "/rooms", {"title": f"attic of {victim.username}", "kind": "private"})["name"]
    member = ask(server, "POST", f"/rooms/{room}/members", {"username": victim.username})
    with house.on_each_worker(elsewhere.token_for(victim.identity)) as sockets, broker():
        for client in sockets.values():
            client.send_json({"type": JOIN, "room": room})
            client.recv_json(type=SYNCED, room=room)
        began = time.monotonic()
        ask(server, "DELETE", f"/rooms/{room}/members/{member['id']}")
        for client in sockets.values():
            told(client, began, type=LEAVE, room=room)
