"""A device in plain words, from the User-Agent of its browser: "Firefox on Windows". No I/O.

Only what helps users to recognise their own devices, so no versions. A User-Agent says what it likes.
"""

from __future__ import annotations

import re

#: (what the User-Agent contains, what that is), the first that fits. Nearly every browser names several others too.
_BROWSERS = (
    ("Edg/|EdgA/|EdgiOS/", "Edge"),
    ("OPR/|OPT/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("MicroMessenger/", "WeChat"),
    ("UCBrowser/", "UC Browser"),
    ("YaBrowser/", "Yandex Browser"),
    ("Firefox/|FxiOS/", "Firefox"),
    ("Chrome/|CriOS/|Chromium/", "Chrome"),
    ("Version/.* Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone|iPod", "iPhone"),
    ("iPad", "iPad"),
    ("HarmonyOS|OpenHarmony", "HarmonyOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh|Mac OS X", "Mac"),
    ("Linux|X11", "Linux"),
)
#: A program that is no browser begins with its name: curl/8.5.0, python-requests/2.32.
_PROGRAM = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,29}(?=/)")


def browser_and_system(user_agent: str) -> tuple[str, str]:
    """Return the names of the browser or program and of the system; "" for one that cannot be told."""
    browser = _first(_BROWSERS, user_agent)
    if not browser and not user_agent.startswith("Mozilla/"):
        program = _PROGRAM.match(user_agent)
        browser = program[0] if program else ""
    return browser, _first(_SYSTEMS, user_agent)


def _first(table: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for pattern, name in table if re.search(pattern, user_agent)), "")
