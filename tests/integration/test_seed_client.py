"""A client that was written from the original protocol alone: it compares texts, trusts types 0 to 3 and knows no more.

`{type, user, data}` each way, a token in the query; see bench/anchors/seed_ws.js for the server that it was made for.
"""

import json

import pytest

from tests import wsclient
from tests.servers import Server
from tests.tokens import token

ERROR, GROUP_LIST, GROUP_CHAT, SINGLE_CHAT = 0, 1, 2, 3


@pytest.fixture(scope="module")
def site():
    with Server("gunicorn-gevent", {"CHAT_ROSTER_GRACE": "0.2"}) as server:
        yield server


class SeedClient:
    """The original's own client, in Python: a switch over four types, and nothing for a fifth."""

    def __init__(self, site, username, key=None):
        self.username = username
        self.user, self.expired = None, False
        self.lines, self.private, self.online = [], [], []
        query = f"/ws/chat?token={key or token(username)}"
        self.ws = wsclient.connect("127.0.0.1", site.port, query)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ws.sock.close()

    # -- what it sends

    def ask_who_is_here(self):
        self.send(type=GROUP_LIST)

    def say(self, data):
        self.send(type=GROUP_CHAT, data=data)

    def whisper(self, to, data):
        self.send(type=SINGLE_CHAT, to=to, data=data)

    def send(self, **message):
        self.ws.send_text(json.dumps(message))

    # -- what it makes of what it gets

    def on_message(self, text):
        message = json.loads(text)
        kind, user, data = message["type"], message["user"], message["data"]
        if kind == ERROR:
            self.expired = self.expired or data == "token过期"
        elif kind == GROUP_LIST:
            self.online = [entry["username"] for entry in json.loads(data)]
        elif kind == GROUP_CHAT:
            self.lines.append((user["username"] if user else None, data))
        elif kind == SINGLE_CHAT:
            self.private.append((user["username"], data))
        else:
            raise AssertionError(f"the original server never said {text}")

    def until(self, condition):
        while not condition():
            self.on_message(self.ws.recv())


def test_a_whole_conversation(site):
    with SeedClient(site, "tom") as tom, SeedClient(site, "ann") as ann:
        for client in (tom, ann):
            client.until(lambda c=client: {"tom", "ann"} <= set(c.online))
            assert client.lines == [(None, "欢迎欢迎,热烈欢迎,进入聊天室")]
        tom.say("大家好")
        ann.say("hello <b>you</b> 😀")
        for client in (tom, ann):
            client.until(lambda c=client: len(c.lines) == 3)
            assert sorted(client.lines[1:]) == [("ann", "hello <b>you</b> 😀"), ("tom", "大家好")]
        assert tom.lines == ann.lines
        tom.whisper("ann", "just you")
        ann.until(lambda: ann.private == [("tom", "just you")])
        ann.whisper("tom", "and you")
        tom.until(lambda: tom.private)
        assert tom.private == [("ann", "and you")]
        ann.ask_who_is_here()
        ann.until(lambda: set(ann.online) == {"tom", "ann"})


def test_a_seed_client_disconnects_and_reconnects(site):
    with SeedClient(site, "stays") as stays:
        with SeedClient(site, "comes") as comes:
            stays.until(lambda: "comes" in stays.online)
            comes.say("back soon")
            stays.until(lambda: ("comes", "back soon") in stays.lines)
        stays.until(lambda: "comes" not in stays.online)
        with SeedClient(site, "comes") as again:
            stays.until(lambda: "comes" in stays.online)
            again.until(lambda: "stays" in again.online)
            assert again.lines == [(None, "欢迎欢迎,热烈欢迎,进入聊天室")]
            stays.say("welcome back")
            again.until(lambda: ("stays", "welcome back") in again.lines)


def test_a_seed_client_survives_a_server_restart(make_server):
    server = make_server(env={"CHAT_ROSTER_GRACE": "0.2"})
    key = token("tom")
    with SeedClient(server, "tom", key) as tom:
        tom.until(lambda: tom.online)
        server.restart()
        with pytest.raises(wsclient.Closed):
            tom.until(lambda: False)
    with SeedClient(server, "tom", key) as tom:
        tom.until(lambda: tom.online == ["tom"])
        tom.say("again")
        tom.until(lambda: ("tom", "again") in tom.lines)


def test_two_sockets_of_one_seed_user(site):
    with (
        SeedClient(site, "twin") as one,
        SeedClient(site, "twin") as two,
        SeedClient(site, "friend") as friend,
    ):
        friend.until(lambda: "twin" in friend.online)
        assert friend.online.count("twin") == 1
        one.whisper("friend", "from one")
        friend.whisper("twin", "to both")
        friend.say("end")
        for window in (one, two):
            # Across rooms no order is promised.
            window.until(lambda w=window: ("friend", "end") in w.lines and w.private)
            assert window.private == [("friend", "to both")]


def test_an_expired_token_is_reported_in_the_seeds_words_and_closes(site):
    with SeedClient(site, "late", token("late", ttl=-10)) as late:
        with pytest.raises(wsclient.Closed):
            late.until(lambda: False)
        assert late.expired
        assert late.lines == late.online == []


def test_a_seed_clients_mistakes_are_answered_with_an_error(site):
    with SeedClient(site, "sloppy") as sloppy:
        sloppy.ws.send_text("not json")
        sloppy.send(type=SINGLE_CHAT, data="to nobody")
        sloppy.whisper("nobody at all", "hello?")
        sloppy.say("still here")
        sloppy.until(lambda: ("sloppy", "still here") in sloppy.lines)
        assert not sloppy.expired
