"""The quiet users: each sends a short message now and then, and waits for its Ack. And a visitor who comes anew."""

import asyncio
import json
import time

import websockets

#: Messages a second of all quiet users together.
RATE = 25
#: Seconds after which a message without an Ack counts as missing, and a visitor without an answer as turned away.
PATIENCE = 20


class QuietUsers:
    """Connected users of one lobby, who send RATE messages a second in turn while `measure` runs."""

    def __init__(self, port, tokens):
        self._port = port
        self._tokens = tokens
        self._sockets = []
        self._readers = []
        self._acks = {}

    async def __aenter__(self):
        for token in self._tokens:
            address = f"ws://127.0.0.1:{self._port}/ws/chat?roster=diff&token={token}"
            socket = await websockets.connect(address, compression=None, ping_interval=None)
            self._sockets.append(socket)
            self._readers.append(asyncio.create_task(self._read(socket)))
        return self

    async def __aexit__(self, *exc_info):
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for socket in self._sockets:
            socket.transport.abort()

    async def _read(self, socket):
        async for text in socket:
            if text.startswith('{"type":4,'):
                waiting = self._acks.pop(json.loads(text)["ref"], None)
                if waiting and not waiting.done():
                    waiting.set_result(time.monotonic())

    async def measure(self, seconds):
        """Send for so long; return (seconds that each Ack took, how many never came)."""
        began = time.monotonic()
        waits = []
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            waits.append(asyncio.create_task(self._send(number)))
        took = await asyncio.gather(*waits)
        return [one for one in took if one is not None], took.count(None)

    async def _send(self, number):
        name, came = f"q{time.monotonic_ns()}", asyncio.get_running_loop().create_future()
        self._acks[name] = came
        sent = time.monotonic()
        try:
            socket = self._sockets[number % len(self._sockets)]
            await socket.send(json.dumps({"type": 2, "data": f"quiet {number}", "id": name}))
            return await asyncio.wait_for(came, PATIENCE) - sent
        except (TimeoutError, websockets.ConnectionClosed):
            return None


async def visit(port, seconds):
    """Open the log-in page over a new connection, twice a second; return (seconds that each took, failures)."""
    took, failed, end = [], 0, time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        try:
            await asyncio.wait_for(_page(port), PATIENCE)
            took.append(time.monotonic() - began)
        except (TimeoutError, OSError, ValueError, IndexError):
            failed += 1
        await asyncio.sleep(max(0.0, began + 0.5 - time.monotonic()))
    return took, failed


async def _page(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        page = await reader.read()
        if int(page.split(b" ", 2)[1]) != 200:
            raise ValueError(page[:40])
    finally:
        writer.close()
