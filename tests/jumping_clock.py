"""The reference site with a clock that jumps: the file named by CLOCK_FILE holds the number of seconds it is wrong by.

Only calendar time jumps. Monotonic time does not, as on a machine whose clock is set.
"""

import datetime
import os
import sys
import time
from pathlib import Path

from wsgi import app

FILE = Path(os.environ["CLOCK_FILE"])
right_time, right_time_ns = time.time, time.time_ns


def wrong_by():
    return int(FILE.read_text())


class JumpingDatetime(datetime.datetime):
    """The clock that PyJWT and flask-jwt-extended read."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: right_time() + wrong_by()
time.time_ns = lambda: right_time_ns() + wrong_by() * 10**9
for name in ("jwt.api_jwt", "flask_jwt_extended.tokens"):
    sys.modules[name].datetime = JumpingDatetime

__all__ = ["app"]
