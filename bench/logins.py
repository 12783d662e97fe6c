"""People at the site's pages while others talk: some log in again and again, one reads pages."""

import http.cookiejar
import json
import re
import threading
import time
import urllib.parse
import urllib.request

from bench.servers import flask_chat

PASSWORD = "correct horse battery staple"
#: Each logs in without a pause: a password's hash is a processor's work for tens of milliseconds.
LOGGERS_IN = 2
PAGES = ("/chat", "/account", "/account/password")


class Visitors:
    """Inside its `with` block they come and go; `rates()` says how often each got an answer."""

    def __init__(self, workspace, port):
        self._url = f"http://127.0.0.1:{port}"
        self._names = [f"visitor{number}" for number in range(LOGGERS_IN + 1)]
        self._make_accounts(workspace)
        self._over = threading.Event()
        self._done = {"logins": 0, "pages": 0, "refused": 0}
        self._lock = threading.Lock()

    def _make_accounts(self, workspace):
        made = workspace.scratch / "visitors"
        if not made.exists():
            for name in self._names:
                flask_chat(workspace, "create-user", name, "--password-stdin", said=f"{PASSWORD}\n")
            made.touch()

    def __enter__(self):
        reader, *others = self._names
        jobs = [(self._log_in, name) for name in others]
        jobs.append((Reader(self._url, reader).read, None))
        self._threads = [threading.Thread(target=self._repeat, args=job, daemon=True) for job in jobs]
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def rates(self):
        """Log-ins and pages a second, and how many requests were refused."""
        span = self._ended - self._began
        return {
            "logins_per_s": self._done["logins"] / span,
            "pages_per_s": self._done["pages"] / span,
            "requests_refused": self._done["refused"],
        }

    def _repeat(self, job, argument):
        while not self._over.is_set():
            try:
                kind = job(argument)
            except OSError:  # urllib's errors are OSErrors
                kind = "refused"
            with self._lock:
                self._done[kind] += 1
                self._ended = time.monotonic()

    def _log_in(self, name):
        body = json.dumps({"username": name, "password": PASSWORD}).encode()
        request = urllib.request.Request(f"{self._url}/api/login", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        return "logins"


class Reader:
    """A person with a session, who turns from page to page."""

    def __init__(self, url, name):
        self._url = url
        self._name = name
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._open = urllib.request.build_opener(cookies).open
        self._turn = 0

    def read(self, _):
        if not self._turn:
            self._log_in()
        self._turn += 1
        with self._open(self._url + PAGES[self._turn % len(PAGES)], timeout=60) as page:
            page.read()
        return "pages"

    def _log_in(self):
        with self._open(f"{self._url}/login", timeout=60) as page:
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.read().decode())[1]
        form = {"username": self._name, "password": PASSWORD, "csrf_token": token}
        with self._open(f"{self._url}/login", urllib.parse.urlencode(form).encode(), timeout=60) as page:
            page.read()
