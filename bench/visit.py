"""One visit to the chat page in Chromium: its requests, and the time until its first message is painted."""

from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import sync_playwright

from tools import chromium

#: Milliseconds that a visit continues after its socket has connected, to count late requests too.
AFTERWARDS = 2_500
PATIENCE = 60_000

#: Records the time of the frame after the one in which the first message is found.
WATCH = """
const found = () => document.querySelector("[data-testid=message]");
const note = () => (window.firstMessage = performance.now());
const look = () => requestAnimationFrame(found() ? note : look);
requestAnimationFrame(look);
"""
#: Records the duration of each frame from now on.
FRAMES = """
window.frames_ = [];
let last = performance.now();
const tick = (now) => { window.frames_.push(now - last); last = now; requestAnimationFrame(tick); };
requestAnimationFrame((now) => { last = now; requestAnimationFrame(tick); });
"""


@dataclass(frozen=True)
class Network:
    """A network that Chromium emulates: the round trip in milliseconds, and bytes per second in each direction."""

    title: str
    round_trip: float = 0
    bytes_a_second: float = -1

    def emulate(self, session):
        """Emulate this network for the page of a DevTools session."""
        session.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": self.round_trip,
                "downloadThroughput": self.bytes_a_second,
                "uploadThroughput": self.bytes_a_second,
            },
        )


LOCAL = Network("localhost")
SLOW = Network("300 ms, 1 Mbit/s", 300, 125_000)


@dataclass
class Seen:
    """What one visit cost: requests over the network, bytes received, milliseconds until the first message."""

    first_message: float = 0
    requests: list = field(default_factory=list)
    sockets: int = 0
    received: float = 0
    scripts: int = 0
    script_bytes: float = 0


@contextmanager
def running_chromium():
    """A headless Chromium."""
    path = chromium.find()
    if path is None:
        raise SystemExit(chromium.MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=chromium.ARGUMENTS)
        yield browser
        browser.close()


def visit(context, address, network):
    """Open `address` in a new tab, wait for the first message and the socket, and return a Seen."""
    page = context.new_page()
    try:
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        network.emulate(session)
        seen = _listen(session)
        page.add_init_script(WATCH)
        page.goto(address, wait_until="commit", timeout=PATIENCE)
        page.wait_for_selector("[data-testid=message]", timeout=PATIENCE)
        page.wait_for_selector("[data-testid=connection-state][data-state=online]", timeout=PATIENCE)
        page.wait_for_timeout(AFTERWARDS)
        seen.first_message = page.evaluate("window.firstMessage")
        return seen
    finally:
        page.close()


def _listen(session):
    """Return a Seen that the network events of the session fill."""
    seen, asked, cached = Seen(), {}, set()

    def finished(event):
        url, kind = asked.get(event["requestId"], ("", ""))
        if event["requestId"] in cached or not url.startswith("http"):
            return
        seen.requests.append(url)
        seen.received += event["encodedDataLength"]
        if kind == "Script":
            seen.scripts += 1
            seen.script_bytes += event["encodedDataLength"]

    def began(event):
        asked[event["requestId"]] = (event["request"]["url"], event.get("type", ""))

    def responded(event):
        if event["response"].get("fromDiskCache"):
            cached.add(event["requestId"])

    def opened(_):
        seen.sockets += 1

    session.on("Network.requestWillBeSent", began)
    session.on("Network.requestServedFromCache", lambda event: cached.add(event["requestId"]))
    session.on("Network.responseReceived", responded)
    session.on("Network.loadingFinished", finished)
    session.on("Network.webSocketCreated", opened)
    return seen
