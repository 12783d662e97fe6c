"""Serving the club of tests/hosts/club with an installed wheel, and visiting it."""

import re
import shutil
import tempfile
from pathlib import Path

from tests.integration.existing_site import PREFIX, WIDGET_CONFIG, Member
from tests.servers import Server

CLUB = Path(__file__).with_name("club")
KINDS = {"gunicorn-gevent": "club:app", "gunicorn-gthread": "club:app", "flask-run": "club"}
SCRIPT = re.compile(r'<script[^>]* src="([^"]+/page-[^"]+\.js)"')


class Club(Server):
    """One server of the club: run by the programs in `bin`, away from the tree, on a database that is not there yet."""

    cli_app = "club"

    def __init__(self, kind, bin, env=None):
        self.cwd = Path(tempfile.mkdtemp(prefix="club-"))
        shutil.copytree(CLUB, self.cwd, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        env = {"CHAT_DATABASE_URL": f"sqlite:///{self.cwd}/chat.db", **(env or {})}
        super().__init__(kind, env, KINDS[kind])
        self.command[0] = str(Path(bin, Path(self.command[0]).name))
        self.bin = Path(bin)

    def _healthy(self):
        try:
            return self.get(f"{PREFIX}/chat/healthz", timeout=5)[0] == 200
        except OSError:
            return False

    def stop(self):
        super().stop()
        shutil.rmtree(self.cwd, ignore_errors=True)

    def member(self, name):
        """A member who is logged in."""
        member = Member(self)
        assert member.request("POST", f"/enter/{name}").status == 204
        return member


def converse(first, second=None):
    """Ann loads the pages of one server, opens a socket, and talks with Bob, who is on the same or a second one."""
    ann, bob = first.member("ann"), (second or first).member("bob")
    assert_pages_load(ann)
    early = {"type": 2, "data": "hello", "id": "m1"}
    with ann.socket() as anns, bob.socket() as bobs:
        anns.send_json(early)
        assert anns.recv_json(ref="m1")["type"] == 4
        assert bobs.recv_json(id="m1")["data"] == "hello"
        bobs.send_json({"type": 3, "to": "ann", "data": "psst", "id": "m2"})
        assert anns.recv_json(id="m2")["data"] == "psst"


def assert_pages_load(member):
    """The page with its built script, in both languages, and the widget on a page of the site."""
    page = member.get(f"{PREFIX}/chat")
    assert page.status == 200, page.body
    assert member.get(SCRIPT.search(page.body)[1]).status == 200
    assert 'lang="zh' in member.get(f"{PREFIX}/chat?lang=zh").body
    home = member.get("/")
    assert "hikes" in home.body
    assert WIDGET_CONFIG.search(home.body)


def assert_drains(server):
    """A server that is told to stop closes its sockets with 1012: gunicorn, with the chat's hooks."""
    with server.member("ann").socket() as client:
        client.recv_json(type=1)
        server.process.terminate()
        assert client.wait_closed()[0] == 1012
    assert server.wait_exit() == 0
