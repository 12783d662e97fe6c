"""python-websockets (asyncio) with its broadcast()."""

import asyncio
import json
import sys

from websockets.asyncio.server import broadcast, serve

conns = set()


async def handler(ws):
    conns.add(ws)
    try:
        async for raw in ws:
            m = json.loads(raw)
            if m["type"] == 2:
                broadcast(conns, json.dumps({"type": 2, "user": {"username": "x"}, "data": m["data"]}))
    finally:
        conns.discard(ws)


async def main():
    async with serve(
        handler, "127.0.0.1", int(sys.argv[1]), compression=None, backlog=4096, ping_interval=None
    ):
        await asyncio.Future()


asyncio.run(main())
