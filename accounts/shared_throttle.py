"""How often one may try, counted by all workers together: a sliding window for each key in Redis.

Where Redis does not answer, each worker counts for itself until it does.
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

log = logging.getLogger("chat")

#: Seconds that a try waits for Redis, and that one which did not answer is not asked again.
PATIENCE, PAUSE = 0.5, 5.0

#: One clock for all, the server's. Returns the milliseconds to wait, 0 for a try that counts.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
if redis.call('ZCARD', KEYS[1]) >= limit then
  return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] + window - now
end
redis.call('ZADD', KEYS[1], now, time[1] .. '.' .. time[2])
redis.call('PEXPIRE', KEYS[1], window)
return 0
"""


def connect(url: str) -> redis.Redis:
    """Return a client that gives up soon, and connects when it is first needed."""
    return redis.Redis.from_url(
        url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
    )


class SharedThrottle(Throttle):
    """A Throttle that counts in Redis; `name` begins its keys, which tell nobody whose they are."""

    def __init__(self, limit: int, seconds: float, client: redis.Redis, name: str) -> None:
        super().__init__(limit, seconds)
        self._client = client
        self._name = name
        self._script: Any = client.register_script(_TAKE)
        self._away_until = 0.0

    def take(self, key: str) -> int:
        if self._is_away():
            return super().take(key)
        try:
            wait = self._script(keys=[self._key(key)], args=[self._limit, int(self._seconds * 1000)])
        except redis.RedisError as error:
            self._note(error)
            return super().take(key)
        return -(-int(wait) // 1000)

    def give_back(self, key: str) -> None:
        super().give_back(key)
        if self._is_away():
            return
        try:
            self._client.zpopmax(self._key(key))
        except redis.RedisError as error:
            self._note(error)

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _note(self, error: redis.RedisError) -> None:
        log.warning("log-ins are counted by each worker alone for now: %s", type(error).__name__)
        self._away_until = time.monotonic() + PAUSE

    def _key(self, key: str) -> str:
        return f"{self._name}:{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"
