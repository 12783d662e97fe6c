"""A user of a site in a browser: logs in through the site's own form, talks, reads the site's pages."""

import re

from playwright.sync_api import expect

#: What the chat's patch adds to a page.
ADDED = re.compile(
    r"""<a\ href="[^"]*">Talk</a>
      | <div\ data-chat-widget>.*?</template>\s*<script.*?</script>\s*<script.*?</script>\s*</div>""",
    re.VERBOSE | re.DOTALL,
)
#: What differs from one response to the next without the chat, too.
CHANGING = (
    re.compile(r'(?<=name="csrf_token" type="hidden" value=")[^"]*'),
    re.compile(r"(?<=nonce=[\"'])[^\"']*"),
    re.compile(r"(?<='nonce-)[^']*"),
)
HEADERS_THAT_CHANGE = {"date", "content-length", "server", "connection"}


class Visitor:
    """One browser profile at one server of a site."""

    def __init__(self, page, server, site):
        self.page, self.server, self.site = page, server, site

    def log_in(self, account):
        """Fill in the site's own log-in form and open the page that has the widget."""
        name, password, button = self.site.fields
        self.page.goto(self.server.url + self.site.login_path)
        self.page.fill(name, account.login)
        self.page.fill(password, account.password)
        with self.page.expect_navigation() as answer:
            self.page.click(button)
        assert answer.value.ok
        self.page.goto(self.server.url + self.site.home)
        return self

    def open_widget(self):
        self.page.get_by_test_id("widget-launcher").click()
        return self.wait_online()

    def open_page(self):
        self.page.get_by_role("link", name="Talk").click()
        return self.wait_online()

    def wait_online(self):
        state = self.page.locator("[data-testid=connection-state][data-state=online]")
        state.wait_for(state="attached")
        return self

    def say(self, text):
        self.page.get_by_test_id("composer-input").fill(text)
        self.page.get_by_test_id("composer-input").press("Enter")

    def wait_heard(self, text, sender):
        message = self.page.get_by_test_id("message").filter(has_text=text)
        expect(message).to_be_visible()
        expect(self.page.get_by_test_id("roster-item").filter(has_text=sender).first).to_be_attached()

    def read(self, path):
        """(status, headers, body) of one of the site's pages, without the chat's additions and what always changes."""
        answer = self.page.context.request.get(self.server.url + path, max_redirects=0)
        headers = {
            name: self._steady(value)
            for name, value in answer.headers.items()
            if name not in HEADERS_THAT_CHANGE and name != "set-cookie"
        }
        return answer.status, headers, self._steady(ADDED.sub("", answer.body().decode(errors="replace")))

    def _steady(self, text):
        for pattern in CHANGING:
            text = pattern.sub("…", text)
        text = text.replace(f"127.0.0.1:{self.server.port}", "site").replace(f"127.0.0.1%3A{self.server.port}", "site")
        return re.sub(r"\s+", " ", text).strip()
