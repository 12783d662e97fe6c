"""The account pages and POST /api/login, asked through Flask's test client, and once through a real server."""

import json
import re
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask import session

from accounts import service
from accounts.redirects import is_own_path
from app import create_app, stored_secret
from chat import ChatError
from chat.identity.passwords import Passwords
from chat.store import log_in_sessions
from tests.databases import migrated_sqlite
from tests.servers import SECRET
from tests.wsclient import Closed

PASSWORD = "correct horse"


@pytest.fixture
def make_app(tmp_path):
    """The reference site with any settings: make_app(CHAT_REGISTRATION=0). All have one database."""
    database = migrated_sqlite(tmp_path / "chat.db")

    def make(**config):
        defaults = {
            "CHAT_DATABASE_URL": database,
            "SECRET_KEY": SECRET,
            "TESTING": True,
            "WTF_CSRF_ENABLED": False,
        }
        return create_app(defaults | config)

    return make


@pytest.fixture
def few_tries(monkeypatch):
    """Let only few tries through, so that a test need not hash for long."""
    monkeypatch.setattr(service, "PER_ACCOUNT", (3, 300))
    monkeypatch.setattr(service, "PER_ADDRESS", (6, 300))
    monkeypatch.setattr(service, "REGISTRATIONS", (2, 300))


def register(client, username="ada", password=PASSWORD, **options):
    return client.post("/register", data={"username": username, "password": password}, **options)


def log_in(client, username="ada", password=PASSWORD, path="/login", **options):
    return client.post(path, data={"username": username, "password": password}, **options)


def api_login(client, username="ada", password=PASSWORD, **options):
    return client.post("/api/login", json={"username": username, "password": password}, **options)


def is_logged_in(client):
    return client.get("/account").status_code == 200


def users_of(app):
    return app.extensions["chat"].users


@pytest.fixture
def set_clock(monkeypatch):
    """Set the wall clock so many seconds forward or back; monotonic time goes on."""
    right_time, right_time_ns = time.time, time.time_ns

    def set_clock(seconds):
        monkeypatch.setattr(time, "time", lambda: right_time() + seconds)
        monkeypatch.setattr(time, "time_ns", lambda: right_time_ns() + seconds * 10**9)

    return set_clock


def field_error(response, field):
    """The error shown under a field, which the field must name as its description."""
    found = re.search(rf'<p class="field-error" id="{field}-error">([^<]*)</p>', response.text)
    assert found, response.text
    tag = re.search(rf'<input [^>]*id="{field}"[^>]*>', response.text)[0]
    assert 'aria-invalid="true"' in tag
    assert f"{field}-error" in re.search(r'aria-describedby="([^"]*)"', tag)[1].split()
    return found[1]


def token_in(page):
    """The CSRF token of a page's first form."""
    return re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)[1]


def csrf_token(client, path):
    return token_in(client.get(path).text)


# Registering


def test_register_logs_in(app, client):
    answer = register(client, " Ａda ")
    assert (answer.status_code, answer.location) == (303, "/chat")
    assert client.get("/chat").status_code == 200
    assert users_of(app).by_name("ada").username == "Ada"


@pytest.mark.parametrize(
    ("username", "sentence"),
    [
        ("ADA", "taken"),
        ("a\u202eb", "isn't allowed"),
        ("x" * 33, "up to 32"),
        ("...", "letter or number"),
        ("bоb", "alphabets"),  # a Cyrillic о
        ("a  b", "single space"),
        ("", "Choose a name"),
    ],
)
def test_register_refuses_names(app, client, username, sentence):
    users_of(app).create("ada")
    answer = register(client, username)
    assert answer.status_code == 400
    assert sentence in field_error(answer, "username")
    assert not is_logged_in(client)


@pytest.mark.parametrize("password", ["short12", "x" * 1025])
def test_register_refuses_passwords(client, password):
    answer = register(client, password=password)
    assert answer.status_code == 400
    assert "characters" in field_error(answer, "password")
    assert 'role="alert"' in answer.text
    assert password not in answer.text


def test_registration_can_be_closed(make_app):
    app = make_app(CHAT_REGISTRATION="0")
    client = app.test_client()
    assert client.get("/register").status_code == register(client).status_code == 403
    assert users_of(app).by_name("ada") is None
    assert "/register" not in client.get("/login").text


def test_registration_is_throttled_by_address(few_tries, make_app):
    app = make_app()
    assert [register(app.test_client(), f"user{n}").status_code for n in range(3)] == [303, 303, 429]
    elsewhere = {"REMOTE_ADDR": "10.0.0.2"}
    assert register(app.test_client(), "user3", environ_base=elsewhere).status_code == 303


