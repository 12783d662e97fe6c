"""The recipes of docs/adding-to-your-site.md: their code, and the small sites that it is run in.

The chat is imported as a site imports it, as `flask_chat`: the installed package, or else this tree under that name.
"""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from flask import Flask, current_app

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "adding-to-your-site.md").read_text()
SECTION = re.compile(r"^##+ (.*?)\n(.*?)(?=^##+ |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: {title: [(language, code)]}
SECTIONS = {title: BLOCK.findall(text) for title, text in SECTION.findall(GUIDE)}
#: Sections whose code is of a site that other tests serve.
ELSEWHERE = (
    "JWTs in headers",
    "Templates to override",
    "From your own code",
    "Signals",
    "A message type of your own",
)
ANNA = {"id": "1", "username": "Anna"}
#: What a browser sends with the page's token request.
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}

if find_spec("flask_chat") is None:
    sys.path.append(str(ROOT / "tests" / "installed"))


def code(title, language="python"):
    """The blocks of one section, in one language."""
    return [text for kind, text in SECTIONS[title] if kind == language]


def run(title, **names):
    """Run the Python of a section with the names that its text takes for granted; return all names."""
    for block in code(title):
        exec(compile(block, title, "exec"), names)
    return names


def bare_site(folder):
    """A site in `folder` with an index page that has the widget."""
    app = Flask("a_site", root_path=str(folder), instance_path=str(folder / "instance"))
    app.config.update(SECRET_KEY="a secret that is long enough for HS256, as it should be", TESTING=True)
    (folder / "templates").mkdir()
    add_page(app, "/", "index", "{{ chat_widget() }}")
    return app


def add_page(app, path, endpoint, template):
    """Add a page that consists of `template`."""
    app.add_url_rule(path, endpoint, lambda: current_app.jinja_env.from_string(template).render())


def add_flask_login(app):
    """Give the site Flask-Login, with Anna for its only user."""
    import flask_login

    class User(flask_login.UserMixin):
        id, username, nickname = 1, "Anna", "Anna"

    manager = flask_login.LoginManager(app)
    manager.user_loader(lambda id: User() if id == "1" else None)
    app.add_url_rule("/login", "login", lambda: flask_login.login_user(User()) and "in", methods=["POST"])
    app.add_url_rule("/logout", "logout", lambda: flask_login.logout_user() and "out", methods=["POST"])
    return app


def logged_in(app, **headers):
    """A client of the site, who was a stranger to the chat before the log-in."""
    client = app.test_client()
    assert client.get("/chat").status_code in (302, 401)
    assert client.post("/login", headers=headers).status_code == 200
    return client


def user_of(client, **headers):
    """Who the chat page is shown to, and gets a token; None for a stranger."""
    page = client.get("/chat")
    if page.status_code != 200:
        return None
    assert ask_token(client, **headers).status_code == 200
    return dict(re.findall(r'"(\w+)": "([^"]*)"', re.search(r'"user": (\{.*?\})', page.text)[1]))


def ask_token(client, **headers):
    """The answer to the page's request for a token."""
    return client.post("/chat/token", json={}, headers={**SAME_ORIGIN, **headers})
