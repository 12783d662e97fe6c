"""A rate limit shared by all workers: a sliding window for each key in Redis.

While Redis does not answer, each worker counts separately.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .throttle import Throttle

log = logging.getLogger("flask_chat")

#: Seconds that an attempt waits for Redis, and seconds without a new request after Redis did not answer.
TIMEOUT, RETRY_SECONDS = 0.5, 5.0

#: Uses the clock of the Redis server for all workers. Returns the milliseconds to wait, or 0 if counted. Attempts from
#: the future were counted before that clock was set back: they would be counted for too long.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
if redis.call('ZCARD', KEYS[1]) >= limit then
  return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] + window - now
end
redis.call('ZADD', KEYS[1], now, time[1] .. '.' .. time[2])
redis.call('PEXPIRE', KEYS[1], window)
return 0
"""


def connect(url: str) -> redis.Redis:
    """Return a client with short timeouts, which connects on first use."""
    return redis.Redis.from_url(
        url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0)
    )


class SharedThrottle(Throttle):
    """A Throttle that counts in Redis; its keys are `name` and a hash, so they reveal no user."""

    def __init__(self, limit: int, seconds: float, client: redis.Redis, name: str) -> None:
        super().__init__(limit, seconds)
        self._client = client
        self._name = name
        self._script: Any = client.register_script(_TAKE)
        self._down_until = 0.0

    def take(self, key: str) -> int:
        if self._is_down():
            return super().take(key)
        try:
            wait = self._script(keys=[self._key(key)], args=[self._limit, int(self._seconds * 1000)])
        except redis.RedisError as error:
            self._note(error)
            return super().take(key)
        return -(-int(wait) // 1000)

    def give_back(self, key: str) -> None:
        super().give_back(key)
        if self._is_down():
            return
        try:
            self._client.zpopmax(self._key(key))
        except redis.RedisError as error:
            self._note(error)

    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until

    def _note(self, error: redis.RedisError) -> None:
        log.warning(
            "Redis failed; each worker counts log-in attempts separately for now: %s", type(error).__name__
        )
        self._down_until = time.monotonic() + RETRY_SECONDS

    def _key(self, key: str) -> str:
        return f"{self._name}:{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"
