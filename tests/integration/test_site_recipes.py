"""The recipes of docs/adding-to-your-site.md: the code of each section is run in a small site of the kind it is for.

The chat is imported as a site imports it, as `flask_chat`. A recipe whose extension is not installed here is skipped;
tests/hosts/sites/test_recipes.py runs this file where all are.
"""

import re
import sys
from pathlib import Path

import pytest
from flask import Flask, current_app, redirect, request, session

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "adding-to-your-site.md").read_text()
SECTION = re.compile(r"^##+ (.*?)\n(.*?)(?=^##+ |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECTIONS = {title: BLOCK.findall(text) for title, text in SECTION.findall(GUIDE)}
SECRET = "a secret that is long enough for HS256, as it should be"
ANNA = {"id": "1", "username": "Anna"}
#: What the browser sends with the page's token request.
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
#: Sections whose code is of a site that other tests serve, or that stands below "Your site has …" without a test here.
ELSEWHERE = {
    *("JWTs in headers", "Templates to override", "From your own code", "Signals", "A message type of your own"),
}


def code(title, language="python"):
    """The blocks of one section, in one language."""
    return [text for kind, text in SECTIONS[title] if kind == language]


def run(title, **names):
    """Run the Python of a section with the names that its text takes for granted; return all names."""
    for block in code(title):
        exec(compile(block, title, "exec"), names)
    return names


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """The chat under the name that it has once it is installed."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "installed")


@pytest.fixture
def app(tmp_path):
    """A bare site with an index page, which the recipe's template is appended to."""
    app = Flask("a_site", root_path=str(tmp_path), instance_path=str(tmp_path / "instance"))
    app.config.update(SECRET_KEY=SECRET, TESTING=True)
    (tmp_path / "templates").mkdir()
    app.add_url_rule("/", "index", lambda: current_app.jinja_env.from_string("{{ chat_widget() }}").render())
    return app


def user_of(client, **headers):
    """Who the chat page is shown to; None for a stranger."""
    page = client.get("/chat")
    if page.status_code != 200:
        return None
    found = re.search(r'"user": (\{.*?\})', page.text)
    assert ask_token(client, **headers).status_code == 200
    return {key: value for key, value in re.findall(r'"(\w+)": "([^"]*)"', found[1])}


def ask_token(client, path="/chat/token", **headers):
    return client.post(path, json={}, headers={**SAME_ORIGIN, **headers})


# -- every section is here


def test_every_section_with_code_has_a_test():
    tested = set(re.findall(r'\brun\("(.*?)"|\bcode\("(.*?)"', Path(__file__).read_text()))
    names = {name for pair in tested for name in pair if name}
    unknown = (names | ELSEWHERE) - set(SECTIONS)
    assert unknown == set()
    with_code = {
        title for title, blocks in SECTIONS.items() if {kind for kind, _ in blocks} & {"python", "jinja", "nginx"}
    }
    assert with_code - names - ELSEWHERE == set()


# -- log-ins


@pytest.fixture
def login(app):
    """A site with Flask-Login, and a client that has logged in by its form."""
    flask_login = pytest.importorskip("flask_login")

    class User(flask_login.UserMixin):
        id, username, nickname = 1, "Anna", "Anna"

    manager = flask_login.LoginManager(app)
    manager.user_loader(lambda id: User() if id == "1" else None)
    app.add_url_rule("/login", "login", lambda: flask_login.login_user(User()) and "in", methods=["POST"])
    app.add_url_rule("/logout", "logout", lambda: flask_login.logout_user() and "out", methods=["POST"])
    return app


def logged_in(app, **headers):
    client = app.test_client()
    assert client.get("/chat").status_code in (302, 401)
    assert client.post("/login", headers=headers).status_code == 200
    return client


def test_five_lines(login):
    from flask_login import current_user

    run("Five lines", app=login, current_user=current_user)
    (template,) = code("Five lines", "jinja")
    login.add_url_rule("/home", "home", lambda: current_app.jinja_env.from_string(template).render())
    client = login.test_client()
    assert "data-chat-widget" not in client.get("/home").text
    client.post("/login")
    assert '"username": "Anna"' in client.get("/talk/chat").text
    home = client.get("/home").text
    assert '<a href="/talk/chat">Talk</a>' in home
    assert "data-chat-widget" in home


def test_flask_login(login):
    run("Flask-Login", app=login)
    client = logged_in(login)
    assert user_of(client) == ANNA
    client.post("/logout")
    assert user_of(client) is None


def test_flask_security(app):
    security = pytest.importorskip("flask_security")
    from flask_security.models import fsqla_v3 as fsqla
    from flask_sqlalchemy import SQLAlchemy

    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", SECURITY_PASSWORD_SALT="salt", WTF_CSRF_ENABLED=False)
    app.config["SECURITY_PASSWORD_HASH"] = "plaintext"
    app.config["SECURITY_PASSWORD_SCHEMES"] = ["plaintext"]
    db = SQLAlchemy(app)
    fsqla.FsModels.set_db_info(db)
    role = type("Role", (db.Model, fsqla.FsRoleMixin), {})
    user = type("User", (db.Model, fsqla.FsUserMixin), {})
    store = security.SQLAlchemyUserDatastore(db, user, role)
    security.Security(app, store)
    with app.app_context():
        db.create_all()
        store.create_user(email="anna@example.org", password="boots")
        store.commit()
    run("Flask-Security", app=app)
    client = app.test_client()
    assert client.get("/chat").headers["Location"].startswith("/login")
    client.post("/login", data={"email": "anna@example.org", "password": "boots"})
    assert user_of(client) == {"id": "1", "username": "anna@example.org"}


def test_flask_admin(login, tmp_path):
    pytest.importorskip("flask_admin")
    run("Flask-Login", app=login)
    (template,) = code("Flask-Admin", "jinja")
    (tmp_path / "templates" / "admin_base.html").write_text(template)
    run("Flask-Admin", app=login)
    assert "data-chat-widget" in logged_in(login).get("/admin/").text
    assert "data-chat-widget" not in login.test_client().get("/admin/").text


def test_flask_appbuilder(app, tmp_path):
    pytest.importorskip("flask_appbuilder")
    from flask_appbuilder.utils.legacy import get_sqla_class

    app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/site.db", WTF_CSRF_ENABLED=False)
    db = get_sqla_class()(app)
    (template,) = code("Flask-AppBuilder", "jinja")
    (tmp_path / "templates" / "site_base.html").write_text(template)
    del app.view_functions["index"]
    with app.app_context():
        builder = run("Flask-AppBuilder", app=app, db=db)["appbuilder"]
        builder.sm.add_user("Anna", "A", "B", "anna@example.org", builder.sm.find_role("Admin"), "boots")
    client = app.test_client()
    assert client.get("/chat").headers["Location"].startswith("/login/")
    client.post("/login/", data={"username": "Anna", "password": "boots"})
    assert user_of(client)["username"] == "Anna"
    assert "data-chat-widget" in client.get("/users/list/").text


def test_own_session(app):
    def find_user(id):
        return {"id": 1, "name": "Anna"} if id == 1 else None

    def log_in():
        session["user_id"] = 1
        return "in"

    app.add_url_rule("/login", "login", log_in, methods=["POST"])
    run("A session of its own", app=app, find_user=find_user, redirect=redirect)
    client = logged_in(app)
    assert user_of(client) == ANNA
    assert client.post("/logout").status_code == 302
    assert user_of(client) is None


# -- tokens


def test_jwts_in_cookies(app):
    jwt = pytest.importorskip("flask_jwt_extended")
    app.config.update(JWT_TOKEN_LOCATION=["cookies"], JWT_COOKIE_CSRF_PROTECT=True)
    jwt.JWTManager(app)

    def log_in():
        answer = current_app.response_class("in")
        jwt.set_access_cookies(answer, jwt.create_access_token("1", additional_claims={"name": "Anna"}))
        return answer

    app.add_url_rule("/login", "login", log_in, methods=["POST"])
    run("JWTs in cookies", app=app)
    client = logged_in(app)
    csrf = client.get_cookie("csrf_access_token").value
    assert user_of(client, **{"X-CSRF-TOKEN": csrf}) == ANNA
    assert ask_token(client).status_code == 401


# -- protections


def test_flask_wtf(login):
    pytest.importorskip("flask_wtf")
    run("Flask-WTF", app=login)
    assert login.test_client().post("/login").status_code == 400
    login.extensions["csrf"].exempt(login.view_functions["login"])
    assert user_of(logged_in(login)) == ANNA


def test_flask_seasurf(login):
    pytest.importorskip("flask_seasurf")
    login.config["TESTING"] = False  # SeaSurf checks nothing in tests
    csrf = run("Flask-SeaSurf", app=login)["csrf"]
    csrf.exempt(login.view_functions["login"])
    client = logged_in(login)
    client.get("/chat")
    assert ask_token(client).status_code == 403
    assert user_of(client, **{"X-CSRFToken": client.get_cookie("_csrf_token").value}) == ANNA


def test_another_csrf_protection(login):
    names = run("Flask-Login", app=login)
    run("Another CSRF protection", **names)

    @login.before_request
    def check():
        proven = request.method == "GET" or request.path == "/login" or "X-Club-Proof" in request.headers
        return None if proven else redirect("/")

    client = logged_in(login)
    assert '"X-Club-Proof": "rope"' in client.get("/chat").text
    assert ask_token(client).status_code == 302
    assert ask_token(client, **{"X-Club-Proof": "rope"}).status_code == 200


def test_flask_talisman(login):
    pytest.importorskip("flask_talisman")
    run("Flask-Talisman", app=login)
    client = login.test_client()
    assert client.get("/chat").headers["Location"].startswith("https://")
    secure = {"base_url": "https://localhost"}
    client.post("/login", **secure)
    assert '"username": "Anna"' in client.get("/chat", **secure).text
    page = client.get("/", **secure)
    assert "data-chat-widget" in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert re.findall(r"<(?:script|style)(?![^>]*(?: src=|application/json))[^>]*>", page.text) == []


# -- databases and languages


def test_flask_babel(login):
    pytest.importorskip("flask_babel")
    run("Flask-Babel or another", app=login)
    client = logged_in(login)
    assert 'lang="zh-Hans"' in client.get("/chat", headers={"Accept-Language": "en"}).text


def test_flask_migrate(login, tmp_path):
    pytest.importorskip("flask_migrate")
    from flask_migrate import init
    from flask_migrate import migrate as autogenerate
    from flask_sqlalchemy import SQLAlchemy

    login.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/site.db")
    login.config.update(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/site.db")
    db = SQLAlchemy(login)
    run("Flask-Login", app=login)
    logged_in(login)
    run("Flask-Migrate", app=login, db=db)
    folder = tmp_path / "migrations"
    with login.app_context():
        init(str(folder))
        autogenerate(str(folder))
    assert [path for path in (folder / "versions").glob("*.py") if "chat_" in path.read_text()] == []


def test_mysql(login, tmp_path):
    from flask_chat import Chat, ConfigError

    login.config["CHAT_DATABASE_URL"] = "mysql+pymysql://shop:secret@db/shop"
    with pytest.raises(ConfigError, match="does not run"):
        Chat(login)
    (block,) = code("MySQL or MariaDB")
    exec(block.replace("/srv/shop", str(tmp_path)), {"app": login, "Chat": Chat})
    assert user_of(logged_in(login)) == ANNA
    assert (tmp_path / "chat.db").exists()


# -- servers and addresses


def test_flask_socketio(login):
    pytest.importorskip("flask_socketio")
    run("Flask-SocketIO of its own", app=login)
    assert user_of(logged_in(login)) == ANNA
    assert login.test_client().get("/socket.io/?EIO=4&transport=polling").text.startswith('0{"sid"')


def test_flask_sock(login):
    pytest.importorskip("flask_sock")
    run("flask-sock of its own", app=login)
    rules = {rule.rule: rule.endpoint for rule in login.url_map.iter_rules() if rule.websocket}
    assert {"/echo", "/ws/chat"} <= set(rules)


def test_a_path_prefix(login):
    from flask_chat import Chat

    run("A path prefix", app=login, Chat=Chat)
    client = login.test_client()
    client.post("/login")
    assert client.get("/talk/chat").status_code == 200
    assert client.get("/chat").status_code == 404
    assert "talk" in login.cli.commands


def test_a_proxy(login):
    run("Flask-Login", app=login)
    run("A proxy", app=login)
    headers = {"X-Forwarded-Prefix": "/shop", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}
    client = logged_in(login, **headers)
    page = client.get("/chat", headers=headers).text
    assert '"socketPath": "/shop/ws/chat"' in page
    (block,) = code("A proxy", "nginx")
    assert "proxy_set_header Upgrade $http_upgrade;" in block


def test_tests(app):
    from flask_chat import Chat

    run("Tests", app=app, Chat=Chat)["test_the_page_is_for_members"](app)
    assert list(Path(app.instance_path).glob("chat.db*")) == []


# -- looks


def test_a_light_design(login):
    run("Flask-Login", app=login)
    (template,) = code("A dark or a light design", "jinja")
    login.add_url_rule("/home", "home", lambda: current_app.jinja_env.from_string(template).render())
    assert 'data-theme="light"' in logged_in(login).get("/home").text


def test_its_variables_are_those_of_the_style_sheet():
    styles = "".join(path.read_text() for path in (ROOT / "chat" / "static").rglob("*.css") if "dist" not in path.parts)
    (block,) = code("A dark or a light design", "css")
    used = set(re.findall(r"--chat-[\w-]+", block))
    assert used
    assert [name for name in used if f"var({name}" not in styles] == []


@pytest.fixture(autouse=True, scope="module")
def one_copy_at_a_time():
    """Forget the copy of the chat that these tests import under its installed name."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "flask_chat"]:
        del sys.modules[name]
