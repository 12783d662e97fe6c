"""What a User-Agent is called in the list of log-in sessions."""

import time

import pytest

from chat.service.devices import browser_and_system

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
PHONE = "Mozilla/5.0 (Linux; Android 10; K)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
APPLE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "browser", "system"),
    [
        (f"{WINDOWS} {WEBKIT} Chrome/142.0.0.0 Safari/537.36", "Chrome", "Windows"),
        (f"{WINDOWS} {WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", "Edge", "Windows"),
        (f"{WINDOWS} {WEBKIT} Chrome/142.0.0.0 Safari/537.36 OPR/127.0.0.0", "Opera", "Windows"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox",
            "Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox", "Linux"),
        (
            f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/142.0.0.0 Safari/537.36",
            "Chrome",
            "ChromeOS",
        ),
        (f"{MAC} {WEBKIT} Chrome/142.0.0.0 Safari/537.36", "Chrome", "Mac"),
        (f"{MAC} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari", "Mac"),
        (f"{APPLE} Version/18.5 Mobile/15E148 Safari/604.1", "Safari", "iPhone"),
        (f"{APPLE} CriOS/142.0 Mobile/15E148 Safari/604.1", "Chrome", "iPhone"),
        (f"{APPLE} FxiOS/145.0 Mobile/15E148 Safari/605.1.15", "Firefox", "iPhone"),
        (f"{APPLE} Mobile/15E148 MicroMessenger/8.0.60", "WeChat", "iPhone"),
        (f"{PHONE} {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36", "Chrome", "Android"),
        (
            f"{PHONE} {WEBKIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet",
            "Android",
        ),
        ("Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0", "Firefox", "Android"),
        ("curl/8.5.0", "curl", ""),
        ("python-requests/2.32.3", "python-requests", ""),
        ("Mozilla/5.0", "", ""),
        ("", "", ""),
        ("<b>/1", "", ""),
        ("\u202egnome/1", "", ""),
        ("x" * 300, "", ""),
    ],
)
def test_a_device_has_plain_words(user_agent, browser, system):
    assert browser_and_system(user_agent) == (browser, system)


def test_any_user_agent_is_read_quickly():
    begun = time.process_time()
    for text in ("Version/ " * 33, "a" * 300, "Mozilla/" * 37, "Safari/" * 42):
        browser_and_system(text)
    assert time.process_time() - begun < 0.1
