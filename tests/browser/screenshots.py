"""Pictures of every page, to be looked at: `python -m tests.browser.screenshots DIR`.

Each is taken at desktop and phone width, light and dark, in English and Chinese. With `--docs`, only the two of
README.md are taken: chat-light.png and chat-dark.png.
"""

import argparse
import json
import re
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browser.conversation_pieces import (
    COLLEAGUES,
    DESIGN,
    DIRECT,
    LOBBY,
    LOOKED_FOR,
    READER,
    ROOMS,
)
from tests.browser.past import Past
from tests.browser.person import PASSWORD, Person
from tests.integration.existing_site import ExistingSite
from tests.servers import Server
from tests.tokens import token
from tools import chromium

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SCHEMES = ("light", "dark")
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
#: When the pictures are taken, as the pages believe: 2026-06-12 09:45 UTC, in milliseconds.
MORNING = 1_781_257_500_000
MINUTE = 60_000
ROOMS_OF_THE_API = re.compile("/chat/api/rooms")
#: Members of the example's hiking club: a name stays taken, and each picture needs a new one.
MEMBERS = iter("Heidi Vreni Ueli Regula Beat Ursula Reto Annina Luzia Jürg Silvia Urs".split())


class Stage:
    """One reader's page at one size, in one scheme and language, and colleagues on plain sockets."""

    def __init__(self, browser, site, size, scheme, language):
        self.site, self.language, self.is_phone = site, language, size == "phone"
        self.name = f"{size}-{scheme}-{language}"
        self.now, self.socket, self.is_down, self._times = MORNING - 40 * MINUTE, None, False, {}
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale=LOCALES[language],
            timezone_id="UTC",
            is_mobile=self.is_phone,
            has_touch=self.is_phone,
            device_scale_factor=2 if self.is_phone else 1,
            reduced_motion="reduce",
        )
        self.page = context.new_page()
        self.page.clock.install(time=MORNING / 1000)
        self.page.route_web_socket(re.compile("/ws/chat"), self._direct)
        self.page.route(re.compile("/chat/api/.*(messages|search)"), self._date_all)
        self.reader = Person(self.page, site.url, READER[language])
        self.reader.without_first_answers()  # so that _date_all dates every message

    def _direct(self, socket):
        """Stand between page and server, so that a conversation of seconds seems to have taken its time."""
        self.socket = socket
        if self.is_down:
            return socket.close(code=1012)
        server = socket.connect_to_server()
        server.on_message(lambda text: socket.send(self._dated(text)))

    def _dated(self, text):
        message = json.loads(text)
        if "ts" in message:
            message["ts"] = self._times.setdefault(message["id"], self.now)
        return json.dumps(message)

    def _date_all(self, route):
        """What was heard keeps its time; what was said before was said this morning, or the day before."""
        answer = route.fetch()
        body = answer.json()
        for message in body["messages"]:
            age = body.get("last_seq", message["seq"]) - message["seq"]
            before = MORNING - (50 + 4 * age + (16 * 60 if age > 4 else 0)) * MINUTE
            message["ts"] = self._times.setdefault(message["id"], before)
        route.fulfill(response=answer, json=body)

    def words(self, words):
        """A text, in the reader's language where it is told in several."""
        return words[self.language] if isinstance(words, dict) else words

    def build_rooms(self, past):
        """Rooms with a history: some of them read, some not."""
        for title, topic, said, unread in ROOMS:
            name = past.room(self.words(title), topic=self.words(topic), members=[self.reader], by="Clara")
            for who, words in said:
                past.say(name, [self.words(words).format(reader=self.reader.name)], by=who)
            row = past.history.room(name)
            past.history.mark_read(row.id, self.reader.id, row.last_seq - unread)

    @contextmanager
    def colleagues(self):
        """Everybody else of the conversation, by name; gone at the end."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(self.site.socket(token=token(name))) for name in COLLEAGUES}

    def act(self, script, colleagues, direct=False):
        """Have the lines of `script` said, each after the one before was heard."""
        for minutes, who, words in script:
            self.now += minutes * MINUTE
            text = self.words(words).format(reader=self.reader.name)
            if who is None:
                self.reader.say(text)
            elif direct:
                colleagues[who].send_json({"type": 3, "to": self.reader.name, "data": text})
            else:
                colleagues[who].send_json({"type": 2, "data": text})
            if direct and self.reader.title.inner_text() != "Clara":
                expect(self.reader.unread_of("Clara")).to_have_text("1")
            else:
                expect(self.reader.messages.last).to_contain_text(text[:20])
                expect(self.reader.messages.last).to_have_attribute("data-state", "sent")


class Album:
    """The pictures of one stage, written into a folder."""

    def __init__(self, stage, folder):
        self._stage, self._folder, self._page = stage, folder, stage.page

    def take(self, name):
        self._page.screenshot(path=self._folder / f"{name}-{self._stage.name}.png", animations="disabled")

    def pages(self, closed):
        """Everything but the chat itself; `closed` is a site that lets nobody register."""
        url = self._stage.site.url
        self._show("login", f"{url}/login")
        self._fill_and_take("login-wrong", "nobody", "not the password")
        self._show("register", f"{url}/register")
        self._fill_and_take("register-wrong", "Ωmega м", "short")
        self._show("closed", f"{closed.url}/register")
        self._stage.reader.register(address="198.51.0.1")
        self._page.goto(f"{url}/chat")  # where the session is first used
        self._show(
            "reset", self._stage.site.cli("reset-link", self._stage.reader.name, "--site", url).strip()
        )
        self._show("reset-gone", f"{url}/account/reset")
        for name in ("account", "account/password", "account/delete", "no-such-page"):
            self._show(name.rpartition("/")[2], f"{url}/{name}")

    def chat(self):
        """The chat: empty, lively, a direct conversation, the drawer of a phone, the connection in trouble."""
        stage = self._stage
        reader = stage.reader.enter()
        self.take("chat-empty")
        with Past(stage.site) as past:
            stage.build_rooms(past)
        with stage.colleagues() as colleagues:
            stage.act(LOBBY, colleagues)
            stage.act(DIRECT[:1], colleagues, direct=True)
            reader.page.reload()
            reader.wait_here()
            self.take("chat")
            self._open_drawer("chat-drawer")
            self._turn_to("Clara")
            stage.act(DIRECT[1:], colleagues, direct=True)
            self.take("chat-direct")
            self._trouble()

    def rooms(self):
        """Rooms: what is new in one, its people, a message that was looked for, and all that can be asked and said."""
        design = self._stage.words(DESIGN)
        self._turn_to(design)
        expect(self._stage.reader.new_line).to_be_visible()
        self.take("room-new")
        self._open("open-people", "room-people")
        self._page.get_by_test_id("open-search").click()
        self._page.get_by_test_id("search-field").fill(self._stage.words(LOOKED_FOR))
        found = self._page.get_by_test_id("search-result")
        expect(found.first).to_be_visible()
        self.take("room-search")
        found.last.click()
        expect(self._page.locator(".fc-message--found")).to_be_in_viewport()
        self.take("room-found")
        self._page.keyboard.press("Escape")
        self._open("room-menu", "room-menu", inside="summary")
        for name in ("find-rooms", "make-room", "write-to"):
            self._open(name, f"room-{name}", in_drawer=True)
        self._private_room()
        self._invited()
        self._nowhere()

    def _private_room(self):
        reader = self._stage.reader
        title = self._stage.words({"en": "Surprise party", "zh": "生日惊喜"})
        room = reader.make_room(title, kind="private")
        reader.api("POST", f"rooms/{room}/members", {"username": "Clara"})
        self._as("Clara", "POST", f"invitations/{room}/accept")
        reader.enter(room)
        self.take("room-private")
        if self._page.get_by_test_id("open-people").get_attribute("aria-expanded") == "false":
            self._page.get_by_test_id("open-people").click()
        expect(self._page.locator(".fc-person__manage:not([hidden])")).to_be_visible()
        self._open("invite", "room-invite")
        self._page.locator(".fc-person__manage:not([hidden])").click()
        self.take("room-member")
        for _ in ("the dialog", "what lies below it"):
            self._page.keyboard.press("Escape")

    def _as(self, name, method, path, body=None):
        """Ask the API as a colleague."""
        headers = {"Authorization": f"Bearer {token(name)}", "Content-Type": "application/json"}
        status, _, answer = self._stage.site.request(
            method, f"/chat/api/{path}", None if body is None else json.dumps(body), headers
        )
        assert status < 300, answer
        return json.loads(answer) if answer else None

    def _invited(self):
        """Invitations that wait for an answer, and the conversation with somebody whose account was deleted."""
        reader = self._stage.reader
        for title in (
            {"en": "Board", "zh": "理事会"},
            {"en": "A room with quite a long name", "zh": "名字相当长的一个房间"},
        ):
            new = {"title": self._stage.words(title), "kind": "private"}
            room = self._as("Clara", "POST", "rooms", new)["name"]
            self._as("Clara", "POST", f"rooms/{room}/members", {"id": reader.id})
        reader.enter()
        expect(self._page.get_by_test_id("invitation")).to_have_count(2)
        self.take("room-invited")
        if self._stage.is_phone:
            self._page.get_by_test_id("open-drawer").tap()
            self.take("room-invited-drawer")
            self._page.keyboard.press("Escape")
        with Past(self._stage.site) as past:
            past.users.delete(past.person("Clara").id)
        reader.enter(f"dm:{min(reader.id, 'id-Clara')}:{max(reader.id, 'id-Clara')}")
        self.take("chat-gone")

    def _nowhere(self):
        """What is shown where there is nothing to show, or not yet, or no more."""
        reader = self._stage.reader
        self._page.goto(reader.link("Nowhere"))
        expect(reader.notice).to_be_visible()
        self.take("room-unknown")
        for name, answer, seen in (
            ("room-loading", lambda route: None, self._page.get_by_test_id("skeleton")),
            ("room-failed", lambda route: route.abort(), reader.log.get_by_role("alert")),
        ):
            self._page.route(ROOMS_OF_THE_API, answer)
            self._page.goto(reader.link())
            expect(seen).to_be_visible()
            reader.wait_state("online")
            self.take(name)
            self._page.unroute(ROOMS_OF_THE_API)

    def _turn_to(self, name):
        if self._stage.is_phone:
            self._page.get_by_test_id("open-drawer").tap()
        self._stage.reader.conversation(name).click()
        expect(self._stage.reader.title).to_have_text(name)

    def _open_drawer(self, name):
        if not self._stage.is_phone:
            return
        self._page.get_by_test_id("open-drawer").tap()
        expect(self._stage.reader.conversation("Clara")).to_be_visible()
        self.take(name)
        self._page.keyboard.press("Escape")

    def _open(self, test_id, name, inside=None, in_drawer=False):
        """Take what a button opens, and close it again."""
        if in_drawer and self._stage.is_phone:
            self._page.get_by_test_id("open-drawer").tap()
        button = self._page.get_by_test_id(test_id)
        button = button.locator(inside) if inside else button
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        self._page.wait_for_load_state("networkidle")
        self.take(name)
        self._page.keyboard.press("Escape")
        if in_drawer and self._stage.is_phone:
            self._page.keyboard.press("Escape")

    def _trouble(self):
        self._stage.is_down = True
        self._stage.socket.close(code=1012)
        self._stage.reader.wait_state("reconnecting")
        self._stage.reader.say({"en": "Still there?", "zh": "还在吗？"}[self._stage.language])
        expect(self._stage.reader.messages.last).to_have_attribute("data-state", "pending")
        self.take("chat-lost")
        self._stage.is_down = False

    def widget(self, club):
        """The example site, its widget closed and open."""
        page, name = self._page, next(MEMBERS)
        page.goto(f"{club.url}/join")
        page.get_by_label("Nickname").fill(name)
        page.get_by_label("Email").fill(f"{name}@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Join").click()
        page.get_by_text(f"Hello, {name}").wait_for()
        page.get_by_test_id("widget-launcher").click()
        self._stage.reader.wait_state("online")
        page.get_by_test_id("composer-input").fill("Is the ridge still icy?")
        page.get_by_test_id("composer-input").press("Enter")
        self._stage.reader.sent("Is the ridge still icy?")
        self.take("widget")
        page.get_by_test_id("open-drawer").click()
        self.take("widget-drawer")

    def _show(self, name, address):
        self._page.goto(address)
        self.take(name)

    def _fill_and_take(self, name, username, password):
        self._page.locator("#username").fill(username)
        self._page.locator("#password").fill(password)
        self._page.locator("form .button").click()
        self._page.get_by_role("alert").wait_for()
        self.take(name)


def every_page(browser, folder):
    with Server("gunicorn-gevent", env={"CHAT_REGISTRATION": "0"}) as closed:
        for size, scheme, language in product(SIZES, SCHEMES, LOCALES):
            with Server("gunicorn-gevent") as site, ExistingSite("gunicorn-gevent") as club:
                stage = Stage(browser, site, size, scheme, language)
                album = Album(stage, folder)
                album.pages(closed)
                album.chat()
                stage.reader.enter()
                album.rooms()
                album.widget(club)
                stage.page.context.close()


def for_the_readme(browser, folder):
    for scheme in SCHEMES:
        with Server("gunicorn-gevent") as site:
            stage = Stage(browser, site, "desktop", scheme, "en")
            stage.reader.register(address="198.51.0.1")
            with Past(site) as past:
                stage.build_rooms(past)
            stage.reader.enter()
            with stage.colleagues() as colleagues:
                stage.act(LOBBY, colleagues)
                stage.act(DIRECT[:1], colleagues, direct=True)
                stage.page.screenshot(path=folder / f"chat-{scheme}.png", animations="disabled")
            stage.page.context.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", action="store_true", help="only the two pictures of README.md")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
        (for_the_readme if asked.docs else every_page)(browser, asked.folder)
        browser.close()


if __name__ == "__main__":
    main()
