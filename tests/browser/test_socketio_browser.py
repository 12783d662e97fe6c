"""socket.io-client's bundle in a real browser: same origin and foreign ones, beside the chat page, after a restart."""

import pytest

from tests.integration.socketio_server import SocketIOServer
from tests.socketio_node import browser_bundle
from tests.tokens import token

#: What a browser writes to its console while a server is away or refuses it; there is no way to keep it from that.
SERVER_AWAY = ("net::ERR_", "WebSocket connection to", "status of 400", "status of 503")
CORS = ("CORS policy", "net::ERR_FAILED")

OPEN = """([url, options]) => {
    const heard = (window.heard = []);
    const socket = (window.socket = io(url, { reconnectionDelay: 100, reconnectionDelayMax: 300, ...options }));
    const hear = (event) => socket.on(event, (value) => heard.push([event, value?.message ?? value ?? null]));
    ["connect", "disconnect", "connect_error"].forEach(hear);
    socket.onAny((event, ...args) => heard.push([event, ...args]));
    socket.io.on("open", () => socket.io.engine.on("upgrade", ({ name }) => heard.push(["upgrade", name])));
}"""
HEARD = """([event, data]) => heard.some(([name, said]) =>
    name === event && (data === null || (said?.data ?? said) === data))"""
CALL = "([event, args]) => socket.timeout(10000).emitWithAck(event, ...args)"


class Tab:
    """A page with socket.io-client in it, and one socket."""

    def __init__(self, page):
        self.page = page

    def open(self, url="/", **options):
        self.page.evaluate(OPEN, [url, options])
        return self

    def hears(self, event, data=None):
        """Wait until `event` was heard, with this `data` or this text."""
        self.page.wait_for_function(HEARD, arg=[event, data])
        return self

    def received(self, event):
        """The arguments of every `event` until now."""
        return [args for name, *args in self.page.evaluate("heard") if name == event]

    def emit(self, event, *args):
        self.page.evaluate("([event, args]) => { socket.emit(event, ...args); }", [event, args])

    def call(self, event, *args):
        return self.page.evaluate(CALL, [event, args])

    def forget(self):
        self.page.evaluate("heard.length = 0")

    @property
    def transport(self):
        return self.page.evaluate("socket.io.engine.transport.name")


@pytest.fixture(scope="module")
def bundle():
    return {"SOCKETIO_BUNDLE": str(browser_bundle())}


@pytest.fixture(scope="module")
def io_site(bundle):
    # A reload must not take longer than the grace, however busy the machine is.
    with SocketIOServer(env=bundle | {"CHAT_ROSTER_GRACE": "20"}) as server:
        yield server


@pytest.fixture
def tab(make_page, io_site):
    """tab() is a page of the site with Socket.IO events, in a browser profile of its own."""

    def open_tab(at=io_site):
        page = make_page()
        page.goto(f"{at.url}/page")
        return Tab(page)

    return open_tab


def as_user(name):
    return {"auth": {"token": token(name)}}


def test_two_pages_talk_by_the_defaults_of_the_client(tab):
    ann, bob = (tab().open(**as_user(name)).hears("connect") for name in ("ann", "bob"))
    for person in (ann, bob):
        person.hears("group_chat", "欢迎欢迎,热烈欢迎,进入聊天室").hears("upgrade", "websocket")
        assert person.transport == "websocket"
    ann.emit("group_chat", {"data": "你好 🎉"})
    for person in (ann, bob):
        person.hears("group_chat", "你好 🎉")
    ack = bob.call("single_chat", {"to": "ann", "data": "psst", "id": "p1"})
    ann.hears("single_chat", "psst")
    assert ann.received("single_chat")[0][0]["seq"] == ack["seq"]


@pytest.mark.parametrize("name", ["polling", "websocket"])
def test_one_transport_alone_is_enough(tab, name):
    ann = tab().open(**as_user("ann"), transports=[name]).hears("connect")
    for number in range(10):
        assert ann.call("wave", number) == ["ann", number]
    assert ann.transport == name
    assert ann.received("upgrade") == []


@pytest.mark.parametrize("transports", [["polling", "websocket"], ["polling"], ["websocket"]])
def test_bytes_travel_both_ways(tab, transports):
    ann = tab().open("/news", transports=transports).hears("connect")
    reverse = """async () => {
        const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
        const told = new Promise((resolve) => socket.once("reversed", ({ data }) => resolve(data)));
        const answered = new Promise((resolve) => socket.emit("reverse", bytes, resolve));
        return [await told, await answered].map((buffer) => [...new Uint8Array(buffer)]);
    }"""
    assert ann.page.evaluate(reverse) == [list(range(255, -1, -1))] * 2


