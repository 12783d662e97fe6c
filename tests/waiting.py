"""Waiting for what nobody tells."""

import time

#: Seconds that something may take on a busy machine.
PATIENCE = 20.0


def until(condition, patience=PATIENCE):
    """Ask again and again until `condition()` holds; TimeoutError when it never does."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come true within {patience} s")
        time.sleep(0.02)
