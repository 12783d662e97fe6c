"""Reading the settings: from the app's config first, then from the environment, else the default."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from .checks import check
from .errors import PREFIX, ConfigError
from .settings import Settings


def load(config: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from an app's config and the environment; raise ConfigError for a value that cannot be used."""
    environ = os.environ if environ is None else environ
    values = {}
    for field in fields(Settings):
        key = PREFIX + field.name.upper()
        raw = config.get(key)
        if raw is None:
            raw = environ.get(key)
        if raw is None:
            continue
        values[field.name] = _read(key, raw, field.type)
    settings = Settings(**values)
    check(settings)
    return settings


def _read(key: str, raw: Any, kind: Any) -> Any:
    try:
        return _READERS[kind](raw)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} is {raw!r}: {error or 'not usable'}. Set it to {_WANTED[kind]}.") from None


def _bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("neither yes nor no")


def _int(raw: Any) -> int:
    if isinstance(raw, bool):
        raise ValueError("not a number")
    try:
        return int(raw if isinstance(raw, int) else str(raw).strip().replace("_", ""))
    except ValueError:
        raise ValueError("not a whole number") from None


def _float(raw: Any) -> float:
    if isinstance(raw, bool):
        raise ValueError("not a number")
    try:
        value = float(raw)
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _names(raw: Any) -> tuple[str, ...]:
    parts = raw.replace(",", " ").split() if isinstance(raw, str) else list(raw)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("not a list of texts")
    return tuple(part.strip() for part in parts if part.strip())


def _str(raw: Any) -> str:
    return str(raw).strip()


_READERS: dict[str, Callable[[Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "tuple[str, ...]": _names,
}
_WANTED = {
    "bool": "1 or 0",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "tuple[str, ...]": "names separated by commas or spaces",
}
