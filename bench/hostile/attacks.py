"""The attacks: each is what one user at one address can send within every documented limit of size.

    python -m bench.hostile.attacks NAME PORT TOKEN

plays one until it is ended, and then prints how it was answered. All connections come from 127.0.0.2, so that limits
per address tell them from the quiet users.
"""

import asyncio
import collections
import contextlib
import json
import os
import signal
import socket
import sys
import urllib.parse

import websockets

ADDRESS = "127.0.0.2"
PASSWORD = "correct horse battery staple"
NAME = "mallory"
#: The worst of texts: marks of three combining classes, in the order in which sorting them costs most.
MARKS = "a" + "\u0345" * 3333 + "\u0301" * 3333 + "\u0316" * 3333
CHINESE = "他们的时候我们说这个国家的人民在工作中学习和生活的时间里都能够得到自己想要的东西" * 2


class Attacker:
    """What every attack needs: the port, the user's token, and a count of how the server answered."""

    def __init__(self, port, token):
        self.port = port
        self.token = token
        self.answers = collections.Counter()

    async def open(self):
        """Return a TCP connection from the attacker's address."""
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(ADDRESS, 0))

    def head(self, method, path, length=None, kind="application/json"):
        """Return the head of a request as the user."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self.token}"]
        lines += [f"Content-Type: {kind}", f"Content-Length: {length}"] if length is not None else []
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode()

    async def request(self, method, path, body=None):
        """Make one request, read all of its response and count the status."""
        raw = None if body is None else json.dumps(body).encode()
        try:
            reader, writer = await self.open()
        except OSError:
            self.answers["refused"] += 1
            return
        try:
            writer.write(self.head(method, path, None if raw is None else len(raw)) + (raw or b""))
            response = await reader.read()
            status = response.split(b" ", 2)[1].decode() if response else "closed"
            self.answers[status] += 1
            if status in ("429", "503"):
                await asyncio.sleep(0.05)
        except OSError:
            self.answers["reset"] += 1
        finally:
            writer.close()

    async def socket(self, path):
        """Return a WebSocket from the attacker's address."""
        return await websockets.connect(
            f"ws://127.0.0.1:{self.port}{path}",
            local_addr=(ADDRESS, 0),
            compression=None,
            ping_interval=None,
            max_queue=None,
        )

    async def say(self, path, messages, pause=0.0):
        """Send messages for ever, over a new socket where one was closed; count errors and close codes."""
        while True:
            try:
                async with contextlib.aclosing(aiter_closing(await self.socket(path))) as opened:
                    async for socket in opened:
                        reader = asyncio.create_task(self._count(socket))
                        try:
                            for message in messages():
                                await socket.send(message)
                                await asyncio.sleep(pause)
                        finally:
                            reader.cancel()
            except websockets.ConnectionClosed as end:
                self.answers[f"close {end.rcvd.code if end.rcvd else 1006}"] += 1
            except (OSError, websockets.WebSocketException) as error:
                self.answers[type(error).__name__] += 1
            await asyncio.sleep(0.2)

    async def _count(self, socket):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in socket:
                if '"code":"' in text[:400]:
                    self.answers[text.partition('"code":"')[2].partition('"')[0]] += 1


async def aiter_closing(socket):
    """Yield the socket once, and drop its connection afterwards."""
    try:
        yield socket
    finally:
        socket.transport.abort()


def numbered(make):
    """Return a function that yields make(0), make(1), … as JSON."""

    def messages():
        number = 0
        while True:
            yield json.dumps(make(number), ensure_ascii=False)
            number += 1

    return messages


async def repeated(action, *args):
    while True:
        await action(*args)


# ---- the attacks -----------------------------------------------------------------------------------------------


async def marks(attacker):
    """Messages of combining marks as fast as the rate allows, searches for such, a room's topic of such."""
    query = urllib.parse.quote("a\u0345\u0301\u0316" * 20)
    await asyncio.gather(
        attacker.say(
            f"/ws/chat?token={attacker.token}",
            numbered(lambda _: {"type": 2, "data": MARKS, "id": os.urandom(8).hex()}),
            0.05,
        ),
        *(repeated(attacker.request, "GET", f"/chat/api/search?q={query}") for _ in range(2)),
        repeated(attacker.request, "PATCH", "/chat/api/rooms/marks", {"topic": MARKS[:4000]}),
    )


async def bodies(attacker):
    """4,200 log-ins whose bodies never come."""
    await asyncio.gather(*(repeated(unfinished, attacker, True) for _ in range(4200)))


