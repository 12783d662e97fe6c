"""One chat on two machines with two workers each: what happens at one worker reaches all of them."""

import json
import time
from contextlib import nullcontext

import pytest

from app import create_app
from tests.integration.named_clients import ask, names_in
from tests.machines import two_machines
from tests.resumer import ERROR, GROUP, JOIN, LEAVE, SYNCED
from tests.servers import SECRET
from tests.tokens import token
from tests.waiting import until
from tests.wsclient import TEXT

ROSTER_DIFF, AUTH = 5, 9
#: Seconds within which a decision reaches the sockets of all workers, with Valkey or without.
IN_TIME = 2.0
#: Seconds that what only Valkey carries may take, on a busy machine.
SOON = 1.0


@pytest.fixture(scope="module")
def deployment():
    with two_machines() as deployment:
        yield deployment


@pytest.fixture(scope="module")
def elsewhere(deployment):
    """The chat of the same site in this process, which serves no clients and has no Valkey."""
    chat = create_app({"CHAT_DATABASE_URL": deployment.url, "SECRET_KEY": SECRET}).extensions["chat"]
    yield chat
    chat.users._db._engine.dispose()  # or its connections would be reported as unclosed


@pytest.fixture(params=["with Valkey", "without an answer of Valkey"])
def broker(request, deployment):
    """A context in which Valkey works, and one in which it is suspended."""
    yield nullcontext if request.param == "with Valkey" else deployment.valkey.paused
    until(deployment.is_healthy)


@pytest.fixture
def victim(elsewhere, request):
    """A user with a row in the store, named after the test."""
    return elsewhere.users.create(f"victim{abs(hash(request.node.name)) % 10**8}")


def received_in_time(client, began, **fields):
    """The message with these fields; it must arrive within IN_TIME of `began`."""
    message = client.recv_json(timeout=IN_TIME, **fields)
    assert time.monotonic() - began < IN_TIME
    return message


# -- rosters, and messages that are not stored


def test_every_worker_reports_users_who_connect_and_disconnect(deployment):
    with deployment.on_each_worker(token("ann")) as anns:
        for machine in deployment.machines:
            with machine.server.socket(token=token("bob")) as bob:
                bob.recv_json(type=1)
                for ann in anns.values():
                    ann.recv_until(
                        lambda m: m["type"] == ROSTER_DIFF and "bob" in names_in(m), timeout=IN_TIME
                    )
            for ann in anns.values():
                ann.recv_until(lambda m: m["type"] == ROSTER_DIFF and "bob" in m["left"], timeout=IN_TIME)


def test_an_ephemeral_message_is_received_once_at_every_worker(deployment):
    with deployment.on_each_worker(token("ann")) as anns:
        for ann in anns.values():
            ann.send_json({"type": JOIN, "room": "typing"})
            ann.recv_json(type=SYNCED, room="typing")
        until(lambda: all(all_receive(ann, anns.values(), "is this on?") for ann in anns.values()))
        for number, ann in enumerate(anns.values()):
            assert all_receive(ann, anns.values(), f"word {number}")
        for ann in anns.values():
            assert numbered_texts(ann.log) == [f"word {number}" for number in range(len(anns))]


def numbered_texts(log):
    texts = [json.loads(got.payload).get("data") or "" for got in log if got.opcode == TEXT]
    return [text for text in texts if text.startswith("word")]


def all_receive(sender, receivers, text):
    """Send to the room that stores nothing; whether all receive it soon. One that has just joined may not."""
    sender.send_json({"type": GROUP, "room": "typing", "data": text})
    try:
        return all(one.recv_json(type=GROUP, data=text, timeout=SOON) for one in receivers)
    except TimeoutError:
        return False


# -- limits


def test_the_sockets_of_a_user_are_counted_over_all_workers(deployment):
    with deployment.on_each_worker(token("many")) as sockets:
        with deployment.on_each_worker(token("many"), accept=is_one_too_many) as refused:
            assert refused.keys() == sockets.keys()
            assert {client.wait_closed()[0] for client in refused.values()} == {1013}
        sockets.popitem()[1].sock.close()
        until(lambda: is_let_in(deployment.machines[0].server, "many"))


def is_one_too_many(greeting):
    return greeting.get("code") == "too_many_for_user"


def is_let_in(server, name):
    with server.socket(token=token(name)) as client:
        return json.loads(client.recv())["type"] == GROUP


# -- Valkey


def test_healthz_and_metrics_report_whether_valkey_answers(deployment):
    for machine in deployment.machines:
        until(lambda machine=machine: machine.broker_is("up") and machine.metric("chat_broker_up") == 1)
    with deployment.valkey.paused():
        for machine in deployment.machines:
            until(lambda machine=machine: machine.broker_is("down") and machine.metric("chat_broker_up") == 0)
    until(deployment.is_healthy)


# -- decisions


@pytest.mark.parametrize(
    ("decide", "code", "close"),
    [("kick", "kicked", 4403), ("ban", "banned", 4403), ("log_out", "token_invalid", 4401)],
)
def test_a_decision_reaches_every_worker_in_time(deployment, elsewhere, victim, broker, decide, code, close):
    with deployment.on_each_worker(elsewhere.token_for(victim.identity)) as sockets, broker():
        began = time.monotonic()
        DECISIONS[decide](elsewhere, victim)
        for client in sockets.values():
            assert received_in_time(client, began, type=ERROR)["code"] == code
            assert client.wait_closed()[0] == close


DECISIONS = {
    "kick": lambda chat, user: chat.kick(user.username),
    "ban": lambda chat, user: chat.ban(user.username),
    "log_out": lambda chat, user: chat.revoke(user.id),
}


def test_the_end_of_a_session_reaches_every_worker_and_no_other_session(
    deployment, elsewhere, victim, broker
):
    ends, stays = (
        elsewhere.token_for(victim.identity, sid=sid) for sid in (f"{victim.id} here", "elsewhere")
    )
    near, far = deployment.machines
    # Four sockets in all, as many as a user may have.
    other, first = (near.server.socket(token=one, query="&roster=diff") for one in (stays, ends))
    with other, first, far.on_each_worker(ends) as sockets, broker():
        began = time.monotonic()
        elsewhere.log_ins.end(victim.id, f"{victim.id} here")
        for client in (first, *sockets.values()):
            assert received_in_time(client, began, type=ERROR)["code"] == "token_invalid"
            assert client.wait_closed()[0] == 4401
        other.send_json({"type": AUTH, "data": stays})
        other.recv_json(type=AUTH)
    with deployment.machines[0].server.socket(token=ends) as late:
        assert late.recv_json(type=ERROR)["code"] == "token_invalid"


def test_a_removed_member_is_unsubscribed_at_every_worker(deployment, elsewhere, victim, broker):
    server = deployment.machines[0].server
    room = ask(server, "POST", "/rooms", {"title": f"attic of {victim.username}", "kind": "private"})["name"]
    member = ask(server, "POST", f"/rooms/{room}/members", {"username": victim.username})
    with deployment.on_each_worker(elsewhere.token_for(victim.identity)) as sockets, broker():
        for client in sockets.values():
            client.send_json({"type": JOIN, "room": room})
            client.recv_json(type=SYNCED, room=room)
        began = time.monotonic()
        ask(server, "DELETE", f"/rooms/{room}/members/{member['id']}")
        for client in sockets.values():
            received_in_time(client, began, type=LEAVE, room=room)