def test_register_while_logged_in_redirects_to_the_chat(client):
    register(client)
    assert client.get("/register").location == client.get("/login").location == "/chat"


# Logging in


@pytest.fixture
def ada(app):
    """A user with a password, who is not logged in anywhere."""
    register(app.test_client())
    return users_of(app).by_name("ada")


def test_log_in(client, ada):
    answer = log_in(client, "ADA")
    assert (answer.status_code, answer.location) == (303, "/chat")
    assert is_logged_in(client)


def test_a_wrong_password_and_an_unknown_user_look_the_same(client, ada):
    wrong, unknown = log_in(client, "ada", "wrong horse"), log_in(client, "eve", "wrong horse")
    assert wrong.status_code == unknown.status_code == 400
    assert "Wrong name or password" in wrong.text
    assert wrong.text.replace("ada", "eve") == unknown.text
    assert not is_logged_in(client)


def test_a_wrong_password_and_an_unknown_user_take_the_same_time(client, ada):
    def fastest(username):
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            api_login(client, username, "wrong horse")
            times.append(time.perf_counter() - begun)
        return min(times)

    assert 0.25 < fastest("ada") / fastest("eve") < 4


def test_a_user_without_a_password_cannot_log_in(app, client):
    users_of(app).create_many(["bot"])
    assert log_in(client, "bot", "").status_code == log_in(client, "bot", PASSWORD).status_code == 400
    assert not is_logged_in(client)


def test_the_session_is_renewed_at_log_in(client, ada):
    with client.session_transaction() as before:
        before.update(planted="by somebody else", lang="zh")
    with client:
        log_in(client)
        assert "planted" not in session
        assert session["lang"] == "zh"


@pytest.mark.parametrize("target", ["/chat?x=1", "/account/password"])
def test_log_in_redirects_to_next(client, ada, target):
    assert log_in(client, path=f"/login?{urlencode({'next': target})}").location == target


def test_a_page_redirects_to_the_log_in_and_back(client, ada):
    ask = client.get("/account/password").location
    assert ask.startswith("/login?next=")
    assert log_in(client, path=ask).location == "/account/password"


FOREIGN = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "/x\r\nSet-Cookie: a=b",
    "javascript:alert(1)",
    "http:evil.example",
    "evil.example",
    "",
]


@pytest.mark.parametrize("target", FOREIGN)
def test_next_never_leaves_the_site(client, ada, target):
    assert not is_own_path(target)
    assert log_in(client, path=f"/login?{urlencode({'next': target})}").location == "/chat"
    assert client.get(f"/lang/zh?{urlencode({'next': target})}").location == "/"


