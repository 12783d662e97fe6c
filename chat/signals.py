"""The site's signals. Receivers run outside the tick, in an app context, in order within each session.

The sender is the Flask app. An exception of a receiver is logged. A receiver that blocks delays only its own session's
signals.
"""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

#: A client was admitted; `identity`.
client_connected = _signals.signal("client-connected")

#: A client was removed; `identity`, `code` (its close code).
client_disconnected = _signals.signal("client-disconnected")

#: A message was delivered; `identity`, `room`, `to` (None in a room), `text`, `id`, `seq` (None in an ephemeral room),
#: `ts` (ms).
message_sent = _signals.signal("message-sent")