async def heads(attacker):
    """4,200 requests whose heads never end."""
    await asyncio.gather(*(repeated(unfinished, attacker, False) for _ in range(4200)))


async def unfinished(attacker, with_head):
    await asyncio.sleep(2 * int.from_bytes(os.urandom(2)) / 65536)
    try:
        reader, writer = await attacker.open()
    except OSError:
        attacker.answers["refused"] += 1
        return
    try:
        head = attacker.head("POST", "/api/login", 1000)
        writer.write(head + b"{" if with_head else head[:-4])
        response = await reader.read(300)
        attacker.answers[response.split(b" ", 2)[1].decode() if response else "closed"] += 1
    except OSError:
        attacker.answers["reset"] += 1
    finally:
        writer.close()


async def searches(attacker):
    """Ten searches at once for long Chinese phrases."""
    query = urllib.parse.quote(CHINESE)
    await asyncio.gather(
        *(repeated(attacker.request, "GET", f"/chat/api/search?q={query[9 * n :]}") for n in range(10))
    )


async def unread(attacker):
    """40 pages of the history asked for and not read."""
    await asyncio.gather(*(repeated(one_unread, attacker) for _ in range(40)))


async def one_unread(attacker):
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    sock.bind((ADDRESS, 0))
    try:
        await loop.sock_connect(sock, ("127.0.0.1", attacker.port))
        await loop.sock_sendall(sock, attacker.head("GET", "/chat/api/rooms/big/messages?limit=200"))
        await asyncio.sleep(30)
        attacker.answers["asked"] += 1
    except OSError:
        attacker.answers["reset"] += 1
    finally:
        sock.close()


async def logins(attacker):
    """Eight log-ins at once, with the right password."""
    body = {"username": NAME, "password": PASSWORD}
    await asyncio.gather(*(repeated(attacker.request, "POST", "/api/login", body) for _ in range(8)))


async def attachments(attacker):
    """100 Socket.IO sockets that announce attachments before they log in, and send most of them."""
    await asyncio.gather(*(repeated(one_attachment, attacker) for _ in range(100)))


async def one_attachment(attacker):
    packet = "4510-" + json.dumps(["x", *({"_placeholder": True, "num": n} for n in range(10))])
    try:
        socket = await attacker.socket("/socket.io/?EIO=4&transport=websocket")
    except (OSError, websockets.WebSocketException):
        attacker.answers["refused"] += 1
        await asyncio.sleep(0.5)
        return
    try:
        await socket.send(packet)
        for _ in range(9):
            await socket.send(bytes(125_000))
        async for _ in socket:
            pass
    except websockets.ConnectionClosed:
        pass
    finally:
        attacker.answers["ended"] += 1
        socket.transport.abort()


async def packets(attacker):
    """CONNECTs and unknown events as fast as the connection takes them."""

    def flood():
        while True:
            yield "40/nobody,"
            yield '42["nothing",{}]'

    await attacker.say("/socket.io/?EIO=4&transport=websocket", flood)


async def reads(attacker):
    """Read marks that do not move, and Joins of conversations with users who do not exist."""

    def make(number):
        if number % 2:
            return {"type": 10, "room": "lobby", "seq": 1}
        return {"type": 6, "room": f"dm:{os.urandom(8).hex()}:{NAME}"}

    await asyncio.gather(
        attacker.say(f"/ws/chat?token={attacker.token}", numbered(make), 0.05),
        *(repeated(attacker.request, "POST", "/chat/api/rooms/lobby/read", {"seq": 1}) for _ in range(4)),
    )


async def patches(attacker):
    """A room that all are members of, changed to what it is."""
    body = {"topic": "as before"}
    await asyncio.gather(
        *(repeated(attacker.request, "PATCH", "/chat/api/rooms/crowded", body) for _ in range(8))
    )


async def floods(attacker):
    """The longest messages as fast as the rate allows, from five sockets."""
    make = numbered(lambda _: {"type": 2, "data": "流" * 10_000, "id": os.urandom(8).hex()})
    await asyncio.gather(*(attacker.say(f"/ws/chat?token={attacker.token}", make, 0.05) for _ in range(5)))


ATTACKS = {
    function.__name__: function
    for function in (
        marks,
        bodies,
        heads,
        searches,
        unread,
        logins,
        attachments,
        packets,
        reads,
        patches,
        floods,
    )
}


async def play(name, port, token):
    """Play an attack until the process is told to end."""
    attacker = Attacker(port, token)
    task = asyncio.create_task(ATTACKS[name](attacker))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    print(json.dumps(attacker.answers))


if __name__ == "__main__":
    os.nice(10)
    asyncio.run(play(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
