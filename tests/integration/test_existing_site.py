"""The classic Flask site of examples/existing_site, with its own users, served for real: its members chat."""

import base64
import json
import re
import time
from pathlib import Path

import pytest

from tests.integration.existing_site import PREFIX, WIDGET_CONFIG, ExistingSite, Member
from tests.integration.test_site_recipes import ELSEWHERE, SECTIONS
from tests.servers import Server
from tests.wsclient import Refused

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "existing_site"


@pytest.fixture(scope="module", params=["gunicorn-gevent", "flask-run"])
def club(request):
    with ExistingSite(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def heidi(club):
    return club.member("Heidi")


@pytest.fixture(scope="module")
def peter(club):
    return club.member("Geissen-Peter")


def sub(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]


# -- talking


def test_two_members_chat(heidi, peter):
    with heidi.socket() as one, peter.socket() as other:
        other.recv_json(type=1)
        one.send_json({"type": 2, "data": "Is the ridge still icy?"})
        heard = other.recv_json(type=2, data="Is the ridge still icy?")
        other.send_json({"type": 3, "to": "Heidi", "data": "Take the poles."})
        told = one.recv_json(type=3)
    assert heard["user"] == {"id": "1", "username": "Heidi"}
    assert (told["user"]["username"], told["data"]) == ("Geissen-Peter", "Take the poles.")


def test_the_roster_names_members_by_their_nicknames(heidi, peter):
    with heidi.socket() as one, peter.socket():
        names = {"Heidi", "Geissen-Peter"}
        one.recv_until(lambda m: m["type"] == 1 and names <= {u["username"] for u in json.loads(m["data"])})


def test_a_member_who_logs_out_gets_no_more_tokens(club):
    clara = club.member("Clara")
    assert clara.ask_token().status == 200
    log_out(clara)
    answer = clara.ask_token()
    assert (answer.status, answer.json["code"]) == (401, "not_logged_in")


def test_a_log_out_closes_the_sockets_of_its_browser_alone(club):
    here = club.member("Ursli")
    elsewhere = Member(club)
    elsewhere.submit("/login", email="Ursli@example.org", password="boots")
    with here.socket() as tab, here.socket() as other_tab, elsewhere.socket() as other_browser:
        began = time.monotonic()
        log_out(here)
        for socket in (tab, other_tab):
            assert socket.recv_json(type=0)["code"] == "token_invalid"
            assert socket.wait_closed(timeout=2)[0] == 4401
        assert time.monotonic() - began < 2
        other_browser.send_json({"type": 2, "data": "Still on the ridge", "id": "ridge"})
        other_browser.recv_json(type=4, id="ridge")


def log_out(member):
    member.request(
        "POST",
        "/logout",
        f"csrf_token={club_csrf(member)}",
        Content_Type="application/x-www-form-urlencoded",
    )


def club_csrf(visitor):
    return re.search(r'name="csrf_token" value="([^"]+)"', visitor.get("/").body)[1]


# -- the prefix


def test_the_prefix_is_in_every_address(heidi):
    page = heidi.get(f"{PREFIX}/chat")
    assert page.status == 200
    paths = page.config()
    assert (paths["socketPath"], paths["tokenPath"]) == (f"{PREFIX}/ws/chat", f"{PREFIX}/chat/token")
    own = [path for path in re.findall(r'(?:src|href)="(/[^"]*)"', page.body) if "/static/" in path]
    assert any(path.startswith(f"{PREFIX}/chat/static/") for path in own)
    assert [path for path in own if heidi.get(path).status != 200] == []


def test_no_route_of_the_chat_is_outside_the_prefix(club, heidi):
    assert heidi.get("/chat").status == 404
    assert heidi.get("/healthz").status == 404
    with pytest.raises(Refused) as refused:
        club.socket(token=heidi.ask_token().json["token"])
    assert refused.value.status == 404


def test_the_widget_is_on_every_page_of_a_member_except_the_chats_own(club, heidi):
    config = heidi.get("/").config(WIDGET_CONFIG)
    assert config["user"] == {"id": "1", "username": "Heidi"}
    assert config["socketPath"] == f"{PREFIX}/ws/chat"
    assert "data-chat-widget" not in heidi.get(f"{PREFIX}/chat").body
    assert "data-chat-widget" not in Member(club).get("/").body


def test_the_chat_page_has_the_sites_own_header(heidi):
    body = heidi.get(f"{PREFIX}/chat").body
    assert "Quarry Hill Hiking Club" in body
    assert "Club chat" in body
    assert "/static/club.css" in body


# -- who may come in


def test_an_anonymous_visitor_is_redirected_to_the_sites_log_in_and_back(club):
    club.member("Ulrich")
    stranger = Member(club)
    answer = stranger.get(f"{PREFIX}/chat")
    assert (answer.status, answer.headers["Location"]) == (302, f"/login?next={PREFIX}/chat")
    back = stranger.submit(answer.headers["Location"], email="Ulrich@example.org", password="boots")
    assert (back.status, back.headers["Location"]) == (302, f"{PREFIX}/chat")


def test_an_anonymous_visitor_gets_no_token(club):
    answer = Member(club).ask_token()
    assert (answer.status, answer.json["code"]) == (401, "not_logged_in")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_only_the_sites_own_pages_get_a_token(heidi, headers):
    answer = heidi.ask_token(**headers)
    assert (answer.status, answer.json["code"]) == (403, "foreign_origin")


def test_the_token_names_the_member_and_is_not_cached(heidi):
    answer = heidi.ask_token()
    assert answer.headers["Cache-Control"] == "no-store"
    assert sub(answer.json["token"]) == "1"


def test_the_sites_own_forms_keep_their_csrf(heidi):
    bare = heidi.request("POST", "/walks/1/come", "", Content_Type="application/x-www-form-urlencoded")
    assert bare.status == 400
    full = heidi.request(
        "POST",
        "/walks/1/come",
        f"csrf_token={club_csrf(heidi)}",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert full.status == 302
    assert "Coming: Heidi" in heidi.get("/").body


# -- in the browser


@pytest.fixture
def join(club, make_page):
    """A page of a new member, who has filled in the club's own form; names must not repeat on one server."""

    def join_club(name):
        page = make_page()
        page.goto(f"{club.url}/join")
        page.get_by_label("Nickname").fill(name)
        page.get_by_label("Email").fill(f"{name}@example.org")
        page.get_by_label("Password").fill("boots")
        page.get_by_role("button", name="Join").click()
        page.get_by_text(f"Hello, {name}").wait_for()
        return page

    return join_club


def say(page, text):
    page.get_by_test_id("composer-input").fill(text)
    page.get_by_test_id("composer-input").press("Enter")


def wait_online(page):
    page.locator("[data-testid=connection-state][data-state=online]").wait_for(state="attached")


def wait_heard(page, text):
    page.get_by_test_id("message").filter(has_text=text).wait_for()


@pytest.mark.browser
def test_two_members_chat_on_the_page_and_in_the_widget(join):
    rosa, sepp = join("Rosa"), join("Sepp")
    rosa.get_by_role("link", name="Talk").click()
    wait_online(rosa)
    sepp.get_by_test_id("widget-launcher").click()
    wait_online(sepp)
    rosa.get_by_test_id("roster-item").filter(has_text="Sepp").wait_for()
    say(sepp, "Is the ridge <b>still</b> icy?")
    wait_heard(rosa, "Is the ridge <b>still</b> icy?")
    say(rosa, "带上登山杖 🥾")
    wait_heard(sepp, "带上登山杖 🥾")


@pytest.mark.browser
def test_the_widget_stays_open_from_page_to_page(join):
    tom, uli = join("Tom"), join("Uli")
    for page in (tom, uli):
        page.get_by_test_id("widget-launcher").click()
        wait_online(page)
    tom.get_by_role("button", name="I'm coming").first.click()
    tom.get_by_text("Coming: ").first.wait_for()
    wait_online(tom)
    say(uli, "You are quick.")
    wait_heard(tom, "You are quick.")


@pytest.mark.browser
def test_the_sites_own_buttons_work_on_the_chat_page(club, join):
    vera = join("Vera")
    vera.get_by_role("link", name="Talk").click()
    wait_online(vera)
    with vera.expect_request("**/logout") as sent:
        vera.get_by_role("button", name="Log out").click()
    # Under HTTPS Flask-WTF refuses a form without it, and the chat page by itself sends none.
    assert sent.value.all_headers().get("referer") == f"{club.url}{PREFIX}/chat"
    vera.get_by_role("link", name="Log in").wait_for()


# -- a site with tokens of its own


@pytest.fixture(scope="module")
def jwt_site():
    with Server("gunicorn-gevent", app="tests.integration.jwt_site:create_app()") as server:
        yield server


def log_in(site, email):
    return site.post_json("/api/login", {"email": email})[1]["jwt"]


def test_the_sites_own_tokens_open_sockets(jwt_site):
    with jwt_site.socket(token=log_in(jwt_site, "anna@example.org")) as anna:
        with jwt_site.socket(token=log_in(jwt_site, "ben@example.org")) as ben:
            ben.send_json({"type": 3, "to": "Anna", "data": "hi"})
            assert anna.recv_json(type=3)["user"] == {"id": "23", "username": "Ben"}
        jwt_site.post_json("/api/throw-out/Anna", {})
        assert anna.wait_closed()[0] == 4403


def test_a_token_that_the_site_revoked_opens_none(jwt_site):
    token = log_in(jwt_site, "anna@example.org")
    jwt_site.post_json("/api/logout", {}, {"Authorization": f"Bearer {token}"})
    with jwt_site.socket(token=token) as anna:
        assert anna.recv_json(type=0)["code"] == "token_invalid"
        assert anna.wait_closed()[0] == 4401


# -- what it costs the site


def test_the_chat_is_five_lines():
    python = [line for path in EXAMPLE.glob("*.py") for line in path.read_text().splitlines()]
    templates = [line for path in EXAMPLE.glob("templates/*.html") for line in path.read_text().splitlines()]
    words = re.compile(r"\b(Chat\(|Identity\b|chat_identity\(|chat_widget\(|from flask_chat\b)")
    code = [
        line.strip() for line in python + templates if words.search(line) and not line.strip().startswith("#")
    ]
    assert len(code) <= 5, code


# -- what the documentation shows


def unindented(text):
    return "\n".join(line.strip() for line in text.splitlines())


def test_the_guides_code_that_is_no_recipe_is_from_a_tested_site():
    shown = [text for title in (*ELSEWHERE, "Five lines") for kind, text in SECTIONS[title] if kind in ("python", "jinja")]
    files = [*EXAMPLE.glob("*.py"), *EXAMPLE.rglob("*.html"), *Path(__file__).parent.glob("*_site*.py")]
    # The sites of the tests import the chat from the tree.
    run = "\n".join(unindented(file.read_text()) for file in files).replace("flask_chat", "chat")
    parts = [part for block in shown for part in re.split(r"\n\s*\n", unindented(block).replace("flask_chat", "chat"))]
    assert len(parts) > 10
    assert [part for part in parts if part.strip() not in run] == []
