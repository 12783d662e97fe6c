"""What every broker promises (chat/cluster/broker/base.py): the one in memory, and on a Valkey, one or a cluster."""

import threading
from itertools import count
from types import SimpleNamespace

import pytest
from redis.crc import key_slot

from chat.cluster.broker import link
from chat.cluster.broker.memory import Bus, MemoryBroker
from chat.cluster.broker.redis import RedisBroker
from chat.config import ConfigError
from chat.loop.drivers import ThreadDriver
from tests.tls_relay import tls_relay
from tests.valkey_cluster import running_cluster
from tests.waiting import until

#: Seconds that something may take on a busy machine.
PATIENCE = 20.0
prefixes = count()


class Ear:
    """A listener that keeps what it is told, in the order of telling."""

    def __init__(self):
        self.told, self.hints, self.channels, self.states = threading.Condition(), [], set(), []

    def received(self, hints):
        with self.told:
            self.hints += hints
            self.told.notify_all()

    def subscribed(self, channels):
        with self.told:
            self.channels.update(channels)
            self.told.notify_all()

    def changed(self, is_up):
        with self.told:
            self.states.append(is_up)
            self.told.notify_all()

    def until(self, condition):
        with self.told:
            assert self.told.wait_for(condition, PATIENCE), vars(self)

    def payloads(self, channel):
        return [payload for name, _, payload in self.hints if name == channel]


class Memory:
    def __init__(self):
        self.bus = Bus()

    def broker(self, sender):
        return MemoryBroker(ThreadDriver(), sender, self.bus)


class Redis:
    def __init__(self, valkey):
        self.valkey, self.prefix = valkey, f"contract{next(prefixes)}"

    def broker(self, sender, prefix=None):
        return RedisBroker(ThreadDriver(), sender, self.valkey.url, prefix or self.prefix)


@pytest.fixture(scope="module")
def valkey_cluster():
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def valkey_over_tls(valkey_server, tmp_path_factory):
    with tls_relay(valkey_server.port, tmp_path_factory.mktemp("tls")) as (port, trusted):
        yield SimpleNamespace(url=f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}")


@pytest.fixture(params=["memory", "valkey_server", "valkey_over_tls", "valkey_cluster"])
def site(request):
    """What joins the processes of one site: `site.broker(sender)`."""
    return Memory() if request.param == "memory" else Redis(request.getfixturevalue(request.param))


@pytest.fixture
def join(site):
    """join(sender, *channels) is a process that is up and subscribed: (broker, ear); closed after the test."""
    brokers = []

    def join(sender, *channels, broker=None):
        broker, ear = broker or site.broker(sender), Ear()
        brokers.append(broker)
        broker.subscribe(*channels)
        broker.begin(ear)
        ear.until(lambda: broker.is_up and ear.channels >= set(channels))
        return broker, ear

    yield join
    for broker in brokers:
        broker.close()


def test_what_one_publishes_the_others_hear_with_its_sender(join):
    (one, own), (_, ear), (_, another) = join(1, "a"), join(2, "a"), join(3, "a")
    one.publish("a", b"hello")
    for listener in (ear, another):
        listener.until(lambda listener=listener: listener.hints)
        assert listener.hints == [("a", 1, b"hello")]
    assert not own.hints, "nobody hears itself"


def test_a_senders_hints_come_in_order_in_each_channel(join):
    (one, _), (_, ear) = join(1), join(2, "a", "b")
    for number in range(2_000):
        one.publish("ab"[number % 2], b"%d" % number)
    ear.until(lambda: len(ear.hints) == 2_000)
    for first, channel in enumerate("ab"):
        assert list(map(int, ear.payloads(channel))) == list(range(first, 2_000, 2))


def test_what_is_flushed_comes_in_order_and_whole(join):
    """Hints leave by the loop, and by the run behind it, as it happens: some are more than a socket takes at once."""
    (one, _), (_, ear) = join(1), join(2, "a")
    payloads = [b"%d " % number + bytes(200_000 * (number % 50 == 7)) for number in range(1_000)]
    for number, payload in enumerate(payloads):
        one.publish("a", payload)
        if number % 3 == 0 or number % 50 == 7:
            one.flush()
        if number % 100 == 99:  # so that its run comes to wait
            ear.until(lambda number=number: len(ear.hints) == number + 1)
    assert ear.payloads("a") == payloads


