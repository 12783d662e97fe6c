"""The reference site and one more page, which counts what must not grow; served by bench/soak.py alone."""

import gc

from greenlet import greenlet

from wsgi import app


@app.get("/census")
def census():
    """Count live greenlets, objects that the collector tracks, and the users in the lobby."""
    gc.collect()
    objects = gc.get_objects()
    return {
        "greenlets": sum(isinstance(one, greenlet) and not one.dead for one in objects),
        "objects": len(objects),
        "roster": len(app.extensions["chat"].roster("lobby")),
    }
