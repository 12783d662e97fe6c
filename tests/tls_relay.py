"""A TLS proxy for a server without TLS: it forwards the plain bytes to the server."""

import asyncio
import ssl
import threading
from contextlib import contextmanager

import trustme

#: Bytes moved at once.
CHUNK = 65_536


@contextmanager
def tls_relay(target, folder):
    """(port, path of the authority that its clients must trust); it runs in a thread of its own."""
    authority = trustme.CA()
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="tls relay", daemon=True)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    relay = run(asyncio.start_server(lambda *ends: carry(target, *ends), "127.0.0.1", 0, ssl=context))
    try:
        yield relay.sockets[0].getsockname()[1], trusted
    finally:
        run(end(relay))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def carry(target, reader, writer):
    """Serve one connection, until either side ends it."""
    there = await asyncio.open_connection("127.0.0.1", target)
    moves = [asyncio.create_task(move(*ends)) for ends in ((reader, there[1]), (there[0], writer))]
    try:
        await asyncio.wait(moves, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in moves:
            one.cancel()
        await asyncio.gather(*moves, return_exceptions=True)
        for one in (writer, there[1]):
            one.close()


async def move(reader, writer):
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def end(relay):
    relay.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
