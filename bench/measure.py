"""One measurement: start a server on one core and the load on another, and record what both cost."""

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time

from bench import commits, processes
from bench.logins import Visitors
from bench.servers import free_port, paths_for, pinned, servers, serving

SERVER_CPU, LOAD_CPU = 0, 1
#: Seconds between two samples of the server's memory under load.
INTERVAL = 0.2


class LoadFailed(Exception):
    """The load generator ended without a result; the message says why."""


def measure(workspace, name, scenario, disturbed=False):
    """Start the server `name`, run the scenario's load, and return all figures as one dict."""
    port = free_port()
    server = servers(workspace, port)[name]
    command = swarm_command(workspace, server, port, scenario, disturbed)
    free = scenario.disturbance == "busy"
    visitors = Visitors(workspace, port) if disturbed and free else contextlib.nullcontext()
    slow = SlowWatch(port, scenario) if disturbed and scenario.slow else None
    with (
        serving(workspace, server, port, None if free else SERVER_CPU) as process,
        visitors as seen,
        Load(command, process.pid, slow) as load,
    ):
        result = load.run()
        stored = commits.costs(port) if scenario.acks and server.is_ours else {}
    if stored:
        stored["fsync_ms"] = commits.fsync_ms(workspace.scratch)
    return {**result, **(seen.rates() if seen else {}), **stored}


def swarm_command(workspace, server, port, scenario, disturbed):
    """Return the load generator's command line for this scenario."""
    options = {
        "port": port,
        "paths": paths_for(workspace, server),
        "kind": scenario.kind,
        "connections": scenario.connections,
        "senders": scenario.senders,
        "seconds": scenario.seconds,
        "payload": scenario.payload,
        "settle": scenario.settle,
        "churners": scenario.churners,
        "churn": scenario.churn,
        "direct-rate": scenario.direct_rate,
        "slow": scenario.slow if disturbed else 0,
        **({"rate": scenario.rate} if scenario.rate else {"window": scenario.in_flight}),
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    switches = {"--socketio": server.socketio, "--acks": scenario.acks and server.is_ours}
    words += [switch for switch, wanted in switches.items() if wanted]
    return pinned(LOAD_CPU, [workspace.installed / "load", *words])


class Load:
    """The load generator's process. Records the costs of the server `pid` in each of its phases."""

    def __init__(self, command, pid, slow=None):
        self._command = command
        self._pid = pid
        self._slow = slow
        self._marks = {}
        self._first = self._peak = processes.resident(pid)

    def __enter__(self):
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *exc_info):
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def run(self):
        """Wait until the load ends; return its result together with the server's costs."""
        result = None
        with processes.Sampler(self._sample, INTERVAL):
            for line in self._process.stdout:
                record = json.loads(line)
                if "phase" in record:
                    self._mark(record["phase"])
                else:
                    result = record
        errors = self._process.stderr.read().strip()
        if result is None:
            raise LoadFailed(errors or f"swarm ended with {self._process.wait()}")
        if errors:
            print(f"    {errors[:400]}", file=sys.stderr)
        return {**result, **self._costs(result), **(self._slow.result() if self._slow else {})}

    def _sample(self):
        self._peak = max(self._peak, processes.resident(self._pid))
        if self._slow and "talking" in self._marks and self._slow.all_closed():
            self._process.send_signal(signal.SIGUSR1)

    def _mark(self, phase):
        pid = self._pid
        self._marks[phase] = (time.monotonic(), processes.cpu_seconds(pid), processes.waited_seconds(pid))
        if phase == "talking" and self._slow:
            self._slow.begin()

    def _costs(self, result):
        grown = self._peak - self._first
        _, connecting, _ = self._between("connecting", "talking")
        span, window, waited = self._between("measuring", "measured")
        return {
            "grown_mb": grown / 1e6,
            "kb_per_conn": grown / 1024 / max(1, result["ready"]),
            "cpu_us_per_conn": connecting * 1e6 / max(1, result["ready"]),
            "cpu_us_per_delivery": window * 1e6 / max(1, result["window_deliveries"]),
            "cpu_share": window / span,
            "server_wait": waited / span,
        }

    def _between(self, first, last):
        return tuple(b - a for a, b in zip(self._marks[first], self._marks[last], strict=True))


class SlowWatch:
    """Polls /healthz until the clients that stopped reading are disconnected; only our own server has it."""

    def __init__(self, port, scenario):
        self._port = port
        self._rest = scenario.connections - scenario.slow
        self._start = self._closed = None

    def begin(self):
        self._start = time.monotonic()

    def all_closed(self):
        """Return True once, when all of them are: now they may read again, to receive the close code."""
        if self._closed is not None or not self._start or self._count() > self._rest:
            return False
        self._closed = time.monotonic()
        return True

    def result(self):
        return {"slow_after_s": self._closed - self._start} if self._closed else {}

    def _count(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return json.loads(connection.getresponse().read())["connections"]
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return float("inf")
        finally:
            connection.close()
