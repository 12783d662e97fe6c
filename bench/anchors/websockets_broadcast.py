"""python-websockets (asyncio) with its broadcast()."""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

from message import message
from websockets.asyncio.server import broadcast, serve

connections = set()


async def handler(ws):
    username = parse_qs(urlsplit(ws.request.path).query).get("u", ["x"])[0]
    connections.add(ws)
    try:
        async for raw in ws:
            m = json.loads(raw)
            if m["type"] == 2:
                broadcast(connections, json.dumps(message(username, m["data"])))
    finally:
        connections.discard(ws)


async def main():
    async with serve(
        handler, "127.0.0.1", int(sys.argv[1]), compression=None, backlog=4096, ping_interval=None
    ):
        await asyncio.Future()


asyncio.run(main())