def test_nobody_hears_what_he_did_not_ask_for(join):
    (one, _), (broker, ear) = join(1), join(2, "a", "last")
    one.publish("b", b"not for you")
    one.publish("a", b"for you")
    ear.until(lambda: ear.payloads("a"))
    broker.unsubscribe("a")
    broker.subscribe("c")
    ear.until(lambda: "c" in ear.channels)
    one.publish("c", b"later")
    ear.until(lambda: ear.payloads("c"))
    assert ear.hints == [("a", 1, b"for you"), ("c", 1, b"later")]


def test_channels_are_asked_for_and_given_up_by_the_thousand(join):
    names = [f"r:房间 {number}" for number in range(3_000)]
    (one, _), (broker, ear) = join(1), join(2, *names)
    broker.unsubscribe(*names[:-1])
    broker.subscribe("done")
    ear.until(lambda: "done" in ear.channels)
    one.publish(names[0], b"no")
    one.publish(names[-1], b"yes")
    ear.until(lambda: ear.hints)
    # On a cluster `done` is no word for the other nodes' channels: a hint may still come.
    assert (names[-1], 1, b"yes") in ear.hints
    assert {channel for channel, _, _ in ear.hints} <= {names[0], names[-1]}


def test_to_change_ones_mind_is_to_have_the_last_word(join):
    (one, _), (broker, ear) = join(1), join(2)
    for _ in range(5):
        broker.subscribe("a")
        broker.unsubscribe("a")
    broker.subscribe("a")
    broker.subscribe("end")
    ear.until(lambda: {"a", "end"} <= ear.channels)
    one.publish("a", b"here")
    ear.until(lambda: ear.hints)
    assert ear.hints == [("a", 1, b"here")]


@pytest.mark.parametrize(
    "payload", [b"", b"\x00\xff\r\n*3\r\n", bytes(1_000_000)], ids=["empty", "odd", "large"]
)
def test_a_payload_is_any_bytes(join, payload):
    (one, _), (_, ear) = join(4_294_967_295), join(2, "a")
    one.publish("a", payload)
    ear.until(lambda: ear.hints)
    assert ear.hints == [("a", 4_294_967_295, payload)]


def test_who_is_closed_hears_nothing_more_and_may_still_be_asked(join, site):
    (one, _), (closed, _), (_, other) = join(1), join(2, "a"), join(3, "a")
    closed.close()
    closed.publish("a", b"into the void")
    one.publish("a", b"to who is left")
    other.until(lambda: (("a", 1, b"to who is left")) in other.hints)


def test_it_begins_as_one_that_is_not_up(site):
    assert not site.broker(1).is_up


def test_alone_there_is_nobody_to_tell():
    broker, ear = MemoryBroker(ThreadDriver(), 1), Ear()
    broker.begin(ear)
    broker.subscribe("a")
    broker.publish("a", b"hello")
    assert broker.alone and not ear.hints and not ear.states


# -- what only a server can do


def test_it_goes_on_when_the_server_comes_back(own_valkey):
    site = Redis(own_valkey)
    (one, one_ear), (two, ear) = (begun(site.broker(number), "a", "b") for number in (1, 2))
    own_valkey.kill()
    for listener in (one_ear, ear):
        listener.until(lambda listener=listener: listener.states[-1:] == [False])
    one.publish("a", b"lost")
    two.subscribe("c")
    ear.channels.clear()
    own_valkey.start()
    for broker, listener in ((one, one_ear), (two, ear)):
        listener.until(lambda broker=broker, listener=listener: broker.is_up and listener.states[-1])
    ear.until(lambda: ear.channels == {"a", "b", "c"})
    one.publish("c", b"found")
    ear.until(lambda: ear.hints)
    assert ear.hints == [("c", 1, b"found")]
    for broker in (one, two):
        broker.close()


