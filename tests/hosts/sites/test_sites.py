"""Sites that nobody here wrote gain the chat by the five lines, keep what is theirs, and lose it again without trace."""

import re

import pytest

from tests.hosts.sites.catalogue import SITES
from tests.hosts.sites.copies import COMMANDS, Copy
from tests.hosts.sites.visitor import Visitor


class Record:
    """What a site is at one moment: its app and database, its own tests, the answers of its pages."""

    def __init__(self, copy, make_page):
        self.versions = copy.venv.versions()
        self.app = copy.inspect()
        self.tests = copy.outcomes() if copy.site.tests else {}
        with copy.serve("flask-run") as server:
            stranger = Visitor(make_page(), server, copy.site)
            user = Visitor(make_page(), server, copy.site).log_in(copy.site.accounts[0])
            self.pages = {
                (who, path): visitor.read(path)
                for who, visitor in (("stranger", stranger), ("user", user))
                for path in copy.site.pages
            }


@pytest.fixture(scope="module", params=SITES, ids=str)
def plain(request, tmp_path_factory):
    """A site as it comes, with two users, in a venv without the chat."""
    copy = Copy(request.param, tmp_path_factory.mktemp(request.param.name))
    copy.prepare()
    return copy


@pytest.fixture(scope="module")
def before(plain, make_pages):
    return Record(plain, make_pages)


@pytest.fixture(scope="module")
def chatting(plain, before):
    """The same site, to which the chat has been added."""
    plain.add_chat()
    return plain


@pytest.fixture(scope="module")
def during(chatting, make_pages):
    return Record(chatting, make_pages)


@pytest.fixture(scope="module")
def after(chatting, during, make_pages):
    """The site after the chat was removed from it and from its venv."""
    chatting.remove_chat()
    return Record(chatting, make_pages)


# -- with the chat


@pytest.mark.parametrize("kind", COMMANDS)
def test_two_users_talk_through_widget_and_page(chatting, make_page, kind):
    ann, ben = chatting.site.accounts
    with chatting.serve(kind) as server:
        one = Visitor(make_page(), server, chatting.site).log_in(ann).open_widget()
        other = Visitor(make_page(), server, chatting.site).log_in(ben).open_page()
        one.say(f"Hello <b>from</b> the widget, {kind}")
        other.wait_heard(f"Hello <b>from</b> the widget, {kind}", ann.name)
        other.say(f"你好 from the page, {kind}")
        one.wait_heard(f"你好 from the page, {kind}", ben.name)
        assert "Traceback" not in server.log()


def test_the_chat_changes_no_version_that_the_site_has(before, during):
    assert before.versions - during.versions == set()


def test_the_sites_own_tests_pass_as_before(before, during):
    assert during.tests == before.tests
    assert set(during.tests.values()) <= {"PASSED", "SKIPPED"}


def test_the_sites_pages_answer_as_before(before, during):
    assert during.pages == before.pages


#: The chat's names, and those of the library that its tokens are made with.
OWN_NAMES = re.compile("chat|JWT|jwt")
PARTS = ("globals", "filters", "jinja extensions", "routes", "config", "extensions", "commands")


@pytest.mark.parametrize("part", PARTS)
def test_what_the_site_has_stays_what_it_was(before, during, part):
    assert {key: during.app[part].get(key) for key in before.app[part]} == before.app[part]


@pytest.mark.parametrize("part", PARTS)
def test_what_is_new_has_the_chats_name(before, during, part):
    added = set(during.app[part]) - set(before.app[part])
    assert [name for name in added if not OWN_NAMES.search(name)] == []


def test_the_sites_database_is_not_touched(before, during):
    databases = {path: tables for path, tables in during.app["databases"].items() if not path.endswith("chat.db")}
    assert databases == before.app["databases"]


# -- without it again; these tests stand last, for they take the chat away


def test_the_site_is_as_it_was_once_the_chat_is_removed(before, after):
    left = {path for path in after.app["databases"] if path.endswith("chat.db")}
    for path in left:
        del after.app["databases"][path]
    assert after.app == before.app
    assert after.tests == before.tests
    assert after.pages == before.pages


def test_the_chats_database_is_all_that_is_left(after, chatting):
    left = {path.name for path in chatting.folder.rglob("*chat*")}
    assert left <= {"chat.db", "chat.db.lock"}
