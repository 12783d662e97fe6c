"""One connection over a pair of sockets: reading, the order of writing, the close."""

import pytest

from chat.loop.stats import Stats
from chat.rooms.client import CLOSE_TIMEOUT, READ_BYTES, READ_MESSAGES
from chat.rooms.room import write_all
from chat.wire import frames
from tests import client_owner as owners
from tests.server_frames import frames as unframed
from tests.wsclient import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame, text_frame

ROOM = frames.text_frame(b"the room's")
OWN = frames.text_frame(b"its own")


@pytest.fixture
def owner():
    return owners.Owner(outbox_bytes=200_000)


@pytest.fixture
def pair(owner, request):
    client, peer = owners.connect(owner, **getattr(request, "param", {}))
    yield client, peer
    client.drop()
    peer.sock.close()


SMALL_BUFFER = pytest.mark.parametrize("pair", [{"sndbuf": 4096}], indirect=True)


def fill(client, size=1 << 16):
    """Send until the kernel takes no more, and return the bytes that were sent."""
    sent = bytearray()
    while not client.waiting:
        data = frames.text_frame(bytes([65 + len(sent) % 26]) * size)
        write_all([client], data, Stats())
        sent += data
    return bytes(sent)


def drain(client, peer):
    """Have the peer read all that waits, and return it."""
    data = peer.read()
    while client.waiting:
        client.writable()
        data += peer.read()
    return data + peer.read()


def close_of(data):
    """Return the code of the close frame at the end of `data`."""
    opcode, payload = unframed(data)[-1]
    assert opcode == CLOSE
    return int.from_bytes(payload[:2], "big")


# -- reading


def test_whole_messages_are_served_in_order(owner, pair):
    client, peer = pair
    peer.write(
        text_frame("one")
        + frame(BINARY, b"two")
        + frame(TEXT, b"thr", fin=False)
        + frame(CONTINUATION, b"ee")
    )
    assert client.readable() is False
    assert owner.received == ["one", b"two", "three"]


def test_reading_without_data_does_nothing(owner, pair):
    client, _ = pair
    assert client.readable() is False
    assert client.fd >= 0 and not owner.leavers


def test_a_message_in_pieces_is_served_when_it_is_whole(owner, pair):
    client, peer = pair
    for byte in text_frame("你好"):
        assert owner.received == []
        peer.write(bytes([byte]))
        client.readable()
    assert owner.received == ["你好"]


def test_messages_over_the_bound_of_a_tick_wait_for_the_next(owner, pair):
    client, peer = pair
    texts = [str(i) for i in range(2 * READ_MESSAGES + 1)]
    peer.write(b"".join(map(text_frame, texts)))
    assert client.readable() is True
    assert owner.received == texts[:READ_MESSAGES]
    assert client.readable() is True
    assert client.readable() is False
    assert owner.received == texts


def test_bytes_over_the_bound_of_a_tick_wait_for_the_next(owner, pair):
    client, peer = pair
    one = text_frame("x" * 8_000)
    count = 2 * READ_BYTES // len(one) + 1
    peer.sock.setblocking(True)
    peer.write(one * count)
    client.readable()
    assert 0 < len(owner.received) <= READ_BYTES // len(one)
    while len(owner.received) < count:
        before = len(owner.received)
        client.readable()
        assert len(owner.received) - before <= READ_BYTES // len(one) + 1


def test_any_data_counts_as_a_sign_of_life(owner, pair):
    client, peer = pair
    client.pinged = owner.now
    owner.now += 5
    peer.write(frame(PONG))
    client.readable()
    assert (client.seen, client.pinged) == (owner.now, 0.0)


def test_the_start_of_an_unfinished_message_is_noted(owner, pair):
    client, peer = pair
    began = owner.now
    for piece in (
        frame(TEXT, b"a", fin=False),
        frame(CONTINUATION, b"b", fin=False),
        frame(PING),
        frame(CONTINUATION)[:3],
    ):
        peer.write(piece)
        client.readable()
        assert client.began == began
        owner.now += 1
    peer.write(frame(CONTINUATION)[3:])
    client.readable()


def test_the_next_message_has_a_start_of_its_own(owner, pair):
    client, peer = pair
    peer.write(text_frame("whole"))
    client.readable()
    assert client.began == 0.0
    half = text_frame("half")
    peer.write(half[:5])
    client.readable()
    owner.now += 5
    peer.write(half[5:] + half[:5])
    client.readable()
    assert client.began == owner.now
    peer.write(half[5:])
    client.readable()
    assert client.began == 0.0