def test_a_cut_connection_is_recovered(tab, io_site):
    ann = tab().open("/news").hears("connect").hears("upgrade")
    ann.call("join", "sports")
    for number in range(2):
        ann.forget()
        ann.page.evaluate("socket.io.engine.close()")
        io_site.emit("bulletin", f"missed {number}", room="sports")
        ann.hears("connect").hears("bulletin", f"missed {number}")
        assert ann.page.evaluate("socket.recovered") is True
        assert len(ann.received("bulletin")) == 1
        assert ann.call("echo", "back") == "back"


def test_pages_come_back_after_a_restart(tab, bundle, console):
    console.expect(*SERVER_AWAY)
    with SocketIOServer(env=bundle) as server:
        choices = [{}, {"transports": ["polling"]}, {"transports": ["websocket"]}]
        people = [tab(at=server).open(**as_user("ann"), **choice).hears("connect") for choice in choices]
        for person in people:
            person.forget()
        server.restart()
        for person in people:
            person.hears("disconnect").hears("connect")
            assert person.call("wave") == ["ann"]


def test_a_reload_is_seen_by_nobody(tab, io_site):
    ann, bob = (tab().open(**as_user(name)).hears("connect") for name in ("ann", "bob"))
    ann.call("group_list")
    rosters = "heard.filter(([event]) => event === 'group_list').map(([, list]) => list.data.map((u) => u.username))"
    bob.page.wait_for_function(f"{rosters}.at(-1)?.includes('ann')")
    bob.forget()
    ann.page.reload()
    ann.open(**as_user("ann")).hears("connect")
    ann.emit("group_chat", {"data": "I never left"})
    bob.hears("group_chat", "I never left")
    assert all("ann" in names for names in bob.page.evaluate(rosters))


# -- beside the chat page of the reference site, under its Content-Security-Policy


def test_the_page_and_a_socketio_client_share_a_room(meet, join):
    ben = join("Ben")
    ann = meet("Ann")
    ann.page.add_init_script(path=browser_bundle())
    ann.page.goto(f"{ann.url}/account")
    made = ann.page.evaluate(
        """async () => (await (await fetch("/chat/token", { method: "POST", body: "{}",
            headers: { "Content-Type": "application/json" } })).json()).token"""
    )
    tab = Tab(ann.page).open(auth={"token": made}).hears("connect").hears("upgrade", "websocket")
    tab.emit("group_chat", {"data": "From Socket.IO"})
    ben.hears("From Socket.IO")
    ben.say("From the page")
    ben.sent("From the page")
    tab.hears("group_chat", "From the page")
    tab.emit("single_chat", {"to": ben.name, "data": "Between us"})
    ben.conversation(ann.name).click()
    ben.hears("Between us")


# -- foreign origins


@pytest.fixture(scope="module")
def elsewhere(bundle, io_site):
    """A server that lets the pages of `io_site` in, and no other's."""
    with SocketIOServer(env={**bundle, "CHAT_ALLOWED_ORIGINS": io_site.url}) as server:
        yield server


@pytest.mark.parametrize("transports", [["polling", "websocket"], ["polling"], ["websocket"]])
def test_a_page_of_an_allowed_origin_connects(tab, elsewhere, transports):
    ann = tab().open(f"{elsewhere.url}/", **as_user("ann"), transports=transports).hears("connect")
    assert ann.call("wave") == ["ann"]
    assert ann.transport == transports[-1] or ann.hears("upgrade", "websocket")


def test_a_page_of_an_allowed_origin_may_send_headers_and_cookies(tab, elsewhere):
    options = {"transports": ["polling"], "withCredentials": True, "extraHeaders": {"X-Page": "one"}}
    ann = tab().open(f"{elsewhere.url}/", **as_user("ann"), **options).hears("connect")
    assert ann.call("wave") == ["ann"]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_a_page_of_a_foreign_origin_stays_out(tab, io_site, elsewhere, transports, console):
    console.expect(*CORS, *SERVER_AWAY, "status of 403")
    stranger = tab(at=elsewhere)
    options = {"transports": transports, "reconnection": False}
    stranger.open(f"{io_site.url}/", **as_user("ann"), **options).hears("connect_error")
    assert stranger.received("connect") == []
