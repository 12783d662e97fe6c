"""Pages for a whole module: the records of a site are made once and compared by several tests."""

import pytest


@pytest.fixture(scope="module")
def make_pages(browser):
    contexts = []

    def open_page():
        contexts.append(browser.new_context(locale="en-GB"))
        return contexts[-1].new_page()

    yield open_page
    for context in contexts:
        context.close()
