"""Brokers, which connect the processes of one site: base.py is the contract, memory.py and redis.py implement it."""

from __future__ import annotations

from ...config import ConfigError, Settings
from ...loop.drivers import Driver
from .base import Broker
from .memory import MemoryBroker


def make_broker(settings: Settings, driver: Driver, sender: int) -> Broker:
    """Return the configured broker for the process with the number `sender`; raise ConfigError if it cannot be made."""
    if not settings.redis_url:
        return MemoryBroker(driver, sender)
    try:
        from .redis import RedisBroker
    except ModuleNotFoundError as error:
        raise ConfigError(
            'CHAT_REDIS_URL is set, but redis 7 or newer is not installed: pip install "flask-chat[redis]"'
        ) from error
    return RedisBroker(driver, sender, settings.redis_url, settings.redis_prefix)
