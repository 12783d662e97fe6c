"""The contract of every broker (chat/cluster/broker/base.py): in memory, on a Valkey, over TLS, and on a cluster."""

import pytest

from chat.cluster.broker.memory import MemoryBroker
from chat.loop.drivers import ThreadDriver
from tests.contract.brokers import MemorySite, RecordingListener, RedisSite, start


@pytest.fixture(params=["memory", "valkey_server", "valkey_over_tls", "valkey_cluster"])
def site(request):
    """A site of several processes: `site.broker(sender)` is the broker of one."""
    return MemorySite() if request.param == "memory" else RedisSite(request.getfixturevalue(request.param))


@pytest.fixture
def join(site):
    """join(sender, *channels) starts a subscribed process, until the test ends: (broker, listener)."""
    brokers = []

    def join(sender, *channels):
        brokers.append(site.broker(sender))
        return start(brokers[-1], *channels)

    yield join
    for broker in brokers:
        broker.close()


def test_every_other_subscriber_receives_a_message_with_its_sender(join):
    (one, own), (_, second), (_, third) = join(1, "a"), join(2, "a"), join(3, "a")
    one.publish("a", b"hello")
    for listener in (second, third):
        listener.wait_for(lambda listener=listener: listener.messages)
        assert listener.messages == [("a", 1, b"hello")]
    assert not own.messages, "a process does not receive its own messages"


def test_messages_of_a_sender_keep_their_order_in_each_channel(join):
    (one, _), (_, listener) = join(1), join(2, "a", "b")
    for number in range(2_000):
        one.publish("ab"[number % 2], b"%d" % number)
    listener.wait_for(lambda: len(listener.messages) == 2_000)
    for first, channel in enumerate("ab"):
        assert list(map(int, listener.payloads(channel))) == list(range(first, 2_000, 2))


def test_flushed_messages_arrive_whole_and_in_order(join):
    """The loop and the background task both send messages; some are larger than a socket takes at once."""
    (one, _), (_, listener) = join(1), join(2, "a")
    payloads = [b"%d " % number + bytes(200_000 * (number % 50 == 7)) for number in range(1_000)]
    for number, payload in enumerate(payloads):
        one.publish("a", payload)
        if number % 3 == 0 or number % 50 == 7:
            one.flush()
        if number % 100 == 99:  # let the background task become idle
            listener.wait_for(lambda number=number: len(listener.messages) == number + 1)
    assert listener.payloads("a") == payloads


def test_only_subscribed_channels_are_received(join):
    (one, _), (broker, listener) = join(1), join(2, "a", "last")
    one.publish("b", b"not for you")
    one.publish("a", b"for you")
    listener.wait_for(lambda: listener.payloads("a"))
    broker.unsubscribe("a")
    broker.subscribe("c")
    listener.wait_for(lambda: "c" in listener.channels)
    one.publish("c", b"later")
    listener.wait_for(lambda: listener.payloads("c"))
    assert listener.messages == [("a", 1, b"for you"), ("c", 1, b"later")]


def test_thousands_of_channels_can_be_subscribed_and_unsubscribed(join):
    names = [f"r:房间 {number}" for number in range(3_000)]
    (one, _), (broker, listener) = join(1), join(2, *names)
    broker.unsubscribe(*names[:-1])
    broker.subscribe("done")
    listener.wait_for(lambda: "done" in listener.channels)
    one.publish(names[0], b"no")
    one.publish(names[-1], b"yes")
    # On a cluster `done` says nothing about other nodes' channels: their messages may still arrive, and earlier.
    listener.wait_for(lambda: (names[-1], 1, b"yes") in listener.messages)
    assert {channel for channel, _, _ in listener.messages} <= {names[0], names[-1]}


def test_the_last_of_several_changes_of_a_subscription_counts(join):
    (one, _), (broker, listener) = join(1), join(2)
    for _ in range(5):
        broker.subscribe("a")
        broker.unsubscribe("a")
    broker.subscribe("a")
    broker.subscribe("end")
    listener.wait_for(lambda: {"a", "end"} <= listener.channels)
    one.publish("a", b"here")
    listener.wait_for(lambda: listener.messages)
    assert listener.messages == [("a", 1, b"here")]


@pytest.mark.parametrize(
    "payload", [b"", b"\x00\xff\r\n*3\r\n", bytes(1_000_000)], ids=["empty", "odd", "large"]
)
def test_a_payload_is_any_bytes(join, payload):
    (one, _), (_, listener) = join(4_294_967_295), join(2, "a")
    one.publish("a", payload)
    listener.wait_for(lambda: listener.messages)
    assert listener.messages == [("a", 4_294_967_295, payload)]


def test_publishing_on_a_closed_broker_does_nothing(join):
    (one, _), (closed, _), (_, other) = join(1), join(2, "a"), join(3, "a")
    closed.close()
    closed.publish("a", b"from a closed broker")
    one.publish("a", b"to the others")
    other.wait_for(lambda: ("a", 1, b"to the others") in other.messages)


def test_a_broker_starts_disconnected(site):
    assert not site.broker(1).is_up


def test_a_single_process_publishes_to_nobody():
    broker, listener = MemoryBroker(ThreadDriver(), 1), RecordingListener()
    broker.start(listener)
    broker.subscribe("a")
    broker.publish("a", b"hello")
    assert broker.alone and not listener.messages and not listener.states
