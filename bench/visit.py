"""One visit to the chat page in Chromium on a slow network: what it asked for, and when its first message was there."""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import sync_playwright

#: What the system may call Chromium.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Milliseconds for which a visit goes on after its socket is there, so that late requests are counted too.
AFTERWARDS = 2_500
PATIENCE = 60_000

#: Notes when the first message was on the screen: the frame after the one in which it was found.
WATCH = """
const found = () => document.querySelector("[data-testid=message]");
const note = () => (window.firstMessage = performance.now());
const look = () => requestAnimationFrame(found() ? note : look);
requestAnimationFrame(look);
"""
#: Notes how long each frame took, from now on.
FRAMES = """
window.frames_ = [];
let last = performance.now();
const tick = (now) => { window.frames_.push(now - last); last = now; requestAnimationFrame(tick); };
requestAnimationFrame((now) => { last = now; requestAnimationFrame(tick); });
"""


@dataclass(frozen=True)
class Network:
    """A network as Chromium plays it: the round trip in milliseconds, bytes a second each way."""

    title: str
    round_trip: float = 0
    bytes_a_second: float = -1

    def play(self, session):
        """Have the page of this DevTools session live in it."""
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
    """What one visit cost: requests that went over the network, bytes that came back, milliseconds to the message."""

    first_message: float = 0
    requests: list = field(default_factory=list)
    sockets: int = 0
    received: float = 0
    scripts: int = 0
    script_bytes: float = 0


@contextmanager
def chromium():
    """A Chromium without a window."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit(f"No Chromium here. Install one of {', '.join(BROWSERS)}.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


def visit(context, address, network):
    """Open `address` in a tab of its own, wait for the message and the socket, and return what was Seen."""
    page = context.new_page()
    try:
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        network.play(session)
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
    """Return a Seen that is filled by what DevTools tells of the network."""
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
