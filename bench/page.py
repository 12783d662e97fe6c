"""Measures the chat page: what a first and a second visit load, the time until the first message, and long frames while
100 messages per second arrive.

    python -m bench.page                  # everything, five rounds
    python -m bench.page --rounds 1 --skip-frames

It drives the real site (gunicorn in its own process) with a real Chromium.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from websockets.sync.client import connect

from bench.report import aligned
from bench.servers import Server, ServerFailed, free_port, ours_env, serving
from bench.visit import FRAMES, LOCAL, SLOW, running_chromium, visit
from bench.workspace import INSTALLED, PROJECT, Workspace

#: The messages in the lobby before the first visit, about as long as real ones.
SAID = 120
WORDS = "The ferry leaves at ten past nine, and the one after it at noon; who wants to come along? {}"
PASSWORD = "correct horse battery"
#: The frame test: messages per second, seconds, and the longest frame in milliseconds.
RATE, SECONDS, LONG_FRAME = 100, 20, 50
#: The goal of each row.
GOALS = {
    "requests, first visit": 6,
    "KB, first visit": 120,
    "requests, second visit": 2,
    "script files": 3,
    "script KB": 60,
    f"first message, first visit, {SLOW.title}": 1800,
    f"first message, second visit, {SLOW.title}": 1100,
    f"first message, first visit, {LOCAL.title}": 400,
    f"first message, second visit, {LOCAL.title}": 400,
    f"frames over {LONG_FRAME} ms": 0,
}


class Site:
    """The reference site under test, and its users."""

    def __init__(self, url):
        self.url = url

    def register(self, context, name):
        """Register `name` in a browser profile, which is logged in afterwards."""
        form = context.request.get(f"{self.url}/register").text()
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)[1]
        fields = {"csrf_token": token, "username": name, "password": PASSWORD}
        answer = context.request.post(f"{self.url}/register", form=fields)
        if not answer.url.endswith("/chat"):
            raise SystemExit(f"{name} could not be registered: {answer.status}")

    @contextmanager
    def speaker(self, name):
        """A plain client; yields a function that sends a numbered message to the lobby."""
        login = Request(
            f"{self.url}/api/login",
            json.dumps({"username": name, "password": PASSWORD}).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(login, timeout=10) as answer:
            token = json.load(answer)["token"]
        address = self.url.replace("http", "ws") + f"/ws/chat?token={token}"
        with connect(address, max_queue=None) as socket:
            yield lambda number: socket.send(json.dumps({"type": 2, "data": WORDS.format(number)}))


@contextmanager
def site():
    """A Site on a scratch database."""
    with tempfile.TemporaryDirectory(prefix="bench-page-") as scratch:
        workspace, port = Workspace(INSTALLED, PROJECT, Path(scratch)), free_port()
        gunicorn = PROJECT / ".venv/bin/gunicorn"
        command = [gunicorn, "-b", f"127.0.0.1:{port}", "wsgi:app"]
        env = {**ours_env(workspace.scratch), "ACCESS_LOG": ""}
        with serving(workspace, Server("Flask-Chat", command, "ours", gunicorn, env), port, None):
            yield Site(f"http://127.0.0.1:{port}")


def fill(browser, where):
    """Send the lobby's earlier messages."""
    context = browser.new_context()
    where.register(context, "Sara Speaker")
    with where.speaker("Sara Speaker") as send:
        for number in range(SAID):
            send(number)
        time.sleep(1)
    context.close()


def loads(browser, where, network, number):
    """Return the Seen of a new user's first visit, and that of the second."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    where.register(context, f"Reader {network.round_trip:g} {number}")
    try:
        return tuple(visit(context, f"{where.url}/chat", network) for _ in range(2))
    finally:
        context.close()


def load_figures(browser, where, rounds):
    """Return {row: median} of all visits, and the requests of one first and one second visit."""
    figures, asked = {}, {}
    for network in (SLOW, LOCAL):
        pairs = [loads(browser, where, network, number) for number in range(rounds)]
        for place, which in enumerate(("first visit", "second visit")):
            visits = [pair[place] for pair in pairs]
            row = f"first message, {which}, {network.title}"
            figures[row] = statistics.median(one.first_message for one in visits)
            figures[f"requests, {which}"] = max(len(one.requests) + one.sockets for one in visits)
            figures[f"KB, {which}"] = statistics.median(one.received for one in visits) / 1000
            asked[which] = visits[0].requests
            if place == 0:
                figures["script files"] = max(one.scripts for one in visits)
                figures["script KB"] = statistics.median(one.script_bytes for one in visits) / 1000
    return figures, asked


def frame_figures(browser, where):
    """Return {row: figure} of a page that receives RATE messages per second for SECONDS."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    where.register(context, "Fred Frames")
    page = context.new_page()
    page.goto(f"{where.url}/chat")
    page.wait_for_selector("[data-testid=connection-state][data-state=online]")
    page.wait_for_timeout(1_000)
    sending = threading.Thread(target=send_steadily, args=(where,))
    page.evaluate(FRAMES)
    sending.start()
    page.wait_for_timeout((SECONDS + 1) * 1000)
    sending.join()
    frames = page.evaluate("window.frames_")
    context.close()
    over = [frame for frame in frames if round(frame) > LONG_FRAME]  # three frames at 60 Hz are 50.0 ms
    return {
        f"frames over {LONG_FRAME} ms": len(over),
        "longest frame, ms": max(frames),
        "frames": len(frames),
    }


def send_steadily(where):
    with where.speaker("Sara Speaker") as send:
        began = time.monotonic()
        for number in range(RATE * SECONDS):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            send(number)


def table(figures):
    """Return the lines of a table: each figure, its goal, and whether it was met."""
    rows = []
    for row, value in figures.items():
        goal = GOALS.get(row)
        verdict = "" if goal is None else f"≤ {goal:g}  {'met' if value <= goal else 'MISSED'}"
        rows.append([row, f"{value:,.0f}", verdict])
    return aligned(rows)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m bench.page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-frames", action="store_true")
    parser.add_argument("--requests", action="store_true", help="list the address of each request")
    options = parser.parse_args()
    try:
        with site() as where, running_chromium() as browser:
            fill(browser, where)
            figures, asked = load_figures(browser, where, options.rounds)
            if not options.skip_frames:
                figures |= frame_figures(browser, where)
    except ServerFailed as error:
        sys.exit(str(error))
    print(*table(figures), sep="\n")
    for which, addresses in asked.items() if options.requests else ():
        print(f"\n{which}:", *addresses, sep="\n  ")


if __name__ == "__main__":
    main()
