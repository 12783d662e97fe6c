"""The guide's recipes for log-ins, tokens and protections.

The code of each section is run in a small site of the kind it is for. A recipe whose extension is not installed here
is skipped; tests/hosts/sites/test_recipes.py runs this file where all are.
"""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from flask import current_app, redirect, request, session

from tests.integration.site_recipes import (
    ANNA,
    ELSEWHERE,
    SECTIONS,
    add_flask_login,
    add_page,
    ask_token,
    bare_site,
    code,
    logged_in,
    run,
    user_of,
)


@pytest.fixture
def app(tmp_path):
    return bare_site(tmp_path)


@pytest.fixture
def login(app):
    pytest.importorskip("flask_login")
    return add_flask_login(app)


# -- every section is here


def test_every_section_with_code_has_a_test():
    text = "".join(file.read_text() for file in Path(__file__).parent.glob("test_site_recipes*.py"))
    tested = set(re.findall(r'\b(?:run|code)\("(.*?)"', text))
    assert (tested | set(ELSEWHERE)) - set(SECTIONS) == set()
    with_code = {
        title
        for title, blocks in SECTIONS.items()
        if {"python", "jinja", "nginx"} & {kind for kind, _ in blocks}
    }
    assert with_code - tested - set(ELSEWHERE) == set()


# -- log-ins


def test_five_lines(login):
    from flask_login import current_user

    run("Five lines", app=login, current_user=current_user)
    (template,) = code("Five lines", "jinja")
    add_page(login, "/home", "home", template)
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

    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite://", SECURITY_PASSWORD_SALT="salt", WTF_CSRF_ENABLED=False
    )
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
    # Flask-Admin uses Flask-Babel wherever it is installed, and fails if it is not set up.
    with suppress(ImportError):
        from flask_babel import Babel

        Babel(login)
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
