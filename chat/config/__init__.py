"""The chat's settings: every CHAT_* key, how it is read, and which values stop the start."""

from .database_url import BadDatabaseUrl, check_database_url
from .errors import SEVERAL_WORKERS, ConfigError
from .loading import load
from .settings import Settings
from .unknown import name_unknown

__all__ = [
    "SEVERAL_WORKERS",
    "BadDatabaseUrl",
    "ConfigError",
    "Settings",
    "check_database_url",
    "load",
    "name_unknown",
]
