"""Somebody at the chat page: what one does there, and where one looks."""

import re
from urllib.parse import quote, urlencode

from playwright.sync_api import expect

PASSWORD = "correct horse battery"
_CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')

#: Makes a page's scripts read its configuration without the first answers. (A document that the test itself fulfils may
#: not connect to this machine.)
_WITHOUT_FIRST = """
const parse = JSON.parse;
JSON.parse = (...given) => {
  const value = parse(...given);
  if (value?.strings) delete value.first;
  return value;
};
"""


class Person:
    """One user in one browser profile; `page` is the tab in front."""

    def __init__(self, page, url, name):
        self.page, self.url, self.name = page, url, name

    # -- coming and going

    def register(self, address):
        """Send the site's form as a browser would, without showing it; `address` is told as a proxy would."""
        request = self.page.context.request
        token = _CSRF.search(request.get(f"{self.url}/register").text())[1]
        form = {"csrf_token": token, "username": self.name, "password": PASSWORD}
        answer = request.post(f"{self.url}/register", form=form, headers={"X-Forwarded-For": address})
        assert answer.url.endswith("/chat"), answer.text()

    def log_in(self, page=None):
        """Fill in the log-in page that is open, in this tab or in another `page`."""
        page = page or self.page
        page.get_by_label("Name").fill(self.name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()

    def enter(self, room=None, at=None):
        """Open the chat page, in a room and at a message of it, and wait until it is connected."""
        self.page.goto(self.link(room, at))
        return self.wait_here()

    def without_first_answers(self):
        """Remove the first answers from this tab's pages from now on, so that they request everything."""
        self.page.add_init_script(_WITHOUT_FIRST)

    def link(self, room=None, at=None):
        """The address of a room, or of a message in it."""
        place = {key: value for key, value in (("room", room), ("at", at)) if value is not None}
        return f"{self.url}/chat{'?' if place else ''}{urlencode(place)}"

    def wait_here(self):
        """Wait until the page is connected, knows who is here, and shows what was said."""
        self.wait_state("online")
        looking_on = self.page.get_by_test_id("join-bar").filter(visible=True)
        expect(self.roster_of(self.name).or_(looking_on)).to_have_count(1)
        expect(self.log).to_have_attribute("aria-busy", "false")
        return self

    def wait_state(self, state, **options):
        """Wait until the connection is shown as online, reconnecting, kicked, …"""
        expect(self.connection).to_have_attribute("data-state", state, **options)

    def second_tab(self):
        """The same user in another tab of the same profile, at the chat."""
        return Person(self.page.context.new_page(), self.url, self.name).enter()

    def log_out(self):
        self.page.get_by_test_id("account-menu").locator("summary").click()
        self.page.get_by_test_id("log-out").click()
        expect(self.page).to_have_url(f"{self.url}/login")

    # -- asking the API

    def api(self, method, path, body=None):
        """The answer of the JSON API to this user: its JSON, or None."""
        request = self.page.context.request
        token = request.post(f"{self.url}/chat/token").json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = request.fetch(f"{self.url}/chat/api/{path}", method=method, headers=headers, data=body)
        assert answer.ok, answer.text()
        return answer.json() if answer.text() else None

    @property
    def id(self):
        """The user's id, as the site gave it."""
        return self.api("GET", f"users/{quote(self.name)}")["id"]

    def make_room(self, title, **fields):
        """The name of a new room of one's own."""
        return self.api("POST", "rooms", {"title": title, "kind": "public", **fields})["name"]

    # -- speaking

    def say(self, text):
        self.input.fill(text)
        self.input.press("Enter")

    def turn_to(self, name):
        """Open the conversation with somebody who is here."""
        self.show_people()
        self.roster_of(name).click()
        expect(self.title).to_have_text(name)

    def turn_to_room(self, name):
        """Open one of the own rooms."""
        self.conversation(name).click()
        expect(self.title).to_have_text(name)

    def show_people(self):
        """Have the people of the room beside the log, or over it."""
        if self.people_button.get_attribute("aria-expanded") == "false":
            self.people_button.click()
        expect(self.roster).to_be_visible()

    def turn_to_lobby(self):
        self.conversation("Lobby").click()
        expect(self.title).to_have_text("Lobby")

    # -- where to look

    @property
    def input(self):
        return self.page.get_by_test_id("composer-input")

    @property
    def connection(self):
        return self.page.get_by_test_id("connection-state")

    @property
    def log(self):
        return self.page.get_by_test_id("chat-log")

    @property
    def title(self):
        return self.page.locator("#chat-title")

    @property
    def messages(self):
        return self.page.get_by_test_id("message")

    @property
    def roster(self):
        return self.page.get_by_test_id("roster")

    @property
    def people_button(self):
        return self.page.get_by_test_id("open-people")

    @property
    def jump(self):
        return self.page.get_by_test_id("jump-newest")

    def message(self, text):
        """Every message that holds `text`."""
        return self.messages.filter(has_text=text)

    def roster_of(self, name):
        """Every entry of `name` among the people who are here."""
        return self.roster.get_by_title(name, exact=True)

    def invitation(self, title):
        """The entry of an invitation to a room."""
        return self.page.get_by_test_id("invitation").filter(has_text=title)

    def accept(self, title):
        """Accept an invitation, which leads into the room."""
        self.invitation(title).get_by_test_id("accept").click()
        expect(self.title).to_have_text(title)

    def conversation(self, name):
        return self.page.get_by_test_id("conversation-list").get_by_title(name, exact=True)

    def mentions_in(self, name):
        """The mark that counts mentions of the user, in the list of conversations."""
        return self.conversation(name).get_by_test_id("mentions")

    @property
    def notice(self):
        return self.page.get_by_test_id("notice")

    @property
    def new_line(self):
        """The line before what is new."""
        return self.page.get_by_test_id("new-line")

    @property
    def texts(self):
        """What the messages in the log say, in their order."""
        return self.messages.locator(".fc-message__text").all_inner_texts()

    def unread_of(self, name):
        """The mark that counts what is unread from somebody, in the list of conversations."""
        return self.conversation(name).get_by_test_id("unread")

    @property
    def at_bottom(self):
        """Whether the log shows its end."""
        return self.log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight < 2")

    def hears(self, text, times=1):
        """Wait for a message with `text`, this often and not more often."""
        expect(self.message(text)).to_have_count(times)

    def sent(self, text):
        """Wait until the server has confirmed the own message `text`."""
        expect(self.message(text)).to_have_attribute("data-state", "sent")
