"""Visitors of the site's pages during a load: some log in repeatedly, one reads pages."""

import http.cookiejar
import itertools
import json
import re
import threading
import time
import urllib.parse
import urllib.request

from bench.servers import flask_chat

PASSWORD = "correct horse battery staple"
#: Each of them logs in without a pause. Hashing a password takes a core tens of milliseconds.
LOGIN_THREADS = 2
#: So many that none of them reaches the site's limit of log-ins in one scenario.
ACCOUNTS = 20
PAGES = ("/chat", "/account", "/account/password")


class Visitors:
    """Sends requests inside its `with` block; `rates()` returns how many were answered per second."""

    def __init__(self, workspace, port):
        self._url = f"http://127.0.0.1:{port}"
        self._names = [f"visitor{number}" for number in range(ACCOUNTS + 1)]
        self._log_ins = itertools.count()
        self._make_accounts(workspace)
        self._stopped = threading.Event()
        self._done = {"logins": 0, "pages": 0, "refused": 0}
        self._lock = threading.Lock()

    def _make_accounts(self, workspace):
        marker = workspace.scratch / "visitors"
        if not marker.exists():
            for name in self._names:
                flask_chat(workspace, "create-user", name, "--password-stdin", stdin=f"{PASSWORD}\n")
            marker.touch()

    def __enter__(self):
        reader, *others = self._names
        jobs = [(self._log_in, others)] * LOGIN_THREADS
        jobs.append((Reader(self._url, reader).read, None))
        self._threads = [threading.Thread(target=self._repeat, args=job, daemon=True) for job in jobs]
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def rates(self):
        """Return log-ins and pages per second, and how many requests failed."""
        span = self._ended - self._began
        return {
            "logins_per_s": self._done["logins"] / span,
            "pages_per_s": self._done["pages"] / span,
            "requests_refused": self._done["refused"],
        }

    def _repeat(self, job, argument):
        while not self._stopped.is_set():
            try:
                kind = job(argument)
            except OSError:  # urllib's errors are OSErrors
                kind = "refused"
            with self._lock:
                self._done[kind] += 1
                self._ended = time.monotonic()

    def _log_in(self, names):
        number = next(self._log_ins)
        body = json.dumps({"username": names[number % ACCOUNTS], "password": PASSWORD}).encode()
        headers = {"Content-Type": "application/json", "X-Forwarded-For": f"10.1.0.{number % 200}"}
        request = urllib.request.Request(f"{self._url}/api/login", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        return "logins"


class Reader:
    """A logged-in visitor who reads one page after another."""

    def __init__(self, url, name):
        self._url = url
        self._name = name
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._open = urllib.request.build_opener(cookies).open
        self._count = 0

    def read(self, _):
        if not self._count:
            self._log_in()
        self._count += 1
        with self._open(self._url + PAGES[self._count % len(PAGES)], timeout=60) as page:
            page.read()
        return "pages"

    def _log_in(self):
        with self._open(f"{self._url}/login", timeout=60) as page:
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.read().decode())[1]
        form = {"username": self._name, "password": PASSWORD, "csrf_token": token}
        with self._open(f"{self._url}/login", urllib.parse.urlencode(form).encode(), timeout=60) as page:
            page.read()
