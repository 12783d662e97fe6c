"""The reference site with a clock that jumps: the file that CLOCK_FILE names says how many seconds it is wrong by.

Only what tells the calendar jumps: monotonic time goes on, as on a machine whose clock is put right.
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
    """What PyJWT looks at."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: right_time() + wrong_by()
time.time_ns = lambda: right_time_ns() + wrong_by() * 10**9
sys.modules["jwt.api_jwt"].datetime = JumpingDatetime

__all__ = ["app"]
