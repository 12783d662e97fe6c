"""Which database a site's chat uses, where CHAT_DATABASE_URL does not say."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path

from flask import Flask

from ..config import Settings


def choose_url(app: Flask, settings: Settings) -> str:
    """Return CHAT_DATABASE_URL, else the URL of a temporary file for an app under test, else that of chat.db."""
    if settings.database_url:
        return settings.database_url
    folder = _temporary_folder(app) if app.testing else Path(app.instance_path)
    return f"sqlite:///{folder / 'chat.db'}"


def may_change(app: Flask, settings: Settings) -> bool:
    """Return whether a test may yet set TESTING, as `app = create_app(); app.testing = True` does."""
    return not settings.database_url and not app.testing and bool({"pytest", "unittest"} & sys.modules.keys())


def _temporary_folder(app: Flask) -> Path:
    """Create a folder that is deleted with the app, at the latest when the interpreter exits."""
    folder = tempfile.mkdtemp(prefix="flask-chat-")
    weakref.finalize(app, _remove, folder, os.getpid())
    return Path(folder)


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # not a child that the tests have forked
        shutil.rmtree(folder, ignore_errors=True)
