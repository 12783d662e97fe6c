"""Serving the built front end: names, types, encodings, caching, and the source modules when there is no build."""

import gzip
import json
import logging
import os
import re

import pytest
from flask import Flask, session

from chat import Chat, ConfigError
from chat.web.assets import DIST, SOURCES, Assets
from tests.built import build

DIST_PATH = "/chat/static/dist"
CHROMIUM = "gzip, deflate, br, zstd"


@pytest.fixture(scope="module", autouse=True)
def built():
    """The real build; some tests make another one in a folder of their own."""
    build()


@pytest.fixture(scope="module")
def entries():
    """{name in templates: name of the file}."""
    return json.loads((DIST / "manifest.json").read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A client of a bare site with the chat."""
    return make_site(tmp_path_factory.mktemp("site")).test_client()


def make_site(folder, **config):
    app = Flask(__name__)
    app.config.update(CHAT_DATABASE_URL=f"sqlite:///{folder}/chat.db", SECRET_KEY="x" * 32, **config)
    Chat(app)
    return app


def get(site, name, encodings=None, **headers):
    if encodings is not None:
        headers["Accept-Encoding"] = encodings
    return site.get(f"{DIST_PATH}/{name}", headers=headers, buffered=True)  # closes the file


# -- files


def test_every_entry_is_built(entries):
    assert entries.keys() == SOURCES.keys()
    assert all((DIST / name).exists() for name in entries.values())


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("page.js", "text/javascript; charset=utf-8"),
        ("widget.js", "text/javascript; charset=utf-8"),
        ("chat.css", "text/css; charset=utf-8"),
        ("favicon.svg", "image/svg+xml; charset=utf-8"),
    ],
)
def test_a_file_may_be_cached_for_ever(site, entries, entry, kind):
    answer = get(site, entries[entry])
    assert answer.status_code == 200
    assert answer.data == (DIST / entries[entry]).read_bytes()
    headers = answer.headers
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Content-Type"] == kind
    assert headers["Vary"] == "Accept-Encoding"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not {"Set-Cookie", "Content-Encoding", "Content-Disposition"} & set(headers.keys())


def test_a_file_carries_no_cookie_even_if_the_site_changes_its_session(tmp_path, entries):
    app = make_site(tmp_path)

    @app.after_request
    def count(response):
        session["visits"] = session.get("visits", 0) + 1
        return response

    client = app.test_client()
    answer = get(client, entries["page.js"], CHROMIUM)
    again = get(client, entries["page.js"], CHROMIUM, **{"If-None-Match": answer.headers["ETag"]})
    for one in (answer, again):
        assert "Set-Cookie" not in one.headers
        assert one.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (CHROMIUM, "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("*", "br"),
        ("deflate, zstd", None),
        ("identity", None),
        ("br;q=0, gzip;q=0", None),
        ("", None),
    ],
)
def test_a_file_is_sent_in_the_best_encoding_that_the_client_accepts(site, entries, accepted, encoding):
    answer = get(site, entries["page.js"], accepted)
    assert answer.headers.get("Content-Encoding") == encoding
    ending = {"br": ".br", "gzip": ".gz", None: ""}[encoding]
    assert answer.data == (DIST / (entries["page.js"] + ending)).read_bytes()
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_the_compressed_copies_are_smaller_and_hold_the_same(entries):
    for name in entries.values():
        plain = (DIST / name).read_bytes()
        packed = (DIST / f"{name}.gz").read_bytes()
        assert gzip.decompress(packed) == plain
        assert len((DIST / f"{name}.br").read_bytes()) < len(packed) < len(plain)


def test_the_source_map_is_served_and_names_the_modules(site, entries):
    script = get(site, entries["page.js"]).text
    named = re.search(r"//# sourceMappingURL=(\S+)\s*$", script)[1]
    answer = get(site, named, CHROMIUM)
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "br")
    sources = get(site, named).json["sources"]
    assert "../js/timeline.js" in sources and not any(source.startswith("/") for source in sources)


def test_a_client_that_has_the_file_gets_304(site, entries):
    first = get(site, entries["page.js"], CHROMIUM)
    again = get(site, entries["page.js"], CHROMIUM, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for header in ("ETag", "Cache-Control", "Vary"):
        assert again.headers[header] == first.headers[header]


def test_each_encoding_has_its_own_etag(site, entries):
    tags = {get(site, entries["page.js"], accepted).headers["ETag"] for accepted in ("br", "gzip", "")}
    assert len(tags) == 3
    assert all(re.fullmatch(r'"[!#-~]+"', tag) for tag in tags)
    other = get(
        site,
        entries["page.js"],
        "gzip",
        **{"If-None-Match": get(site, entries["page.js"], "br").headers["ETag"]},
    )
    assert other.status_code == 200


def test_head_returns_the_length_without_a_body(site, entries):
    answer = site.head(f"{DIST_PATH}/{entries['page.js']}", headers={"Accept-Encoding": "br"}, buffered=True)
    size = (DIST / f"{entries['page.js']}.br").stat().st_size
    assert (answer.status_code, answer.data, answer.content_length) == (200, b"", size)


def test_a_range_refers_to_the_encoded_file(site, entries):
    whole = (DIST / f"{entries['page.js']}.br").read_bytes()
    answer = get(site, entries["page.js"], "br", Range="bytes=10-19")
    assert (answer.status_code, answer.data) == (206, whole[10:20])
    assert answer.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert get(site, entries["page.js"], "br", Range=f"bytes={len(whole)}-").status_code == 416


# -- anything else


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "nothing-ABCDEFGH.js",
        "page.js",
        "",
        "..%2f..%2fconfig.py",
        "%2e%2e/%2e%2e/config.py",
        "..\\chat.css",
        "/etc/passwd",
        "page-ABCDEFGH.js/../page.js",
    ],
)
def test_nothing_else_is_served(site, name):
    assert get(site, name).status_code in (404, 308)
    assert get(site, name).headers.get("Cache-Control") != "public, max-age=31536000, immutable"


def test_a_compressed_copy_has_no_address_of_its_own(site, entries):
    for ending in (".br", ".gz"):
        assert get(site, entries["page.js"] + ending).status_code == 404


def test_other_methods_are_refused(site, entries):
    assert site.post(f"{DIST_PATH}/{entries['page.js']}").status_code == 405


def test_a_file_of_another_build_is_served_from_this_one_and_not_cached(site, entries):
    answer = get(site, "page-00000000.js", CHROMIUM)
    assert answer.data == (DIST / f"{entries['page.js']}.br").read_bytes()
    assert answer.headers["Cache-Control"] == "no-store"
    assert get(site, "page-00000000.css").status_code == 404


# -- without a build


def test_the_source_modules_can_be_served(tmp_path):
    app = make_site(tmp_path, CHAT_ASSETS="source")
    with app.test_request_context():
        url = app.jinja_env.globals["chat_asset"]
        assert {entry: url(entry) for entry in SOURCES} == {
            entry: f"/chat/static/{path}" for entry, path in SOURCES.items()
        }
        served = [app.test_client().get(url(entry), buffered=True).status_code for entry in SOURCES]
    assert served == [200] * len(SOURCES)


def test_without_a_build_the_source_is_served_with_one_warning(tmp_path, caplog):
    app = make_site(tmp_path)
    assets = Assets("built", tmp_path / "nothing")
    with caplog.at_level(logging.WARNING, "flask_chat"), app.test_request_context():
        assert [assets.url("page.js") for _ in range(2)] == ["/chat/static/js/page.js"] * 2
    (record,) = caplog.records
    assert "make assets" in record.message


def test_a_new_build_is_noticed_while_the_site_runs(tmp_path):
    app, assets = make_site(tmp_path), Assets("built", tmp_path)
    for number, name in enumerate(("page-AAAAAAAA.js", "page-BBBBBBBB.js")):
        (tmp_path / name).write_text("x")
        (tmp_path / "manifest.json").write_text(json.dumps({"page.js": name}))
        os.utime(tmp_path / "manifest.json", (number + 1, number + 1))
        with app.test_request_context():
            assert assets.url("page.js") == f"{DIST_PATH}/{name}"


def test_an_unknown_value_of_the_setting_stops_the_start(tmp_path):
    with pytest.raises(ConfigError, match="CHAT_ASSETS is 'bulit'"):
        make_site(tmp_path, CHAT_ASSETS="bulit")
