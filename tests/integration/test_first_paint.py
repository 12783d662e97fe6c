"""The data in the chat page's document: the same as the API's answers, and only for users who may have them."""

import json
import re
from pathlib import Path

import pytest
from flask import Flask, request

from chat import Chat, Identity
from chat.store.history import Draft, StoreUnavailable
from chat.web import first_paint

STATIC = Path(first_paint.__file__).parents[1] / "static/js"
ANN, BEN, CARL = (Identity(str(number), name) for number, name in enumerate(("Ann", "Ben", "Carl"), 1))
PEOPLE = {person.username: person for person in (ANN, BEN, CARL)}


class Site:
    """A minimal site with the chat; a header names the user of each request."""

    def __init__(self, folder):
        self.app = Flask(__name__)
        self.app.config.update(CHAT_DATABASE_URL=f"sqlite:///{folder}/chat.db", SECRET_KEY="x" * 32)
        self.chat = Chat(self.app, identity_loader=lambda: PEOPLE.get(request.headers.get("X-Visitor")))
        self.service = self.app.extensions["chat"]
        self._client = self.app.test_client()
        self._said = 0

    def page(self, who, query="", **headers):
        """The response to a user's request for the chat page."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.get(f"/chat{query}", headers={"X-Visitor": getattr(who, "username", ""), **given})

    def first(self, who, query="", **headers):
        """The data in the page, None if there is none."""
        return config_of(self.page(who, query, **headers)).get("first")

    def answers(self, who, query=""):
        return self.first(who, query)["answers"]

    def api(self, who, path):
        """The API's answer to this user."""
        token = self.service.token_for(who)
        answer = self._client.get(f"/chat/api/{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        return answer.json

    def say(self, who, texts, room="lobby", to=None):
        self._add_people()
        drafts = []
        for text in texts:
            self._said += 1
            kind, place = (3, None) if to else (2, room)
            drafts.append(Draft(kind, place, who, f"m{self._said}", False, text, to and to.username))
        self.service.history.append(drafts, 1)

    def _add_people(self):
        for person in PEOPLE.values():
            self.service.users.ensure(person)

    def room(self, title, creator=BEN, **options):
        self._add_people()
        return self.service.create_room(title, creator=creator, **options)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def config_of(answer):
    assert answer.status_code == 200
    return json.loads(
        re.search(r'<script type="application/json" id="chat-config">(.*?)</script>', answer.text)[1]
    )


# -- contents


def test_the_answers_are_those_of_the_api(site):
    site.say(BEN, [f"message {number}" for number in range(70)])
    found = site.answers(ANN)
    assert found.keys() == {"rooms", "rooms/lobby/messages", "rooms/lobby/members"}
    rooms = site.api(ANN, "rooms")["rooms"]
    shown = [room | {"last": None} for room in rooms]
    assert found["rooms"] == {"rooms": shown, "next": None, "invitations": []}
    assert found["rooms/lobby/messages"] == site.api(ANN, "rooms/lobby/messages?limit=50")
    assert len(found["rooms/lobby/messages"]["messages"]) == 50
    assert found["rooms/lobby/members"] == site.api(ANN, "rooms/lobby/members?limit=100")


def test_the_token_is_the_users(site):
    token = site.first(ANN)["token"]
    assert site.service.guard.check(token["token"]).identity == ANN
    assert token["expires_in"] == site.service.settings.token_ttl


def test_the_page_of_a_room_contains_that_room(site):
    name = site.room("茶 house/2"[:-2], creator=ANN).name
    site.say(BEN, ["green", "black"], name)
    found = site.answers(ANN, f"?room={name}")
    assert [message["data"] for message in found["rooms/%E8%8C%B6%20house/messages"]["messages"]] == [
        "green",
        "black",
    ]
    assert "rooms/%E8%8C%B6%20house/members" in found and "rooms/lobby/messages" not in found


def test_the_page_of_a_message_contains_the_messages_around_it(site):
    site.say(BEN, [f"message {number}" for number in range(1, 201)])
    found = site.answers(ANN, "?at=100")
    assert found["rooms/lobby/messages?around=100"] == site.api(
        ANN, "rooms/lobby/messages?limit=50&around=100"
    )


def test_a_room_with_many_unread_messages_begins_at_the_first_of_them(site):
    name = site.room("garden", creator=ANN).name
    site.say(BEN, ["read"] * 5, name)
    site.service.history.mark_read(site.service.history.room(name).id, ANN.id, 5)
    site.say(BEN, ["new"] * 29, name)
    assert "rooms/garden/messages" in site.answers(ANN, "?room=garden")
    site.say(BEN, ["new"] * 2, name)
    assert "rooms/garden/messages?around=6" in site.answers(ANN, "?room=garden")


def test_a_direct_conversation_comes_with_the_lobbys_members(site):
    site.say(BEN, ["psst"], to=ANN)
    found = site.answers(ANN, "?room=dm:1:2")
    assert found["rooms/dm%3A1%3A2/messages"]["messages"][0]["data"] == "psst"
    assert "rooms/lobby/members" in found


def test_a_public_room_is_shown_to_users_who_are_not_members(site):
    site.room("open")
    found = site.answers(ANN, "?room=open")
    assert found["rooms/open"] == site.api(ANN, "rooms/open")
    assert found["rooms/open"]["role"] is None


def test_long_messages_make_a_shorter_page(site):
    site.say(BEN, [f"{number} " + "long " * 1_000 for number in range(20)])
    page = site.answers(ANN)["rooms/lobby/messages"]
    assert [message["seq"] for message in page["messages"]] == list(range(21 - len(page["messages"]), 21))
    assert 0 < len(page["messages"]) < 10 and page["more_before"] is True
    assert len(json.dumps(page)) < 1.1 * first_paint.MOST


def test_a_large_answer_is_left_out(site, monkeypatch):
    monkeypatch.setattr(first_paint, "MOST", 600)
    site.room("one", creator=ANN)
    site.room("two", creator=ANN)
    assert "rooms" not in site.answers(ANN)


# -- access


def test_a_visitor_who_is_not_logged_in_gets_no_page(site):
    answer = site.page(None)
    assert answer.status_code == 401 and "chat-config" not in answer.text


@pytest.mark.parametrize("way", ["private", "direct", "unknown"])
def test_the_page_contains_no_room_that_is_closed_to_its_user(site, way):
    secret = "the launch code is 0000"
    if way == "private":
        name = site.room("plans", private=True).name
        site.say(BEN, [secret], name)
    elif way == "direct":
        name = "dm:2:3"
        site.say(BEN, [secret], to=CARL)
    else:
        name = "nowhere"
    page = site.page(ANN, f"?room={name}")
    assert secret not in page.text
    assert config_of(page)["first"]["answers"].keys() == {"rooms"}
    assert name not in json.dumps(config_of(page)["first"])


def test_the_page_contains_nothing_of_a_room_that_the_user_has_left(site):
    room = site.room("plans", private=True)
    site.service.history.join(room.id, ANN)
    site.say(BEN, ["for members"], room.name)
    assert "for members" in site.page(ANN, f"?room={room.name}").text
    site.service.history.leave(room.id, ANN.id)
    assert "for members" not in site.page(ANN, f"?room={room.name}").text


def test_a_banned_user_gets_the_page_without_data(site):
    site.say(BEN, ["not for the banned"])
    site.service.ban("Ann")
    page = site.page(ANN)
    assert config_of(page)["first"] == {}
    assert "not for the banned" not in page.text


@pytest.mark.parametrize(
    ("fetch_site", "destination", "is_there"),
    [
        ("none", "document", True),
        ("same-origin", "document", True),
        ("same-origin", "iframe", True),
        ("cross-site", "document", True),
        ("cross-site", "iframe", False),
        ("cross-site", "script", False),
        ("same-site", "empty", False),
    ],
)
def test_only_the_site_itself_and_new_documents_get_a_token(site, fetch_site, destination, is_there):
    headers = {"Sec_Fetch_Site": fetch_site, "Sec_Fetch_Dest": destination}
    assert (site.first(ANN, **headers) is not None) == is_there


def test_the_page_is_neither_stored_nor_loaded_by_other_origins(site):
    headers = site.page(ANN).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]


