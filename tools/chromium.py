"""The system's Chromium, for the tests and the benchmark of the page."""

from __future__ import annotations

import shutil

#: Its names on different systems. The headless shell is the same engine without a browser around it, and loads a page
#: at half the CPU.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
#: The arguments of every start: no sandbox (CI runs as root), and nothing that asks the network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = f"No Chromium here. Install one of {', '.join(NAMES)}."


def find() -> str | None:
    """Return the path of the first that is installed; None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)
