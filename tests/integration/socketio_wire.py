"""A raw Engine.IO client for tests of the protocol: it sends any bytes, and answers pings if wanted.

An Endpoint is one address of a server. Its sessions, over each transport, are used alike: `send`, `receive`,
`wait_closed`. Everything else is done with plain requests and frames.
"""

import base64
import http.client
import json
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlencode

from tests import wsclient
from tests.servers import Server

SEPARATOR = "\x1e"
#: Seconds that an answer may take at most; a test that passes needs far less.
TIMEOUT = 15.0
UNKNOWN_SID = {"code": 1, "message": "Session ID unknown"}
#: Timeouts that a busy machine does not reach, for tests that are not about them.
CALM = {"CHAT_IO_PING_INTERVAL": 25, "CHAT_IO_PING_TIMEOUT": 20, "CHAT_IO_CONNECT_TIMEOUT": 45}


def conformance(**env):
    """The conformance example as a process; without `env` as the public suites expect it."""
    return Server("gunicorn-gevent", env, "examples.socketio_conformance:app")


class Answer(NamedTuple):
    status: int
    body: str
    headers: http.client.HTTPMessage

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def packets(self):
        return self.body.split(SEPARATOR)


class Request:
    """A request that was sent; its `answer()` may be read later."""

    def __init__(self, connection):
        self._connection = connection

    def answer(self):
        got = self._connection.getresponse()
        answer = Answer(got.status, got.read().decode(), got.headers)
        self._connection.close()
        return answer

    def send(self, data):
        """Send more of the body."""
        self._connection.send(data)

    def abort(self):
        """Disconnect without waiting for the answer."""
        self._connection.close()


class Endpoint:
    """The address of an Engine.IO server; everything opened here is closed at the end of the block."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        self._opened = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._opened.close()

    def address(self, **query):
        """Its path with the query of the protocol; a parameter that is None is left out."""
        said = {"EIO": "4", "transport": "polling", **query}
        return f"{self.path}?{urlencode({key: value for key, value in said.items() if value is not None})}"

    def _connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=TIMEOUT)
        self._opened.callback(connection.close)
        return connection

    def begin(self, method="GET", body=None, headers=None, **query):
        """Send a whole request."""
        connection = self._connect()
        connection.request(
            method, self.address(**query), body.encode() if isinstance(body, str) else body, headers or {}
        )
        return Request(connection)

    def begin_post(self, sid, headers, start=b""):
        """Send a POST's head and the `start` of its body."""
        connection = self._connect()
        connection.putrequest("POST", self.address(sid=sid))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        if start:
            connection.send(start)
        return Request(connection)

    def ask(self, *args, **query):
        return self.begin(*args, **query).answer()

    def websocket(self, *, headers=None, early=b"", **query):
        """A WebSocket whose upgrade has succeeded, or wsclient.Refused."""
        path = self.address(**{"transport": "websocket", **query})
        return self._opened.enter_context(
            wsclient.connect("127.0.0.1", self.server.port, path, headers, early=early, timeout=TIMEOUT)
        )

    def is_unknown(self, sid):
        """Whether the server has no session `sid`."""
        answer = self.ask("POST", "6", sid=sid)
        return answer.status == 400 and answer.json == UNKNOWN_SID


class PollingSession:
    """A session over long-polling, opened at once."""

    def __init__(self, endpoint, **query):
        self.endpoint = endpoint
        answer = endpoint.ask(**query)
        assert answer.status == 200 and answer.body.startswith("0")
        self.handshake = json.loads(answer.body[1:])
        self.sid = self.handshake["sid"]
        self._inbox = []

    def begin_poll(self):
        return self.endpoint.begin(sid=self.sid)

    def poll(self):
        return self.begin_poll().answer()

    def post(self, body, headers=None):
        return self.endpoint.ask("POST", body, headers, sid=self.sid)

    def send(self, *packets):
        """Deliver packets, text or binary, in one payload."""
        return self.post(SEPARATOR.join(map(payload_part, packets)))

    def receive(self):
        """The next packet but pings, which are answered, and NOOPs."""
        while not self._inbox:
            answer = self.poll()
            assert answer.status == 200, answer
            self._take(answer)
        return self._inbox.pop(0)

    def _take(self, answer):
        for packet in answer.packets:
            if packet == "2":
                self.post("3")
            elif packet != "6":
                self._inbox.append(base64.b64decode(packet[1:]) if packet[0] == "b" else packet)

    def wait_closed(self):
        """Poll until the session has ended, and check that it is unknown."""
        while (answer := self.poll()).status == 200:
            self._take(answer)
        assert self.endpoint.is_unknown(self.sid)


class WebSocketSession:
    """A session over WebSocket: `ws` is the socket itself."""

    def __init__(self, endpoint, **query):
        self.endpoint = endpoint
        self.ws = endpoint.websocket(**query)
        packet = self.ws.recv()
        assert packet.startswith("0")
        self.handshake = json.loads(packet[1:])
        self.sid = self.handshake["sid"]

    def send(self, *packets):
        for packet in packets:
            self.ws.send_text(packet) if isinstance(packet, str) else self.ws.send_binary(packet)

    def receive(self):
        """The next packet but pings, which are answered."""
        while (packet := self.ws.recv()) == "2":
            self.ws.send_text("3")
        return packet

    def wait_closed(self):
        """Read to the end, check that the session is unknown, and return the close code."""
        try:
            while True:
                self.receive()
        except (wsclient.Closed, ConnectionError):
            code, _ = self.ws.wait_closed()
        assert self.endpoint.is_unknown(self.sid)
        return code


class UpgradedSession(WebSocketSession):
    """A session that was upgraded from polling; `of` is the polling session, if there is one."""

    def __init__(self, endpoint, of=None):
        polling = of or PollingSession(endpoint)
        self.endpoint, self.handshake, self.sid = endpoint, polling.handshake, polling.sid
        self.ws = probe(polling)
        self.ws.send_text("5")


TRANSPORTS = {"polling": PollingSession, "websocket": WebSocketSession, "upgraded": UpgradedSession}


def probe(polling):
    """A WebSocket that has probed the upgrade of a polling session."""
    ws = polling.endpoint.websocket(sid=polling.sid)
    ws.send_text("2probe")
    assert ws.recv() == "3probe"
    return ws


def payload_part(packet):
    return packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()