def test_a_ping_is_answered_with_its_payload(owner, pair):
    client, peer = pair
    peer.write(frame(PING, b"abc") + frame(PONG, b"unasked"))
    client.readable()
    owner.flush()
    assert unframed(peer.read()) == [(PONG, b"abc")]


# -- writing


def test_own_frames_are_sent_before_the_rooms_in_one_write(owner, pair):
    client, peer = pair
    client.enqueue(OWN)
    client.enqueue(OWN)
    write_all([client], ROOM, owner.stats)
    assert peer.sock.recv(1 << 16) == OWN + OWN + ROOM
    owner.flush()
    assert peer.read() == b""
    write_all([client], ROOM, owner.stats)
    assert peer.read() == ROOM


def test_own_frames_alone_are_sent_at_the_end_of_the_tick(owner, pair):
    client, peer = pair
    client.enqueue(OWN)
    assert peer.read() == b""
    owner.flush()
    assert peer.read() == OWN


@SMALL_BUFFER
def test_bytes_that_the_kernel_does_not_take_keep_their_order(owner, pair):
    client, peer = pair
    expected = fill(client, size=10_000)
    assert owner.watched[client] is True
    for i in range(40):
        piece = frames.text_frame(b"%d" % i * 100)
        if i % 2:
            client.enqueue(piece)
        else:
            write_all([client], piece, owner.stats)
        expected += piece
    owner.flush()
    assert client.waiting > 0
    assert drain(client, peer) == expected
    assert owner.watched[client] is False
    write_all([client], ROOM, owner.stats)
    client.enqueue(OWN)
    owner.flush()
    assert peer.read() == ROOM + OWN


@SMALL_BUFFER
def test_own_frames_that_do_not_fit_are_kept_too(owner, pair):
    client, peer = pair
    big = frames.text_frame(b"o" * 100_000)
    client.enqueue(big)
    write_all([client], ROOM, owner.stats)
    assert client.waiting > 0
    write_all([client], ROOM, owner.stats)
    assert drain(client, peer) == big + ROOM + ROOM


def test_any_number_of_own_frames_is_sent_in_one_flush(owner, pair):
    client, peer = pair
    many = [frames.text_frame(b"%05d" % i * 5) for i in range(2_000)]
    for piece in many:
        client.enqueue(piece)
    owner.flush()
    assert client.fd >= 0
    assert drain(client, peer) == b"".join(many)


@SMALL_BUFFER
def test_the_time_since_which_bytes_wait_is_noted(owner, pair):
    client, peer = pair
    assert client.behind_since == float("inf")
    fill(client)
    since = owner.now
    owner.now += 5
    write_all([client], ROOM, owner.stats)
    assert client.behind_since == since
    drain(client, peer)
    assert client.behind_since == float("inf")


@SMALL_BUFFER
def test_a_client_over_its_bound_is_closed_once_with_whole_frames(owner, pair):
    client, peer = pair
    expected = fill(client)
    while client.waiting <= owner.outbox_bytes:
        assert not owner.slow
        write_all([client], frames.text_frame(b"y" * 50_000), owner.stats)
    write_all([client], ROOM, owner.stats)
    assert set(owner.slow) == {client}
    owner.flush()
    owner.flush()
    assert owner.leavers == [client]
    assert client.waiting < owner.outbox_bytes  # what waited is given up but for a frame begun
    data = drain(client, peer)
    assert data.startswith(expected)
    assert [opcode for opcode, _ in unframed(data)].count(CLOSE) == 1
    assert close_of(data) == 4408


@SMALL_BUFFER
def test_one_slow_member_does_not_delay_the_others(owner, pair):
    slow, _ = pair
    quick, peer = owners.connect(owner)
    fill(slow)
    peer.read()
    write_all([slow, quick], ROOM, owner.stats)
    assert peer.read() == ROOM
    quick.drop()
    peer.sock.close()


def test_a_member_with_a_failed_connection_is_dropped_alone(owner, pair):
    dead, gone = pair
    alive, peer = owners.connect(owner)
    gone.sock.close()
    for _ in range(2):  # the first may still be taken by the kernel
        write_all([dead, alive], ROOM, owner.stats)
    assert owner.leavers == [dead]
    assert dead.fd < 0
    assert peer.read() == ROOM * 2
    alive.drop()
    peer.sock.close()


# -- the end


