"""Misspelt settings: a CHAT_* key that is none would be ignored in silence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from .errors import PREFIX
from .settings import Settings

_KNOWN = tuple(PREFIX + field.name.upper() for field in fields(Settings))


def name_unknown(config: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each CHAT_* key of an app's config or the environment that is not a setting."""
    environ = os.environ if environ is None else environ
    given = sorted({key for key in (*config, *environ) if key.startswith(PREFIX)})
    return [_sentence(key) for key in given if key not in _KNOWN]


def _sentence(key: str) -> str:
    near = get_close_matches(key, _KNOWN, n=1, cutoff=0.75)
    return f"{key} is not a setting of the chat" + (f"; did you mean {near[0]}?" if near else ".")
