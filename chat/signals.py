"""What a site can listen to. Receivers run outside the tick, in an app context, in order for each session.

The sender is the Flask app. A receiver that throws is logged; one that sleeps holds up its own session's signals only.
"""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

#: A client came into the client set; `identity`.
client_connected = _signals.signal("client-connected")

#: A client left the client set; `identity`, `code` (its close code).
client_disconnected = _signals.signal("client-disconnected")

#: A message was delivered; `identity`, `room`, `to` (None in a room), `text`, `id`, `seq` (None in an ephemeral room),
#: `ts` (ms).
message_sent = _signals.signal("message-sent")
