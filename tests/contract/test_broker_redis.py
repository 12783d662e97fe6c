"""What the Redis broker does when its server fails, hangs or moves a channel, and what keeps sites apart."""

import pytest
from redis.crc import key_slot

from chat.cluster.broker import link
from chat.cluster.broker.redis import RedisBroker
from chat.config import ConfigError
from chat.loop.drivers import ThreadDriver
from tests.contract.brokers import RecordingListener, RedisSite, start
from tests.waiting import until


def test_it_reconnects_and_subscribes_again_when_the_server_is_back(own_valkey):
    site = RedisSite(own_valkey)
    (one, first), (two, second) = (start(site.broker(number), "a", "b") for number in (1, 2))
    own_valkey.kill()
    for listener in (first, second):
        listener.wait_for(lambda listener=listener: listener.states[-1:] == [False])
    one.publish("a", b"lost")
    two.subscribe("c")
    second.channels.clear()
    own_valkey.start()
    for broker, listener in ((one, first), (two, second)):
        listener.wait_for(lambda broker=broker, listener=listener: broker.is_up and listener.states[-1])
    second.wait_for(lambda: second.channels == {"a", "b", "c"})
    one.publish("c", b"received")
    second.wait_for(lambda: second.messages)
    assert second.messages == [("c", 1, b"received")]
    for broker in (one, two):
        broker.close()


def test_it_notices_a_server_that_hangs_and_never_blocks_on_it(own_valkey):
    broker, listener = RedisSite(own_valkey).broker(1), RecordingListener()
    start(broker, "a", listener=listener)
    own_valkey.pause()
    try:
        for number in range(1_000):
            broker.publish("a", b"%d" % number + bytes(10_000))
            broker.flush()
        listener.wait_for(lambda: listener.states[-1:] == [False])
        assert not broker.is_up
    finally:
        own_valkey.resume()
    listener.wait_for(lambda: listener.states[-1:] == [True])
    broker.close()


def test_it_follows_a_channel_to_another_node_of_a_cluster(valkey_cluster):
    site = RedisSite(valkey_cluster)
    (one, _), (two, listener) = start(site.broker(1)), start(site.broker(2), "a")
    slot = key_slot(f"{site.prefix}:a".encode())
    owner = next(node for node in valkey_cluster.nodes if node.port == port_of(valkey_cluster, slot))
    other = next(node for node in valkey_cluster.nodes if node is not owner)
    listener.channels.clear()
    valkey_cluster.move(slot, other)
    listener.wait_for(lambda: "a" in listener.channels)

    def is_received():
        one.publish("a", b"after the move")
        return listener.messages

    until(is_received)
    assert set(listener.messages) == {("a", 1, b"after the move")}
    assert port_of(valkey_cluster, slot) == other.port
    for broker in (one, two):
        broker.close()


def port_of(cluster, slot):
    """The port of the node that has a slot."""
    ranges = cluster.nodes[0].ask("CLUSTER SLOTS")
    (found,) = (primary[1] for first, last, primary, *_ in ranges if first <= slot <= last)
    return found


def test_a_message_passes_only_through_the_node_of_its_channel(valkey_cluster):
    site = RedisSite(valkey_cluster)
    names = [f"r:{number}" for number in range(300)]
    (one, _), (two, listener) = start(site.broker(1)), start(site.broker(2), *names)
    before = [published(node) for node in valkey_cluster.nodes]
    for name in names:
        one.publish(name, b"x")
    listener.wait_for(lambda: len(listener.messages) == len(names))
    shares = [published(node) - count for node, count in zip(valkey_cluster.nodes, before, strict=True)]
    assert sum(shares) == len(names) and min(shares) > 50
    for broker in (one, two):
        broker.close()


def published(node):
    return node.ask("INFO", "commandstats").get("cmdstat_spublish", {}).get("calls", 0)


def test_sites_with_different_prefixes_do_not_share_channels(valkey_server):
    site = RedisSite(valkey_server)
    (one, _), (_, listener), (stranger, _) = (
        start(site.broker(number, prefix), "a") for number, prefix in ((1, "p"), (2, "p"), (3, "q"))
    )
    stranger.publish("a", b"strange")
    one.publish("a", b"own")
    listener.wait_for(lambda: listener.messages)
    assert listener.messages == [("a", 1, b"own")]


def test_it_reconnects_after_any_number_of_attempts(own_valkey, monkeypatch):
    monkeypatch.setattr(link, "LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(link, "FIRST_PAUSE", 0.001)
    broker, listener = start(RedisSite(own_valkey).broker(1), "a")
    own_valkey.kill()
    made = []
    make = broker._pool.make_connection
    monkeypatch.setattr(broker._pool, "make_connection", lambda: made.append(1) or make())
    until(lambda: len(made) > 300)
    own_valkey.start()
    listener.wait_for(lambda: listener.states[-1])
    broker.close()


def test_a_url_that_cannot_be_read_is_refused_with_a_sentence():
    with pytest.raises(ConfigError, match="CHAT_REDIS_URL"):
        RedisBroker(ThreadDriver(), 1, "http://localhost", "chat")