def test_it_notices_a_server_that_is_silent_and_never_waits_for_it(own_valkey):
    broker, ear = Redis(own_valkey).broker(1), Ear()
    begun(broker, "a", ear=ear)
    own_valkey.pause()
    try:
        for number in range(1_000):
            broker.publish("a", b"%d" % number + bytes(10_000))
            broker.flush()
        ear.until(lambda: ear.states[-1:] == [False])
        assert not broker.is_up
    finally:
        own_valkey.resume()
    ear.until(lambda: ear.states[-1:] == [True])
    broker.close()


def test_a_channel_is_followed_to_another_node_of_a_cluster(valkey_cluster):
    site = Redis(valkey_cluster)
    (one, _), (two, ear) = begun(site.broker(1)), begun(site.broker(2), "a")
    slot = key_slot(f"{site.prefix}:a".encode())
    owner = next(node for node in valkey_cluster.nodes if node.port == holder(valkey_cluster, slot))
    other = next(node for node in valkey_cluster.nodes if node is not owner)
    ear.channels.clear()
    valkey_cluster.move(slot, other)
    ear.until(lambda: "a" in ear.channels)

    def is_heard():
        one.publish("a", b"after the move")
        return ear.hints

    until(is_heard)
    assert set(ear.hints) == {("a", 1, b"after the move")}
    assert holder(valkey_cluster, slot) == other.port
    for broker in (one, two):
        broker.close()


def holder(cluster, slot):
    """The port of the node that has a slot."""
    shown = cluster.nodes[0].ask("CLUSTER SLOTS")
    (found,) = (primary[1] for first, last, primary, *_ in shown if first <= slot <= last)
    return found


def test_messages_go_through_the_node_of_their_channel_alone(valkey_cluster):
    site = Redis(valkey_cluster)
    names = [f"r:{number}" for number in range(300)]
    (one, _), (two, ear) = begun(site.broker(1)), begun(site.broker(2), *names)
    before = [published(node) for node in valkey_cluster.nodes]
    for name in names:
        one.publish(name, b"x")
    ear.until(lambda: len(ear.hints) == len(names))
    shares = [published(node) - count for node, count in zip(valkey_cluster.nodes, before, strict=True)]
    assert sum(shares) == len(names) and min(shares) > 50
    for broker in (one, two):
        broker.close()


def published(node):
    return node.ask("INFO", "commandstats").get("cmdstat_spublish", {}).get("calls", 0)


def test_sites_with_prefixes_of_their_own_do_not_meet(valkey_server):
    site = Redis(valkey_server)
    (one, _), (_, ear), (stranger, _) = (
        begun(site.broker(number, prefix), "a") for number, prefix in ((1, "p"), (2, "p"), (3, "q"))
    )
    stranger.publish("a", b"strange")
    one.publish("a", b"own")
    ear.until(lambda: ear.hints)
    assert ear.hints == [("a", 1, b"own")]


def test_it_may_try_as_often_as_it_takes(own_valkey, monkeypatch):
    monkeypatch.setattr(link, "LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(link, "FIRST_PAUSE", 0.001)
    broker, ear = begun(Redis(own_valkey).broker(1), "a")
    own_valkey.kill()
    made = []
    make = broker._pool.make_connection
    monkeypatch.setattr(broker._pool, "make_connection", lambda: made.append(1) or make())
    until(lambda: len(made) > 300)
    own_valkey.start()
    ear.until(lambda: ear.states[-1])
    broker.close()


def test_a_url_that_cannot_be_read_is_told_in_a_sentence():
    with pytest.raises(ConfigError, match="CHAT_REDIS_URL"):
        RedisBroker(ThreadDriver(), 1, "http://localhost", "chat")


def begun(broker, *channels, ear=None):
    ear = ear or Ear()
    broker.subscribe(*channels)
    broker.begin(ear)
    ear.until(lambda: broker.is_up and ear.channels >= set(channels))
    return broker, ear
