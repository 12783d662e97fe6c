"""The link between two workers: its framing, descriptors, and how it closes."""

import _socket
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.socketio.forwarding.links import LENGTHS, MAX_BODY, MAX_HEAD, Link, Reader, encode

heads = st.dictionaries(
    st.text(max_size=9), st.one_of(st.integers(0, 1 << 31), st.text(max_size=30)), max_size=4
)
messages = st.lists(st.tuples(heads, st.binary(max_size=200)), max_size=6)


@given(messages, st.lists(st.integers(1, 60)))
def test_messages_are_split_however_they_arrive(sent, sizes):
    stream, reader, received = b"".join(encode(*message) for message in sent), Reader(), []
    for size in [*sizes, len(stream)]:
        received += reader.feed(stream[:size])
        stream = stream[size:]
    assert received == sent


@pytest.mark.parametrize(
    "stream",
    [
        LENGTHS.pack(MAX_HEAD + 1, 0),
        LENGTHS.pack(2, MAX_BODY + 1) + b"{}",
        LENGTHS.pack(2, 0) + b"[]",
        LENGTHS.pack(3, 0) + b"{]}",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["head too long", "body too long", "no object", "no JSON", "another protocol"],
)
def test_a_malformed_stream_raises(stream):
    with pytest.raises(ValueError):  # noqa: PT011
        list(Reader().feed(stream))


class Loop:
    """In place of the reactor: records which links are parked, and which wait to be writable."""

    def __init__(self):
        self.parked, self.writing = set(), set()

    def add(self, parked, internal):
        assert internal
        self.parked.add(parked)

    def remove(self, parked):
        self.parked.discard(parked)
        self.writing.discard(parked)

    def watch_writable(self, parked, wanted):
        (self.writing.add if wanted else self.writing.discard)(parked)


class End:
    """One end of a link, and the messages that arrived there."""

    def __init__(self, loop, raw):
        self.received, self.close_count = [], 0
        self.link = Link(loop, raw, self._receive, self._close)

    def _receive(self, link, head, body):
        self.received.append((head, body))

    def _close(self, link):
        self.close_count += 1


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def ends(loop):
    pair = [_socket.socket(fileno=one.detach()) for one in socket.socketpair()]
    one, other = (End(loop, raw) for raw in pair)
    yield one, other
    one.link.drop()
    other.link.drop()


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        if is_open(fd):
            os.close(fd)


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def run(loop, *ends):
    """Write and read until nothing is left to do."""
    before = None
    while before != (before := [len(end.received) for end in ends]) or loop.writing:
        for link in list(loop.writing):
            link.writable()
        for end in ends:
            if end.link.fd >= 0:
                end.link.readable()


def test_a_message_arrives_at_the_other_end(loop, ends):
    one, other = ends
    one.link.send({"n": 1}, b"body")
    other.link.readable()
    assert other.received == [({"n": 1}, b"body")]
    assert loop.writing == set()


def test_more_than_the_kernel_takes_arrives_in_order(loop, ends):
    one, other = ends
    sent = [({"n": number}, bytes([number]) * 300_000) for number in range(8)]
    for head, body in sent:
        one.link.send(head, body)
    assert loop.writing == {one.link}
    run(loop, one, other)
    assert other.received == sent


def test_a_descriptor_comes_with_its_message(loop, ends, pipe):
    one, other = ends
    reading, writing = pipe
    one.link.send({"n": 1}, b"x" * 1_000_000)
    one.link.send({"n": 2}, b"with it" * 100_000, reading)  # in several pieces
    one.link.send({"n": 3}, b"behind it")
    assert is_open(reading)  # it waits behind the first
    run(loop, one, other)
    assert [head for head, _ in other.received] == [{"n": 1}, {"n": 2, "fd": True}, {"n": 3}]
    received = other.link.take_fd()
    os.write(writing, b"through it")
    assert os.read(received, 100) == b"through it"
    assert not os.get_inheritable(received)
    os.close(received)


def test_a_sent_descriptor_is_closed_here(ends, pipe):
    one, _ = ends
    one.link.send({}, fd=pipe[0])
    assert not is_open(pipe[0])


def test_descriptors_that_were_not_taken_are_closed_with_the_link(loop, ends, pipe):
    one, other = ends
    one.link.send({}, b"", pipe[0])
    other.link.readable()
    other.link.drop()
    with pytest.raises(BrokenPipeError):
        os.write(pipe[1], b"closed")


def test_a_descriptor_for_a_link_that_has_ended_is_closed(ends, pipe):
    one, other = ends
    other.link.drop()
    one.link.send({}, b"", pipe[0])
    assert not is_open(pipe[0])
    one.link.send({}, b"", pipe[1])
    assert not is_open(pipe[1])


def test_a_link_closes_once_when_the_other_end_does(loop, ends):
    one, other = ends
    other.link.send({"n": 1})
    other.link.drop()
    run(loop, one)
    one.link.send({"n": 2})
    assert one.received == [({"n": 1}, b"")]
    assert (one.close_count, other.close_count) == (1, 1)
    assert loop.parked == set()


def test_a_malformed_message_closes_it(loop, ends):
    one, other = ends
    other.link._socket.send(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ValueError, match="too long") as error:
        one.link.readable()
    one.link.fail(error.value)  # as the reactor does
    assert one.close_count == 1


def test_nothing_is_delivered_after_the_close(ends):
    one, other = ends
    one.link._on_message = lambda link, head, body: (one.received.append(head), link.drop())
    other.link.send({"n": 1})
    other.link.send({"n": 2})
    one.link.readable()
    assert one.received == [{"n": 1}]
