"""The hiking club of examples/existing_site as a process of its own, and its members over plain HTTP."""

import html
import http.client
import json
import re
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests import wsclient
from tests.servers import ROOT, Server

PREFIX = "/talk"
#: The site as each server names it.
APPS = {
    "gunicorn-gevent": "examples.existing_site:create_app()",
    "gunicorn-gthread": "examples.existing_site:create_app()",
    "flask-run": "examples.existing_site",
}
CSRF_FIELD = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
WIDGET_CONFIG = re.compile(r"data-chat-widget.*?<script type=\"application/json\">(.*?)</script>", re.DOTALL)
PAGE_CONFIG = re.compile(r'id="chat-config">(.*?)</script>', re.DOTALL)


class ExistingSite(Server):
    """One server of the site, with databases of its own."""

    def __init__(self, kind, env=None):
        super().__init__(kind, env, APPS[kind])
        self.env["CLUB_DATABASE"] = f"{self.home}/club.db"
        # The club imports the chat as an installed package.
        self.env["PYTHONPATH"] = str(ROOT / "tests" / "installed")
        del self.env["CHAT_ROOT_HEALTH"]  # a site's own addresses are free by default

    def _healthy(self):
        try:
            return self.get(f"{PREFIX}/chat/healthz", timeout=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def member(self, nickname):
        """A new member of the club, who is logged in."""
        member = Member(self)
        answer = member.submit("/join", nickname=nickname, email=f"{nickname}@example.org", password="boots")
        assert answer.status == 302, answer.body
        return member


class Answer:
    """The response to one request."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read().decode()

    @property
    def json(self):
        return json.loads(self.body)

    def config(self, pattern=PAGE_CONFIG):
        """The configuration that the page has for the chat's scripts."""
        return json.loads(html.unescape(pattern.search(self.body)[1]))


class Member:
    """A browser's cookies and forms, without the browser."""

    def __init__(self, server):
        self.server, self._cookies = server, SimpleCookie()

    def request(self, method, path, body=None, **headers):
        """One request; header names are written with underscores."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields["Cookie"] = "; ".join(f"{key}={morsel.value}" for key, morsel in self._cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            connection.request(method, path, body, fields)
            response = connection.getresponse()
            for cookie in response.headers.get_all("Set-Cookie", []):
                self._cookies.load(cookie)
            return Answer(response)
        finally:
            connection.close()

    def get(self, path):
        return self.request("GET", path)

    def submit(self, path, **fields):
        """Submit the form at `path` with its CSRF token."""
        fields["csrf_token"] = CSRF_FIELD.search(self.get(path).body)[1]
        return self.request("POST", path, urlencode(fields), Content_Type="application/x-www-form-urlencoded")

    def ask_token(self, **headers):
        """Request a socket token as the chat page does, by default with a browser's headers."""
        return self.request(
            "POST", f"{PREFIX}/chat/token", "{}", **{"Content_Type": "application/json", **headers}
        )

    def socket(self, **options):
        """A socket opened as the page would: its token from the session, the path from the page's config."""
        path = self.get(f"{PREFIX}/chat").config()["socketPath"]
        token = self.ask_token(Origin=self.server.url, Sec_Fetch_Site="same-origin").json["token"]
        return wsclient.connect(
            "127.0.0.1", self.server.port, f"{path}?token={token}", {"Origin": self.server.url}, **options
        )
