"""The worker is killed again and again while everybody talks: nothing that was acknowledged is lost, or comes twice."""

import os
import random
import signal

import pytest

from tests import leftovers
from tests.databases import stored
from tests.integration.named_clients import make_room
from tests.resumer import JOIN, SYNCED, said
from tests.resuming_client import Crowd, ResumingClient, check_against
from tests.servers import Server

ROUNDS = 20
SENDERS, LISTENERS = 10, 2
ROOMS = ("lobby", "den")
#: Messages acknowledged before the worker is killed, and seconds into the traffic after them.
ACKS, JITTER = (20, 200), 0.03


@pytest.fixture
def site(database_url):
    env = {"CHAT_DATABASE_URL": database_url, "CHAT_RATE_LIMIT": "0"}
    with Server("gunicorn-gevent", env) as server:
        make_room(server, "den")
        yield server


def test_no_acknowledged_message_is_lost_when_the_worker_is_killed(site, database_url):
    chance = random.Random(20)
    absent = site.token("zoe")
    senders = [ResumingClient(site, f"s{n}", ROOMS, talker(chance)) for n in range(SENDERS)]
    listeners = [ResumingClient(site, f"l{n}", ROOMS) for n in range(LISTENERS)]
    with Crowd([*senders, *listeners]) as crowd:
        for number in range(1, ROUNDS + 1):
            crowd.until(lambda number=number: {client.connections for client in crowd.clients} == {number})
            crowd.until_synced()
            enough = crowd.acks + chance.randint(*ACKS)
            crowd.until(lambda enough=enough: crowd.acks >= enough)
            crowd.go_on(chance.uniform(0, JITTER))
            kill_worker(site)
        crowd.until_acked()
        store = stored(database_url)
        crowd.until_heard({room: len(messages) for room, messages in store.items()})
    check_against(store, crowd.clients)
    assert sum(map(len, store.values())) == sum(len(sender.said) for sender in senders) == crowd.acks
    assert not any(client.errors for client in crowd.clients)
    check_direct(site, absent, store)


def talker(chance):
    """What a sender says next: in one of the rooms, or to somebody who is away."""

    def say(client):
        text = f"{chance.random()}"
        place = chance.choice([*ROOMS, *ROOMS, None])
        return client.tell("zoe", text) if place is None else client.say(place, text)

    return say


def kill_worker(site):
    for pid in leftovers.children(site.pid):
        os.kill(pid, signal.SIGKILL)


def check_direct(site, token, store):
    """Hold that who was away finds all that was said to it."""
    rooms = [room for room in store if room.startswith("dm:")]
    assert len(rooms) == SENDERS
    with site.socket(token=token, query="&lobby=0") as zoe:
        for room in rooms:
            zoe.send_json({"type": JOIN, "room": room, "since": 0})
            *heard, _ = zoe.recv_until(lambda message: message["type"] == SYNCED)
            assert [said(message) for message in heard if message.get("room") == room] == store[room]
