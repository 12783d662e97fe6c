"""A WebSocket client for tests, on a plain blocking socket, that says every byte it is told to.

It reads only when asked to: a client that does not call `recv` is a stalled reader. Every wait has a deadline and
ends on the condition itself; nothing here sleeps. Pings are answered while reading, unless `auto_pong` is off.
"""

import base64
import json
import os
import socket
import struct
import time
from hashlib import sha1
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Seconds that a wait lasts unless told otherwise; long, for a busy machine: a test that passes never needs it.
TIMEOUT = 10.0


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


class Refused(Exception):
    """The server answered the upgrade with something else than 101."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body[:300]!r}")
        self.status, self.headers, self.body = status, headers, body


class Closed(Exception):
    """The connection ended: `code` is the close frame's (1005: it had none; 1006: there was no close frame)."""

    def __init__(self, code, reason):
        super().__init__(code, reason)
        self.code, self.reason = code, reason


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=True):
    """The bytes of one frame, masked as a client's must be (`mask=False`: as none may be)."""
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    flag, size = 0x80 if mask else 0, len(payload)
    if size < 126:
        head += bytes((flag | size,))
    elif size < 65536:
        head += struct.pack("!BH", flag | 126, size)
    else:
        head += struct.pack("!BQ", flag | 127, size)
    return head + (masked(payload) if mask else payload)


def masked(payload):
    key = os.urandom(4)
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return key + mixed.to_bytes(len(payload), "little")


