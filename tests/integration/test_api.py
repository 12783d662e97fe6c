"""The door of the JSON API: who may ask, in which language it says no, and what it makes of odd requests."""

import sqlite3
from contextlib import closing

import pytest

from tests.integration.api_users import ROOT, ApiUser, code, make_site, new
from tests.tokens import token


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory)


@pytest.fixture
def chat(site):
    return site.extensions["chat"]


@pytest.fixture
def client(site):
    return site.test_client()


@pytest.fixture
def ann(site):
    return ApiUser(site, "ann")


# -- who may ask


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic YTpi",
        "bearer a.b.c",
        "Bearer 茶",
        "Bearer a b",
    ],
)
def test_a_request_without_a_token_is_refused(client, chat, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.encode().decode("latin-1")}
    answer = client.get(f"{ROOT}/rooms", headers=headers)
    assert (answer.status_code, answer.get_json()) == (401, {"error": "token过期", "code": "token_invalid"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_is_not_a_password(client, chat):
    answer = client.get(f"{ROOT}/rooms", headers={"Authorization": f"Basic {token('ann')}"})
    assert answer.status_code == 401


def test_an_expired_token_is_refused_with_its_own_code(client, chat):
    answer = client.get(f"{ROOT}/rooms", headers={"Authorization": f"Bearer {token('ann', -5)}"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "token_expired")


def test_the_authorization_scheme_is_case_insensitive(client, chat):
    answer = client.get(f"{ROOT}/rooms", headers={"Authorization": f"bEARER  {token('ann')}"})
    assert answer.status_code == 200


def test_a_cookie_is_no_token(client, chat):
    client.post(
        "/register", data={"username": new("ann"), "password": "a long one 42", "confirm": "a long one 42"}
    )
    assert client.get("/chat").status_code == 200
    assert client.get(f"{ROOT}/rooms").status_code == 401


def test_a_revoked_token_and_a_banned_user_are_refused(ann, chat):
    assert ann.get("/rooms")[0] == 200
    chat.revoke(ann.id)
    assert code(ann.get("/rooms")) == (401, "token_invalid")
    ann.token = chat.token_for(ann.identity)
    assert ann.get("/rooms")[0] == 200
    chat.ban(ann.name)
    assert code(ann.get("/rooms")) == (401, "token_invalid")
    ann.token = chat.token_for(ann.identity)
    assert code(ann.get("/rooms")) == (403, "banned")


def test_a_ban_from_before_this_process_started_counts(app):
    ann = ApiUser(app, "ann")
    ann.chat.users.ban(ann.id)  # as another process would, that is over
    assert code(ann.get("/rooms")) == (403, "banned")


def test_errors_are_in_the_language_of_the_request(ann):
    there = "/rooms/nowhere"
    assert ann.get(there)[1]["error"] == "This room doesn't exist, or you don't have access to it."
    chinese = ann.ask("GET", there, headers={"Accept-Language": "zh-CN,zh;q=0.9"}).get_json()
    assert chinese == {"error": "没有这个房间，或者你不能进入。", "code": "unknown_room"}
    assert ann.get(there, lang="zh")[1] == chinese


def test_pages_of_other_origins_may_not_read_it(ann):
    for method in ("GET", "OPTIONS"):
        answer = ann.ask(method, "/rooms", headers={"Origin": "https://evil.example"})
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


def test_an_unknown_address_and_a_wrong_method_are_answered_in_json(ann):
    for path in ("/", "/nothing", "/rooms/", "/rooms/a/b", "/rooms/a%2Fb", "/rooms/lobby/nothing"):
        assert code(ann.get(path)) == (404, "not_found")
    answer = ann.ask("DELETE", "/rooms")
    assert (answer.status_code, answer.get_json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, POST, OPTIONS"
    assert ann.ask("OPTIONS", "/rooms").headers["Allow"] == "GET, POST, OPTIONS"
    assert ann.ask("HEAD", "/rooms").status_code == 200


def test_a_sites_csrf_check_does_not_apply_to_it(app):
    app.config["WTF_CSRF_ENABLED"] = True
    assert app.test_client().post("/login", data={}).status_code == 400
    assert ApiUser(app, "ann").make("tea") == "tea"


# -- bodies


@pytest.mark.parametrize(
    ("raw", "kind", "status", "what"),
    [
        ("{}", "text/plain", 415, "not_json"),
        ("{}", None, 415, "not_json"),
        ("title=tea", "application/x-www-form-urlencoded", 415, "not_json"),
        ("", "application/json", 400, "bad_json"),
        ("{", "application/json", 400, "bad_json"),
        ('{"title":"\\ud800","kind":"public"}', "application/json", 400, "bad_json"),
        ("[" * 10_000, "application/json", 400, "bad_json"),
        ("[]", "application/json; charset=utf-8", 400, "bad_request"),
        ("null", "application/json", 400, "bad_request"),
        ('"' + "x" * 20_000 + '"', "application/json", 413, "too_large"),
    ],
)
def test_an_unreadable_body_is_refused(ann, raw, kind, status, what):
    answer = ann.ask("POST", "/rooms", data=raw, content_type=kind)
    assert (answer.status_code, answer.get_json()["code"]) == (status, what)


# -- the store


def test_an_unavailable_store_is_reported(app, tmp_path):
    ann = ApiUser(app, "ann")
    assert ann.get("/rooms")[0] == 200
    with closing(sqlite3.connect(tmp_path / "chat.db")) as database:
        database.execute("ALTER TABLE chat_rooms RENAME TO out_of_reach")
        answer = ann.ask("GET", "/rooms")
        assert (answer.status_code, answer.get_json()["code"]) == (503, "store_unavailable")
        assert answer.headers["Retry-After"] == "1"
        database.execute("ALTER TABLE out_of_reach RENAME TO chat_rooms")
    assert ann.get("/rooms")[0] == 200
