"""A message type of a site's own: a user throws a die. docs/adding-to-your-site.md quotes it."""

import orjson

from chat import MessageType
from chat.wire.frames import text_frame

DIE = 100


def throw_die(chat, client, envelope):
    """Send the throw to everyone in the room, and a private confirmation to the client that threw."""
    envelope.type, envelope.data = MessageType.GROUP_CHAT, "⚃"
    client.enqueue(text_frame(orjson.dumps({"type": DIE, "ref": envelope.id})))
    chat.table[MessageType.GROUP_CHAT](chat, client, envelope)
