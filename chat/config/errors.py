"""The errors of settings that cannot work."""

from __future__ import annotations

#: What the name of every setting begins with.
PREFIX = "CHAT_"
#: Logged, answered with 503, and printed by gunicorn.conf.py: wherever several workers run without a broker.
SEVERAL_WORKERS = (
    "Several workers would each run a chat of their own, so that their users could not see each other. "
    "Set CHAT_REDIS_URL to a Redis or Valkey that connects them, or run one worker (WEB_CONCURRENCY=1), "
    "which serves thousands of connections."
)


class ConfigError(ValueError):
    """A CHAT_* value cannot be used; the message names it and says what to set instead."""