# -- robustness


def test_messages_cannot_end_the_script_element(site):
    words = "</script><script>alert(1)</script><!-- &amp; \u2028 你好"
    site.say(BEN, [words])
    page = site.page(ANN)
    assert page.text.count("<script") == 2
    assert "你好" in page.text
    assert config_of(page)["first"]["answers"]["rooms/lobby/messages"]["messages"][0]["data"] == words


def test_a_page_is_served_without_data_while_the_store_fails(site, monkeypatch):
    def fail(*_):
        raise StoreUnavailable("it is away")

    site.page(ANN)
    monkeypatch.setattr(site.service.history, "rooms_of", fail)
    assert site.first(ANN) == {}


@pytest.mark.parametrize(
    "query", ["?at=0", "?at=-1", "?at=x", "?at=99999999999999999999", "?room=", "?room=%00", "?room=dm:"]
)
def test_a_malformed_address_still_gets_the_rooms(site, query):
    assert "rooms" in site.answers(ANN, query)


def test_a_widget_puts_no_token_into_the_sites_pages(site):
    @site.app.get("/shop")
    def shop():
        return site.app.jinja_env.globals["chat_widget"]()

    answer = site._client.get("/shop", headers={"X-Visitor": "Ann"})
    assert '"tokenPath"' in answer.text and "first" not in json.loads(
        re.search(r'<script type="application/json">(.*?)</script>', answer.text)[1]
    )


def test_the_constants_are_those_of_the_scripts():
    for module, name, wanted in (
        ("history.js", "PAGE", first_paint.MESSAGES),
        ("members.js", "PAGE", first_paint.MEMBERS),
        ("reading.js", "AT_ONCE", first_paint.MANY_UNREAD),
    ):
        assert f"const {name} = {wanted};" in (STATIC / module).read_text()