def test_guessing_at_one_account_is_throttled(few_tries, make_app):
    app = make_app()
    register(app.test_client())
    client = app.test_client()
    assert [log_in(client, "ada", f"wrong {n}").status_code for n in range(3)] == [400] * 3
    answer = log_in(client, "ADA", environ_base={"REMOTE_ADDR": "10.0.0.2"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert "Too many attempts" in answer.text
    assert not is_logged_in(client)
    assert log_in(client, "bob").status_code == 400


def test_an_unknown_account_is_throttled_the_same_way(few_tries, make_app):
    client = make_app().test_client()
    assert [log_in(client, "nobody", f"wrong {n}").status_code for n in range(4)] == [400, 400, 400, 429]


def test_guessing_from_one_address_is_throttled(few_tries, make_app):
    client = make_app().test_client()
    codes = [log_in(client, f"user{n}").status_code for n in range(7)]
    assert codes == [400] * 6 + [429]
    assert log_in(client, "user7", environ_base={"REMOTE_ADDR": "10.0.0.2"}).status_code == 400


def test_an_ipv6_network_counts_as_one_address(few_tries, make_app):
    client = make_app().test_client()
    codes = [
        log_in(client, f"user{n}", environ_base={"REMOTE_ADDR": f"2001:db8::{n}"}).status_code
        for n in range(7)
    ]
    assert codes[-1] == 429
    assert log_in(client, "user7", environ_base={"REMOTE_ADDR": "2001:db8:0:1::1"}).status_code == 400


def test_very_many_good_log_ins_are_throttled_by_name_and_by_address(few_tries, monkeypatch, make_app):
    monkeypatch.setattr(service, "ALL_PER_ACCOUNT", (4, 300))
    monkeypatch.setattr(service, "ALL_PER_ADDRESS", (6, 300))
    app = make_app()
    for name in ("ada", "bob"):
        register(app.test_client(), name)
    codes = [log_in(app.test_client(), "ada").status_code for _ in range(5)]
    assert codes == [303] * 4 + [429]
    codes = [log_in(app.test_client(), "bob").status_code for _ in range(3)]
    assert codes == [303] * 2 + [429]
    elsewhere = {"environ_base": {"REMOTE_ADDR": "10.0.0.2"}}
    assert log_in(app.test_client(), "bob", **elsewhere).status_code == 303
    answer = log_in(app.test_client(), "ada", **elsewhere)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0


def test_good_log_ins_are_not_throttled(few_tries, make_app):
    app = make_app()
    register(app.test_client())
    assert {log_in(app.test_client()).status_code for _ in range(8)} == {303}


@pytest.mark.parametrize(("proxies", "last"), [("0", 429), ("1", 400)])
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(few_tries, make_app, proxies, last):
    client = make_app(CHAT_TRUSTED_PROXIES=proxies).test_client()
    codes = [
        log_in(client, f"user{n}", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(7)
    ]
    assert codes[-1] == last


def test_a_hash_of_older_parameters_is_renewed(app, client):
    import argon2

    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    ada = users_of(app).create("ada", weak)
    log_in(client)
    assert users_of(app).get(ada.id).password_hash != weak
    assert is_logged_in(client)
    assert log_in(app.test_client()).status_code == 303


# Logging out, changing the password, leaving


def token_of(app, client):
    """A socket token as the chat page gets it, checked as the socket route does."""
    token = client.post("/chat/token").json["token"]
    assert check(app, token)
    return token


def check(app, token):
    """The name that a token stands for; None when it no longer counts. As a server does that starts now."""
    guard, users = app.extensions["chat"].guard, users_of(app)
    guard.load(users.revocations())
    try:
        return guard.check(token).identity.username
    except ChatError:
        return None


@pytest.fixture
def member(app, client):
    """A test client that is logged in as ada."""
    register(client)
    return client


def wait_a_moment():
    """Let a millisecond pass: a token and its end are compared by the millisecond."""
    time.sleep(0.002)


def test_log_out(app, member):
    token = token_of(app, member)
    wait_a_moment()
    answer = member.post("/logout")
    assert (answer.status_code, answer.location) == (303, "/login")
    assert not is_logged_in(member)
    assert member.get("/chat").status_code == 302
    assert member.post("/chat/token").status_code == 401
    assert check(app, token) is None


def test_log_out_reaches_running_servers(app, member):
    ada = users_of(app).by_name("ada")
    member.post("/logout")
    row = app.extensions["chat"].control.after(0)[-1]
    assert (row.kind, row.payload["user_id"]) == ("session_end", ada.id)
    log_in(member)
    member.post("/logout/everywhere")
    row = app.extensions["chat"].control.after(0)[-1]
    assert (row.kind, row.payload["user_id"]) == ("revoke", ada.id)


def test_a_link_cannot_log_a_user_out(member):
    for path in ("/logout", "/logout/everywhere", "/account/sessions"):
        assert member.get(path).status_code == 405
    assert is_logged_in(member)


@pytest.fixture
def other(app, member):
    """Another browser of ada's, with a User-Agent of its own."""
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = IPHONE
    log_in(client)
    return client


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.5 Mobile/15E148 Safari/604.1"
)


def listed(client):
    """The sessions on the account page: [(device, is this one, its id)]."""
    entries = client.get("/account").text.split('data-testid="session"')[1:]
    return [
        (
            re.search(r'session__device">([^<]*)<', entry)[1],
            "This device" in entry,
            re.search(r'name="session" value="([^"]*)"', entry)[1],
        )
        for entry in entries
    ]


def test_log_out_ends_this_session_alone(app, member, other):
    mine, theirs = token_of(app, member), token_of(app, other)
    member.post("/logout")
    assert not is_logged_in(member)
    assert is_logged_in(other)
    assert (check(app, mine), check(app, theirs)) == (None, "ada")
    assert "logged out on all" not in member.get("/login").text


def test_log_out_everywhere_ends_all_sessions(app, member, other):
    tokens = token_of(app, member), token_of(app, other)
    wait_a_moment()
    answer = member.post("/logout/everywhere")
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "on all your devices" in member.get("/login").text
    assert not is_logged_in(member)
    assert not is_logged_in(other)
    assert [check(app, token) for token in tokens] == [None, None]
    log_in(member)
    assert [mine for _, mine, _ in listed(member)] == [True]


def test_the_account_page_lists_the_sessions(app, member, other):
    assert {(device, mine) for device, mine, _ in listed(other)} == {
        ("Safari on iPhone", True),
        ("Werkzeug", False),
    }
    assert "Last used 1 minute ago" in other.get("/account").text
    member.post("/logout")
    assert [device for device, _, _ in listed(other)] == ["Safari on iPhone"]
    other.get("/lang/zh")
    assert "iPhone 上的 Safari" in other.get("/account").text


def test_another_session_can_be_ended_alone(app, member, other):
    third = app.test_client()
    log_in(third)
    token = token_of(app, other)
    sid = next(sid for device, _, sid in listed(member) if "iPhone" in device)
    answer = member.post("/account/sessions", data={"session": sid})
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Logged out: Safari on iPhone." in member.get("/account").text
    assert not is_logged_in(other)
    assert other.post("/chat/token").status_code == 401
    assert check(app, token) is None
    assert is_logged_in(member)
    assert is_logged_in(third)
    assert len(listed(member)) == 2


@pytest.mark.parametrize("sid", ["", "nothing", "x" * 5000, "\x00"])
def test_an_unknown_session_is_not_ended(app, member, sid):
    last = app.extensions["chat"].control.last_id()
    assert member.post("/account/sessions", data={"session": sid}).status_code == 303
    assert app.extensions["chat"].control.last_id() == last


def test_another_users_session_cannot_be_ended(app, member):
    eve = app.test_client()
    register(eve, "eve")
    eve.post("/account/sessions", data={"session": listed(member)[0][2]})
    assert is_logged_in(member)
    chat, eves = app.extensions["chat"], users_of(app).by_name("eve").id
    assert not chat.log_ins.end(eves, listed(member)[0][2])
    assert is_logged_in(member)


def test_a_device_shows_what_it_says_as_text(app, ada):
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = "<script>alert(1)</script>/1"
    log_in(client)
    assert "<script>alert" not in client.get("/account").text
    assert listed(client)[0][0] == "Unknown device"


@pytest.mark.parametrize("path", ["/logout", "/logout/everywhere"])
def test_a_cookie_from_before_the_log_out_stays_invalid(app, member, path):
    cookie = member.get_cookie("session").value
    wait_a_moment()
    member.post(path)
    late = app.test_client()
    late.set_cookie("session", cookie)
    assert not is_logged_in(late)
    assert late.post("/chat/token").status_code == 401


def test_a_cookie_from_before_the_log_out_stays_invalid_after_a_restart(make_app):
    client = make_app().test_client()
    register(client)
    cookie = client.get_cookie("session").value
    client.post("/logout")
    late = make_app().test_client()
    late.set_cookie("session", cookie)
    assert not is_logged_in(late)


def test_an_ended_session_stays_ended_after_many_others(make_app):
    app = make_app()
    client = app.test_client()
    register(client)
    cookie = client.get_cookie("session").value
    client.post("/logout")
    ada = users_of(app).by_name("ada").id
    for number in range(log_in_sessions.MOST):
        app.extensions["chat"].stores.open().log_in_sessions.use(f"later-{number}", ada, "")
    late = make_app().test_client()
    late.set_cookie("session", cookie)
    assert not is_logged_in(late)


def test_a_session_from_before_sessions_were_listed_has_ended(app, member):
    with member.session_transaction() as stored:
        del stored["_chat_session"]
    assert not is_logged_in(member)


def change(client, old=PASSWORD, new="another horse"):
    return client.post("/account/password", data={"password": old, "new_password": new})


def test_a_new_password_ends_every_other_session_and_token(app, member):
    other = app.test_client()
    log_in(other)
    token = token_of(app, other)
    wait_a_moment()
    answer = change(member)
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "has been changed" in member.get("/account").text
    assert not is_logged_in(other)
    assert other.post("/chat/token").status_code == 401
    assert check(app, token) is None
    assert is_logged_in(member)
    assert check(app, token_of(app, member)) == "ada"
    assert log_in(other).status_code == 400
    assert log_in(other, password="another horse").status_code == 303


@pytest.mark.parametrize(("old", "new"), [("wrong horse", "another horse"), (PASSWORD, "short")])
def test_a_password_is_not_changed(app, member, old, new):
    assert change(member, old, new).status_code == 400
    assert log_in(app.test_client()).status_code == 303


def test_a_new_password_differs_from_the_old_one(app, member):
    answer = change(member, PASSWORD, PASSWORD)
    assert answer.status_code == 400
    assert "your current password" in field_error(answer, "new_password")
    assert is_logged_in(member)


@pytest.mark.parametrize(("new", "sentence"), [("password1", "guessed"), ("ada-19840101", "your name")])
def test_a_weak_password_cannot_be_chosen(app, client, new, sentence):
    assert sentence in field_error(register(client, "ada", new), "password")
    register(client)
    assert sentence in field_error(change(client, new=new), "new_password")


def test_strangers_do_not_lock_a_user_out_of_a_new_password(few_tries, make_app):
    app = make_app()
    member, stranger, twin = app.test_client(), app.test_client(), app.test_client()
    register(member)
    log_in(twin)
    for number in range(6):  # from the same address, until both limits are reached
        log_in(stranger, "ada", f"wrong {number}")
        log_in(stranger, f"user{number}", "wrong horse")
    assert log_in(stranger).status_code == 429
    # Nor does another session of the user's.
    assert [change(twin, f"wrong {number}").status_code for number in range(4)] == [400, 400, 400, 429]
    assert change(member).status_code == 303
    assert member.post("/account/delete", data={"password": "another horse"}).status_code == 303


def test_wrong_passwords_of_a_session_do_not_lock_the_log_in(few_tries, make_app):
    app = make_app()
    member = app.test_client()
    register(member)
    assert [change(member, f"wrong {number}").status_code for number in range(4)][-1] == 429
    assert log_in(app.test_client()).status_code == 303


# A forgotten password


def reset_link(app, *words):
    """The path and query of the link that `flask chat reset-link` prints for ada."""
    result = app.test_cli_runner().invoke(args=["chat", "reset-link", "ada", *words])
    assert result.exit_code == 0, result.output
    assert "It works once" in result.stderr
    return result.stdout.strip().removeprefix("http://127.0.0.1:8000")


def reset(client, link, new="another horse"):
    return client.post(link, data={"new_password": new})


def test_a_reset_link_sets_a_password_once(app, member):
    token, link, late = token_of(app, member), reset_link(app), reset_link(app)
    assert link.startswith("/account/reset?key=")
    stranger = app.test_client()
    page = stranger.get(link)
    assert page.status_code == 200
    assert page.headers["Referrer-Policy"] == "no-referrer"
    wait_a_moment()
    answer = reset(stranger, link)
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "Log in with the new one" in stranger.get("/login").text
    assert not is_logged_in(member)
    assert check(app, token) is None
    assert log_in(stranger).status_code == 400
    assert log_in(stranger, password="another horse").status_code == 303
    for used in (link, late):
        assert stranger.get(used).status_code == reset(stranger, used, "third horse").status_code == 410
    assert log_in(app.test_client(), password="another horse").status_code == 303


@pytest.mark.parametrize(
    ("new", "sentence"),
    [("short", "at least 8"), ("password1", "guessed"), ("ada-19840101", "your name"), (PASSWORD, "current")],
)
def test_a_reset_link_takes_no_bad_password(app, ada, new, sentence):
    client, link = app.test_client(), reset_link(app)
    assert sentence in field_error(reset(client, link, new), "new_password")
    assert reset(client, link).status_code == 303


def test_a_reset_link_expires(app, ada):
    client = app.test_client()
    assert client.get(reset_link(app, "--hours", "0.0000001")).status_code == 410
    assert client.get(reset_link(app, "--hours", "1")).status_code == 200


def test_a_reset_link_ends_with_a_log_out_everywhere_and_for_a_banned_user(app, member):
    link = reset_link(app)
    member.post("/logout/everywhere")
    assert member.get(link).status_code == 410
    link = reset_link(app)
    app.extensions["chat"].ban("ada")
    assert member.get(link).status_code == 410


@pytest.mark.parametrize("key", ["", "x", "a.b", "\u00e9", "WyJhIl0.c2ln", "x" * 10_000])
def test_an_invented_key_sets_nothing(client, ada, key):
    assert client.get("/account/reset", query_string={"key": key}).status_code == 410
    assert client.post(f"/account/reset?{urlencode({'key': key})}").status_code == 410


def test_a_reset_link_of_another_site_with_the_same_secret_is_refused(app, ada, tmp_path):
    from chat.store import migrate

    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    migrate.upgrade(elsewhere)
    there = create_app({"CHAT_DATABASE_URL": elsewhere, "SECRET_KEY": SECRET, "WTF_CSRF_ENABLED": False})
    users_of(there).ensure(ada.identity)
    assert there.test_client().get(reset_link(app)).status_code == 410


def test_a_reset_link_names_the_sites_address(app, ada):
    link = reset_link(app, "--site", "https://chat.example.com/shop")
    assert link.startswith("https://chat.example.com/shop/account/reset?key=")


def test_two_uses_of_one_link_at_once_set_one_password(app, ada):
    accounts = app.extensions["accounts"]
    with app.app_context():
        assert accounts.reset_password(ada, "another horse")
        assert not accounts.reset_password(ada, "third horse")
    assert log_in(app.test_client(), password="another horse").status_code == 303


def test_the_log_in_page_says_what_to_do_about_a_forgotten_password(client):
    assert "Forgot your password? Ask this site" in client.get("/login").text


def test_guessing_the_password_while_logged_in_is_throttled(few_tries, make_app):
    client = make_app().test_client()
    register(client)
    codes = [change(client, f"wrong {n}").status_code for n in range(4)]
    assert codes == [400, 400, 400, 429]


@pytest.mark.parametrize("name", ["admin", "ADM1N", "everyone", "系统", "管理员", "L0bby", "deleted account"])
def test_reserved_names_cannot_be_registered(app, client, name):
    answer = register(client, name)
    assert answer.status_code == 400 and "reserved" in answer.text
    assert app.extensions["chat"].users.by_name(name) is None


def test_who_has_a_reserved_name_already_logs_in(app, client):
    chat = app.extensions["chat"]
    chat.users.create("admin", Passwords(chat.run_blocking).hash(PASSWORD))
    assert log_in(client, "admin").status_code == 303


def test_a_site_reserves_names_of_its_own(make_app):
    client = make_app(CHAT_RESERVED_NAMES=["acme", "客户经理"]).test_client()
    for name in ("Acme", "acme", "客户经理"):
        assert "reserved" in register(client, name).text
    assert register(client, "АCME").status_code == 400  # the first letter is Cyrillic


def test_delete_asks_for_the_password(app, member):
    answer = member.post("/account/delete", data={"password": "wrong horse"})
    assert answer.status_code == 400
    assert "Wrong password" in answer.text
    assert users_of(app).by_name("ada")


def test_delete(app, member):
    other = app.test_client()
    log_in(other)
    token = token_of(app, other)
    wait_a_moment()
    answer = member.post("/account/delete", data={"password": PASSWORD})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "has been deleted" in member.get("/login").text
    assert not is_logged_in(member)
    assert not is_logged_in(other)
    assert check(app, token) is None
    assert log_in(member).status_code == 400
    assert "taken" in field_error(register(member), "username")


def test_a_banned_user_is_logged_out(app, member):
    app.extensions["chat"].ban("ada")
    assert not is_logged_in(member)
    answer = log_in(member)
    assert answer.status_code == 403
    assert "disabled" in answer.text
    assert api_login(member).json["code"] == "banned"
    app.extensions["chat"].unban("ada")
    assert log_in(member).status_code == 303


@pytest.mark.parametrize("path", ["/account", "/account/password", "/account/delete", "/chat"])
def test_anonymous_visitors_are_redirected_to_the_log_in(client, path):
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer.location.startswith("/login?")


def test_home_redirects_to_the_chat_or_the_log_in(client):
    assert client.get("/").location == "/login"
    register(client)
    assert client.get("/").location == "/chat"


# CSRF


@pytest.fixture
def guarded(make_app):
    """The site as it really runs: every form wants its token."""
    return make_app(WTF_CSRF_ENABLED=True)


@pytest.mark.parametrize("path", ["/register", "/login"])
def test_forms_need_a_csrf_token(guarded, path):
    client = guarded.test_client()
    users_of(guarded).create("ada")
    answer = client.post(path, data={"username": "bob", "password": PASSWORD})
    assert answer.status_code == 400
    assert "page has expired" in answer.text
    assert not is_logged_in(client)


def test_every_form_works_with_its_csrf_token(guarded):
    client = guarded.test_client()

    def send(path, form_path=None, **fields):
        token = csrf_token(client, form_path or path)
        return client.post(path, data={"csrf_token": token, **fields}).status_code

    assert send("/register", username="ada", password=PASSWORD) == 303
    for path in (
        "/logout",
        "/logout/everywhere",
        "/account/sessions",
        "/account/password",
        "/account/delete",
    ):
        assert (
            client.post(path, data={"password": PASSWORD, "new_password": "another horse"}).status_code == 400
        )
    assert is_logged_in(client)
    assert send("/account/password", password=PASSWORD, new_password="another horse") == 303
    assert send("/logout", "/account") == 303
    assert send("/login", username="ada", password="another horse") == 303
    assert send("/account/delete", password="another horse") == 303


def test_a_csrf_token_of_another_session_is_refused(guarded):
    mine, theirs = guarded.test_client(), guarded.test_client()
    token = csrf_token(mine, "/login")
    csrf_token(theirs, "/login")
    answer = theirs.post("/register", data={"csrf_token": token, "username": "bob", "password": PASSWORD})
    assert answer.status_code == 400


# POST /api/login


def test_api_login(app, client, ada):
    answer = api_login(client)
    assert answer.status_code == 200
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 900
    assert answer.json["user"] == {"id": ada.id, "username": "ada"}
    assert check(app, answer.json["token"]) == "ada"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", '"ada"', "{}", '{"username": "ada"}', '{"username": 1, "password": "x"}', "[" * 10_000],
)
def test_api_login_refuses_what_it_cannot_read(client, body):
    answer = client.post("/api/login", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["code"] == "bad_request"
    assert answer.json["error"]


def test_api_login_takes_no_form(client, ada):
    assert client.post("/api/login", data={"username": "ada", "password": PASSWORD}).status_code == 400


def test_api_login_does_not_reveal_which_users_exist(client, ada):
    wrong, unknown = api_login(client, password="wrong horse"), api_login(client, "eve")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json == unknown.json
    assert wrong.json["code"] == "wrong_credentials"


def test_api_login_is_throttled(few_tries, make_app):
    client = make_app().test_client()
    answers = [api_login(client, "ada", "wrong horse") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].json["code"] == "too_many_attempts"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 300
    assert log_in(client).status_code == 429  # one count for both doors


def test_api_login_accepts_any_text(client):
    for text in ("\ud800", "\x00", "x" * 7_000, "\u202e", ""):
        assert api_login(client, text, text).status_code in {401, 429}


# Languages, headers, cookies, errors


def test_language_follows_the_browser_and_the_switch(client):
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9"}
    assert "登录" in client.get("/login", headers=chinese).text
    assert "Log in" in client.get("/login", headers={"Accept-Language": "fr"}).text
    assert client.get("/lang/zh?next=/login").location == "/login"
    assert "登录" in client.get("/login").text
    client.get("/lang/en")
    assert "Log in" in client.get("/login", headers=chinese).text
    assert client.get("/lang/xx").status_code == 404


ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "translations/zh/LC_MESSAGES/messages.po"


def catalogue(path, read):
    with path.open("rb") as file:
        return {message.id: message.string for message in read(file) if message.id}


def test_every_page_is_translated_to_chinese():
    with (ROOT / "translations/babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    keywords = {**DEFAULT_KEYWORDS, "_l": None}
    found = extract_from_dir(ROOT, methods, options, keywords, directory_filter=lambda path: "/." not in path)
    said, words = {message for _, _, message, _, _ in found}, catalogue(CATALOGUE, read_po)
    assert len(said) > 50
    assert {message for message in said if not words.get(message)} == set()


def test_the_compiled_catalogue_matches_its_source():
    assert catalogue(CATALOGUE.with_suffix(".mo"), read_mo) == catalogue(CATALOGUE, read_po)


@pytest.mark.parametrize(
    "path", ["/login", "/register", "/account", "/account/password", "/account/delete", "/nowhere"]
)
def test_security_headers(member, path):
    member.get("/lang/en")
    headers = member.get(
        path, headers={"Accept": "text/html"}, follow_redirects=path in {"/login", "/register"}
    ).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] in {"same-origin", "no-referrer"}
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/login", "/register"])
def test_pages_need_nothing_inline(client, path):
    text = client.get(path).text
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text)


def cookie(answer):
    return answer.headers["Set-Cookie"]


def test_cookies(make_app):
    app = make_app(CHAT_TRUSTED_PROXIES=1)
    plain = cookie(register(app.test_client()))
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    assert "Secure" in cookie(log_in(app.test_client(), base_url="https://localhost"))
    assert "Secure" in cookie(log_in(app.test_client(), headers={"X-Forwarded-Proto": "https"}))


def test_a_forged_scheme_changes_nothing(client):
    assert "Secure" not in cookie(register(client, headers={"X-Forwarded-Proto": "https"}))


def test_errors_are_html_for_browsers_and_json_for_programs(client):
    page = client.get("/nowhere", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 404
    assert page.mimetype == "text/html"
    assert "Page not found" in page.text
    answer = client.get("/nowhere", headers={"Accept": "*/*"})
    assert answer.status_code == 404
    assert answer.json["code"] == "not_found"
    answer = client.get("/api/login", headers={"Accept": "text/html"})
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.json["code"] == "method_not_allowed"


def test_a_body_too_large_is_refused(client):
    answer = register(client, "x" * 300_000)
    assert answer.status_code == 413


def test_an_internal_error_has_a_page_even_without_the_database(make_app, tmp_path):
    app = make_app(TESTING=False)
    client = app.test_client()
    register(client)
    (tmp_path / "chat.db").write_bytes(b"not a database, not at all" * 100)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"chat.db{suffix}").unlink(missing_ok=True)
    answer = client.get("/account", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text


# The secret key


def test_the_secret_is_generated_once(tmp_path):
    folder = tmp_path / "instance"
    secret = stored_secret(folder)
    assert len(secret) == 64
    assert stored_secret(folder) == secret
    assert (folder / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["secret_key"]


def test_concurrent_starts_agree_on_the_secret(tmp_path):
    barrier, secrets = threading.Barrier(8), []

    def start():
        barrier.wait(10)
        secrets.append(stored_secret(tmp_path / "instance"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 8
    assert len(set(secrets)) == 1


def test_the_environment_sets_the_secret(make_app, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "from the environment, long enough")
    assert make_app(SECRET_KEY=None).secret_key == "from the environment, long enough"
    assert make_app().secret_key == SECRET


# Through a real server


class Browser:
    """Just enough of one: follows nothing, keeps its cookie, fills in forms."""

    def __init__(self, server):
        self.server, self.cookie = server, ""

    def ask(self, method, path, **fields):
        sent = {
            "Cookie": self.cookie,
            "Accept": "text/html",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        status, headers, body = self.server.request(method, path, urlencode(fields), sent)
        if set_cookie := headers.get("Set-Cookie"):
            self.cookie = set_cookie.split(";")[0]
        return status, body

    def send(self, path, form_path=None, **fields):
        _, page = self.ask("GET", form_path or path)
        return self.ask("POST", path, csrf_token=token_in(page), **fields)[0]

    def token(self):
        status, body = self.ask("POST", "/chat/token")
        return json.loads(body)["token"] if status == 200 else None


def end_of(socket):
    """The close code that a socket gets within the two seconds that the chat promises."""
    end = time.monotonic() + 2
    try:
        while True:
            socket.recv(timeout=end - time.monotonic())
    except Closed as closed:
        return closed.code


def test_register_chat_and_log_out_on_a_real_server(server):
    """Register, chat, change the password, log out: sockets of old tokens end, and the tokens are worth nothing."""
    browser = Browser(server)
    assert browser.send("/register", username="Mona", password=PASSWORD) == 303
    first = browser.token()
    with server.socket(token=first) as socket:
        assert browser.send("/account/password", password=PASSWORD, new_password="another horse") == 303
        assert end_of(socket) == 4401
    with server.socket(token=first) as socket:
        assert end_of(socket) == 4401
    second = browser.token()
    phone = Browser(server)
    assert phone.send("/login", username="Mona", password="another horse") == 303
    with server.socket(token=second) as socket, server.socket(token=phone.token()) as elsewhere:
        assert browser.send("/logout", "/account") == 303
        assert end_of(socket) == 4401
        assert browser.token() is None
        elsewhere.send_json({"type": 2, "data": "still here", "id": "p1"})
        assert elsewhere.recv_json(type=4)["ref"] == "p1"
        assert phone.send("/logout/everywhere", "/account") == 303
        assert end_of(elsewhere) == 4401
    status, answer = server.post_json("/api/login", {"username": "mona", "password": "another horse"})
    assert status == 200
    with server.socket(token=answer["token"]) as socket:
        assert socket.recv_json(type=1)["data"]
        status, _ = server.post_json("/api/login", {"username": "mona", "password": PASSWORD})
        assert status == 401


# -- a clock that is set


@pytest.mark.parametrize("seconds", [3_600, -3_600], ids=["forward", "back"])
def test_a_log_in_after_the_clock_was_set_back(make_app, set_clock, seconds):
    """Or forward: it holds at once, and a later new password or kick ends it as always."""
    app = make_app()
    here, elsewhere = app.test_client(), app.test_client()
    register(here)
    here.post("/logout")
    set_clock(seconds)
    for client in (here, elsewhere):
        log_in(client)
        assert is_logged_in(client)
    change = {"password": PASSWORD, "new_password": "battery staple"}
    assert here.post("/account/password", data=change).status_code == 303
    assert is_logged_in(here) and not is_logged_in(elsewhere)
    log_in(elsewhere, password="battery staple")
    assert is_logged_in(elsewhere)
    app.extensions["chat"].kick("ada")
    assert not is_logged_in(here) and not is_logged_in(elsewhere)
