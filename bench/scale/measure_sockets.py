"""The kernel's memory of an idle socket, and of an unread message."""

import contextlib
import re
import select
import socket

from bench.processes import PAGE, read

PAIRS = 6_000
#: As long as a native frame of the bench's messages of 64 bytes.
UNREAD = b"x" * 181


def report():
    before = objects()
    with connections(PAIRS) as (near, _), select.epoll() as epoll:
        connected = objects()
        for one in near:
            epoll.register(one.fileno(), select.EPOLLIN)
        print(f"  {PAIRS:,} connections on the loopback; figures for one end")
        whole = grown(before, connected, 2 * PAIRS) + grown(connected, objects(), PAIRS)
        print(f"  the kernel's memory of an idle socket: {whole:,.0f} bytes")
        empty = queued_pages()
        for one in near:
            one.send(UNREAD)
        pages = (queued_pages() - empty) / PAIRS
        print(f"  a message of {len(UNREAD)} bytes, unread: {pages * PAGE:,.0f} bytes")


def grown(before, after, sockets):
    """Return the growth per socket, in bytes, of the kernel's caches that have about one object per socket.

    While connecting, a cache that shares its pages with epoll's entries grows by the ports of the clients.
    """
    whole = 0
    for name, (size, count) in after.items():
        each = (count - before[name][1]) / sockets
        if each > 0.9 and (name != "eventpoll_epi" or sockets == PAIRS):
            print(f"    {name:20}{size:6} bytes, {each:.2f} of them")
            whole += round(each) * size
    return whole


def objects():
    """Return {cache: (bytes of an object, objects in use)}; empty if /proc/slabinfo is not readable."""
    lines = (line.split() for line in read("/proc/slabinfo").splitlines()[2:])
    return {name: (int(size), int(active)) for name, active, _, size, *_ in lines}


def queued_pages():
    """Return the pages of all TCP buffers of all processes."""
    return int(re.search(r"^TCP:.* mem (\d+)", read("/proc/net/sockstat"), re.MULTILINE)[1])


@contextlib.contextmanager
def connections(count):
    """Yield two lists of sockets, connected one to one."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        near, far = [], []
        for _ in range(count):
            far.append(stack.enter_context(socket.create_connection(listener.getsockname())))
            near.append(stack.enter_context(listener.accept()[0]))
        yield near, far
