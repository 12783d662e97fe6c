"""Newcomers to a site, each in a browser profile of their own, with their consoles watched."""

from itertools import count

from playwright.sync_api import expect

from tests.browser.console import Console
from tests.browser.person import Person

#: Makes names differ: the tests share a server, and a name stays taken.
numbers = count(1)
#: Milliseconds that a step may take on a busy machine.
PATIENCE = 15_000
expect.set_options(timeout=PATIENCE)


class Visitors:
    """Everybody who comes during one test, or one module's; a context manager that fails on a console's errors."""

    def __init__(self, browser, url):
        self.console = Console()
        self._browser, self._url, self._contexts = browser, url, []

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        for context in self._contexts:
            context.close()
        if self.console.unexpected and not failed:
            raise AssertionError("\n".join(self.console.unexpected))

    def page(self, **options):
        """A page of a fresh profile: nobody's; options are the profile's (locale, viewport, color_scheme, …)."""
        context = self._browser.new_context(**{"locale": "en-GB", **options})
        context.set_default_timeout(PATIENCE)
        self._contexts.append(context)
        page = context.new_page()
        self.console.watch(context)
        return page

    def meet(self, name, at=None, **options):
        """Somebody with that name and a number, registered, but not at the chat yet; `at` is another server."""
        number = next(numbers)
        person = Person(self.page(**options), at.url if at else self._url, f"{name} {number}")
        person.register(address=f"198.51.{number >> 8}.{number & 255}")
        return person

    def join(self, name, at=None, **options):
        """Somebody new who is at the chat page, connected."""
        return self.meet(name, at, **options).enter()
