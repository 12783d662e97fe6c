"""Threads for the stores' contract: functions that start together."""

import threading
from concurrent.futures import ThreadPoolExecutor


def run(function):
    """Call `function` directly: the `run` of a store without an event loop."""
    return function()


def at_once(*functions):
    """Run functions in threads that start together; return their results or exceptions, in order."""
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait(10)
        try:
            return function()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))