def text_frame(value, **options):
    """One text frame of a str, or of anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return frame(TEXT, text.encode(), **options)


def close_payload(code, reason=""):
    return struct.pack("!H", code) + reason.encode()


def connect(
    host, port, path, headers=None, *, early=b"", timeout=TIMEOUT, rcvbuf=None, auto_pong=True, tls=None
):
    """A client whose upgrade has succeeded, or Refused; `early` travels in the same packet as the handshake."""
    sock = socket.socket()
    try:
        if rcvbuf:  # before connect, or the window has been promised already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(timeout)
        sock.connect((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=host)
        client = WSClient(sock, timeout, auto_pong)
        client.handshake(f"{host}:{port}", path, headers or {}, early)
    except BaseException:
        sock.close()
        raise
    return client


class WSClient:
    """One connection. `log` holds every frame that came, in order; `headers` those of the 101."""

    def __init__(self, sock, timeout, auto_pong):
        self.sock, self.timeout, self.auto_pong = sock, timeout, auto_pong
        self.log: list[Frame] = []
        self.headers: dict[str, str] = {}
        self.closed: tuple[int, str] | None = None
        self._buffer = bytearray()
        self._parts: list[Frame] = []
        self._inbox: list[str | bytes] = []
        self._said_goodbye = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # -- the handshake

    def handshake(self, host, path, headers, early):
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items() if v is not None), "", ""]
        self.sock.sendall("\r\n".join(lines).encode() + early)
        status = self._read_head()
        if status != 101:
            raise Refused(status, self.headers, self._read_body())
        expected = base64.b64encode(sha1(fields["Sec-WebSocket-Key"].encode() + GUID).digest()).decode()
        if self.headers.get("sec-websocket-accept") != expected:
            raise Refused(status, self.headers, b"the Sec-WebSocket-Accept is not that of the key")

    def _read_head(self):
        deadline = time.monotonic() + self.timeout
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill(deadline):
                raise Closed(1006, f"no HTTP answer, only {bytes(self._buffer)!r}")
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        status, *fields = head.decode("latin-1").split("\r\n")
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in fields)}
        return int(status.split()[1])

    def _read_body(self):
        deadline = time.monotonic() + self.timeout
        want = int(self.headers.get("content-length", 1 << 62))
        while len(self._buffer) < want and self._fill(deadline):
            pass
        return bytes(self._buffer)

    # -- sending

    def send_raw(self, data):
        self.sock.sendall(data)

    def send_frame(self, opcode, payload=b"", **options):
        self.send_raw(frame(opcode, payload, **options))

    def send_text(self, text):
        self.send_frame(TEXT, text.encode())

    def send_json(self, message):
        self.send_raw(text_frame(message))

    def send_binary(self, payload):
        self.send_frame(BINARY, payload)

    def send_fragmented(self, text, pieces=3, between=b""):
        """One text message in `pieces` frames, cut anywhere (in the midst of a character too)."""
        data = text.encode()
        step = max(1, -(-len(data) // pieces))
        cut = [data[i : i + step] for i in range(0, len(data), step)] or [b""]
        for i, piece in enumerate(cut):
            self.send_raw(frame(CONTINUATION if i else TEXT, piece, fin=i == len(cut) - 1))
            if between and i < len(cut) - 1:
                self.send_raw(between)

    def ping(self, payload=b"ping", timeout=None):
        """Send a ping and wait for the pong that carries the same bytes; messages before it are kept for `recv`."""
        self.send_frame(PING, payload)
        deadline = self._deadline(timeout)
        while True:
            got = self._next_frame(deadline)
            if got.opcode == PONG and got.payload == payload:
                return
            message = self._collect(got)
            if message is not None:
                self._inbox.append(message)

    def close(self, code=1000, reason="", timeout=None):
        """Close as RFC 6455 says: send the frame, wait for the server's; its (code, reason) is returned."""
        self._said_goodbye = True
        self.send_frame(CLOSE, close_payload(code, reason))
        return self.wait_closed(timeout)

    def abort(self):
        """Be gone with a reset, as a process that crashed is."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # -- receiving

    def recv(self, timeout=None):
        """The next message, text as str, binary as bytes; Closed at the end, TimeoutError at the deadline."""
        deadline = self._deadline(timeout)
        while not self._inbox:
            message = self._collect(self._next_frame(deadline))
            if message is not None:
                return message
        return self._inbox.pop(0)

    def recv_here(self):
        """The JSON messages that have come whole, without waiting; Closed where there are none and will be none."""
        messages, self._inbox = self._inbox, []
        try:
            while True:
                message = self._collect(self._next_frame(None))
                if message is not None:
                    messages.append(message)
        except BlockingIOError:
            pass
        except Closed:
            if not messages:
                raise
        return [json.loads(message) for message in messages]

    def recv_frame(self, timeout=None):
        """The next frame of any kind but a close, which raises Closed."""
        return self._next_frame(self._deadline(timeout))

    def recv_json(self, timeout=None, **fields):
        """The next message that has all these field values; others before it are passed over."""
        return self.recv_until(lambda m: all(m.get(k) == v for k, v in fields.items()), timeout)[-1]

    def recv_until(self, wanted, timeout=None):
        """Every JSON message up to and including the first that `wanted` accepts."""
        deadline, seen = self._deadline(timeout), []
        while True:
            try:
                message = self.recv(deadline - time.monotonic())
            except TimeoutError:
                raise TimeoutError(f"not among the {len(seen)} messages that came: {seen[-5:]}") from None
            seen.append(json.loads(message))
            if wanted(seen[-1]):
                return seen

    def recv_nothing(self, during=0.3):
        """Hold that no message comes for so many seconds."""
        try:
            message = self.recv(during)
        except TimeoutError:
            return
        raise AssertionError(f"nothing was expected, and there came {message!r}")

    def wait_closed(self, timeout=None):
        """(code, reason) of the server's close frame, once the TCP stream has ended too; (1006, "") without one."""
        deadline = self._deadline(timeout)
        try:
            while True:
                self._next_frame(deadline)
        except Closed as end:
            if not self._said_goodbye:
                self._answer_close(end.code)
        while self._fill(deadline):
            pass
        return self.closed

    # -- the bytes

    def _deadline(self, timeout):
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def _fill(self, deadline):
        """Read once, without a deadline only what is there (or BlockingIOError); False at the end of the stream."""
        left = 0.0 if deadline is None else deadline - time.monotonic()
        if left <= 0 and deadline is not None:
            raise TimeoutError("the deadline passed")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            return False
        self._buffer += data
        return bool(data)

    def _next_frame(self, deadline):
        if self.closed:
            raise Closed(*self.closed)
        while (got := self._take_frame()) is None:
            if not self._fill(deadline):
                self.closed = (1006, "")
                raise Closed(*self.closed)
        self.log.append(got)
        if got.opcode == PING and self.auto_pong:
            self.send_frame(PONG, got.payload)
        elif got.opcode == CLOSE:
            self.closed = _close_of(got.payload)
            raise Closed(*self.closed)
        return got

    def _take_frame(self):
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[1] & 0x80:
            raise AssertionError("the server masked a frame, which RFC 6455 5.1 forbids")
        size, head = buffer[1] & 0x7F, 2
        if size > 125:
            head = 4 if size == 126 else 10
            if len(buffer) < head:
                return None
            size = int.from_bytes(buffer[2:head], "big")
        if len(buffer) < head + size:
            return None
        got = Frame(
            buffer[0] & 15, bytes(buffer[head : head + size]), bool(buffer[0] & 0x80), buffer[0] >> 4 & 7
        )
        del buffer[: head + size]
        return got

    def _collect(self, got):
        """The whole message that this frame ends, or None."""
        if got.opcode >= CLOSE:
            return None
        self._parts.append(got)
        if not got.fin:
            return None
        parts, self._parts = self._parts, []
        data = b"".join(part.payload for part in parts)
        return data.decode() if parts[0].opcode == TEXT else data

    def _answer_close(self, code):
        """The other half of the closing handshake; a server that is gone already needs none."""
        payload = b"" if code in (1005, 1006) else close_payload(code)
        try:
            self.send_frame(CLOSE, payload)
        except OSError:
            return


def _close_of(payload):
    if not payload:
        return 1005, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()
