"""The Chinese catalogues contain all texts of the sources, and the compiled ones equal the readable ones."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
HOLES = re.compile(r"\{\w+\}|%\(\w+\)[sd]")

FOLDERS = {"chat": ROOT / "chat/translations", "messages": ROOT / "translations"}
#: Where each catalogue's texts are used: a folder, which of its files, and their kind.
SOURCES = {
    "chat": [
        ("chat/web", "**.py", "python"),
        ("chat/service", "**.py", "python"),
        ("chat/templates", "**.html", "jinja2"),
    ],
    "messages": [("accounts", "**.py", "python"), ("templates", "**.html", "jinja2")],
}
KEYWORDS = dict.fromkeys(("_", "_l", "gettext", "lazy_gettext", "chat_gettext"))


def texts_of(domain: str) -> set[str]:
    """Return the English texts in the sources, extracted as by pybabel."""
    found: set[str] = set()
    for folder, files, kind in SOURCES[domain]:
        extracted = extract_from_dir(ROOT / folder, [(files, kind)], keywords=KEYWORDS)
        found.update(message for _file, _line, message, _comments, _context in extracted)
    return found


def catalogue(domain: str) -> Catalog:
    path = FOLDERS[domain] / "zh/LC_MESSAGES" / f"{domain}.po"
    with path.open("rb") as file:
        return read_po(file, locale="zh", domain=domain, abort_invalid=True)


@pytest.mark.parametrize("domain", FOLDERS)
def test_the_catalogue_has_exactly_the_texts_of_the_sources(domain):
    assert {message.id for message in catalogue(domain) if message.id} == texts_of(domain)


@pytest.mark.parametrize("domain", FOLDERS)
def test_every_text_is_translated(domain):
    untranslated = [m.id for m in catalogue(domain) if m.id and (not m.string or m.fuzzy)]
    assert untranslated == []


@pytest.mark.parametrize("domain", FOLDERS)
def test_translations_keep_the_placeholders(domain):
    for message in catalogue(domain):
        if message.id:
            assert sorted(HOLES.findall(message.id)) == sorted(HOLES.findall(message.string)), message.id


@pytest.mark.parametrize("domain", FOLDERS)
def test_the_compiled_catalogue_is_the_readable_one(domain):
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(domain))
    compiled.seek(0)
    wanted = {message.id: message.string for message in read_mo(compiled) if message.id}
    with (FOLDERS[domain] / "zh/LC_MESSAGES" / f"{domain}.mo").open("rb") as file:
        assert {message.id: message.string for message in read_mo(file) if message.id} == wanted