def test_the_socket_ends_once_our_close_is_answered(owner, pair):
    client, peer = pair
    client.enqueue(OWN)
    client.close(4401, "token")
    assert owner.leavers == [client]
    owner.flush()
    assert unframed(peer.read()) == [unframed(OWN)[0], (CLOSE, close_payload(4401, "token"))]
    assert client.fd >= 0
    peer.write(frame(CLOSE, close_payload(4401)))
    client.readable()
    assert client.fd < 0
    assert owner.forgotten == [client]
    assert peer.ended()
    assert client.close_code == 4401


def test_our_close_shuts_down_the_write_side(owner, pair):
    client, peer = pair
    client.close(1012)
    owner.flush()
    data = peer.sock.recv(1 << 16)
    assert close_of(data) == 1012
    assert peer.sock.recv(1) == b""


def test_a_client_that_does_not_answer_our_close_is_dropped(owner, pair):
    client, _ = pair
    client.close(1012)
    owner.flush()
    owner.now += CLOSE_TIMEOUT - 0.01
    client.flush()
    assert client.fd >= 0
    owner.now += 0.02
    client.flush()
    assert client.fd < 0


@pytest.mark.parametrize(
    ("payload", "answer"), [(close_payload(1000, "bye"), 1000), (close_payload(3999), 3999), (b"", 1000)]
)
def test_a_clients_close_is_answered_and_the_socket_ends_at_once(owner, pair, payload, answer):
    client, peer = pair
    peer.write(frame(CLOSE, payload))
    client.readable()
    assert owner.leavers == [client]
    owner.flush()
    assert close_of(peer.read()) == answer
    assert peer.ended()
    assert client.fd < 0


def test_messages_before_a_clients_close_are_served_and_none_after(owner, pair):
    client, peer = pair
    peer.write(text_frame("before") + frame(CLOSE, close_payload(1000)) + text_frame("after"))
    client.readable()
    assert owner.received == ["before"]


def test_messages_of_a_closing_client_are_ignored(owner, pair):
    client, peer = pair
    client.close(4401)
    peer.write(text_frame("smuggled") + frame(PING, b"x"))
    client.readable()
    owner.flush()
    assert owner.received == []
    assert [opcode for opcode, _ in unframed(peer.read())] == [CLOSE]


def test_a_second_close_does_nothing(owner, pair):
    client, peer = pair
    client.close(4403)
    client.close(1012)
    owner.flush()
    assert [int.from_bytes(payload, "big") for _, payload in unframed(peer.read())] == [4403]
    assert owner.leavers == [client]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"{}", mask=False), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x" * 10_001), 1009),
        (frame(TEXT, b"x" * 6_000, fin=False) + frame(CONTINUATION, b"x" * 6_000), 1009),
        (frame(CLOSE, close_payload(1005)), 1002),
    ],
    ids=["no mask", "no UTF-8", "too big", "too big in pieces", "a bad close"],
)
def test_a_protocol_error_closes_after_the_good_messages(owner, pair, data, code):
    client, peer = pair
    peer.write(text_frame("good") + data + text_frame("after"))
    client.readable()
    owner.flush()
    assert owner.received == ["good"]
    assert close_of(peer.read()) == code


def test_a_client_that_disconnects_has_left(owner, pair):
    client, peer = pair
    peer.sock.close()
    assert client.readable() is False
    assert owner.leavers == [client]
    assert owner.forgotten == [client]
    assert (client.fd, client.close_code) == (-1, 1006)


def test_all_calls_on_a_dropped_client_are_harmless(owner, pair):
    client, _ = pair
    client.drop()
    client.drop()
    client.close(1000)
    client.writable()
    client.flush()
    assert client.send(ROOM) == len(ROOM)
    assert owner.leavers == [client]


@SMALL_BUFFER
def test_a_slow_client_gets_its_close_without_all_that_waited(owner, pair):
    client, peer = pair
    expected = fill(client)
    for _ in range(3):
        write_all([client], ROOM, owner.stats)
    client.close(1012)
    owner.flush()
    data = drain(client, peer)
    assert data == expected + frames.close_frame(1012)
    peer.write(frame(CLOSE, close_payload(1012)))
    client.readable()
    assert client.fd < 0


def test_a_client_whose_serving_raised_is_closed_with_1011(owner, pair):
    client, peer = pair
    client.fail(RuntimeError("a handler's"))
    owner.flush()
    assert close_of(peer.read()) == 1011


def test_a_client_whose_failure_cannot_be_sent_is_dropped(owner, pair):
    client, peer = pair
    owner.report_failure = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        client.fail(RuntimeError("a handler's"))
    assert client.fd < 0
    client.fail(RuntimeError("again"))
    assert peer.ended()
