"""The messages that joining clients have missed: where they end, and what they are."""

from __future__ import annotations

from collections.abc import Iterable

from ..store.history import History, Message
from .hub import Hub
from .join_request import JoinRequest
from .member import Member
from .room import Room
from .stored_messages import envelope_of

#: Messages that are read first. Their size tells how many of the older ones can be sent, too.
FIRST_READ = 50


class MissedMessages:
    """Reads them for a batch of requests, each room once."""

    def __init__(self, hub: Hub, history: History) -> None:
        self._hub = hub
        self._history = history
        self._replay_max = hub.settings.replay_max
        #: As join_replies.py: what fills an outbox is too much for a client.
        self._most_bytes = hub.settings.outbox_bytes // 2

    # ---- where they end; in the loop -----------------------------------------------------------------------------

    def set_ends(self, batch: Iterable[JoinRequest]) -> dict[str, list[JoinRequest]]:
        """Set `upto` of each request; return those for which messages are to be read, by room."""
        wanted: dict[str, list[JoinRequest]] = {}
        for request in batch:
            if request.update_member().closing or request.cancelled:
                continue
            if self._set_end(request):
                wanted.setdefault(request.name, []).append(request)
        return wanted

    def _set_end(self, request: JoinRequest) -> bool:
        row, room = request.row, request.room
        if room is None:
            return self._set_end_direct(request)
        if room.gate is None or row is None:
            request.recovered = request.since is None
            return False
        if request.buffer is not None:
            request.buffer.reset()
            request.upto = room.last_seq
        else:
            request.upto = self._live_since(request.member, room)
        return request.needs_reading(row, room.last_seq, self._replay_max)

    def _live_since(self, member: Member, room: Room) -> int:
        """Return the seq after which a member of `room` receives messages live."""
        if room is self._hub.lobby:
            return member.entered
        return (member.floors or {}).get(room.name, room.last_seq + 1) - 1

    def _set_end_direct(self, request: JoinRequest) -> bool:
        row, member = request.row, request.member
        last = request.upto = row.last_seq if row is not None else 0
        if request.since is None:
            return False
        if row is None:
            # Not remembered: a client may make up any number of names. Live delivery begins with the first message.
            request.upto = (member.floors or {}).get(request.name, 1) - 1
            request.recovered = not request.since
            return False
        if member.floors is None:
            member.floors = {}
        # Live delivery begins with the next message, or where it has begun already.
        request.upto = member.floors.setdefault(request.name, last + 1) - 1
        return request.needs_reading(row, last, self._replay_max)

    # ---- what they are; it blocks --------------------------------------------------------------------------------

    def read(self, wanted: dict[str, list[JoinRequest]]) -> None:
        """Set `missed` of these requests, given by room; not `recovered` are those that have missed too much."""
        for requests in wanted.values():
            row = requests[0].row
            assert row is not None
            since = min(request.since or 0 for request in requests)
            upto = max(request.upto for request in requests)
            messages = [(one.seq, envelope_of(one)) for one in self._newest(row.id, since, upto)]
            for request in requests:
                assert request.since is not None
                request.missed = [one for seq, one in messages if request.since < seq <= request.upto]
                # Retention may have deleted some meanwhile, or they are too long.
                if len(request.missed) != request.upto - request.since:
                    request.recovered, request.missed = False, []

    def _newest(self, room_id: int, since: int, upto: int) -> list[Message]:
        """Return the messages after `since` up to `upto`, without the oldest where they are too long for a client.

        A thousand may have 30 MB: whoever asks again and again for what is not sent then must not have it read.
        """
        found: list[Message] = []
        size, limit = 0, FIRST_READ
        while upto > since and size <= self._most_bytes:
            page = self._history.before(room_id, upto + 1, min(limit, upto - since))
            if not page:
                break
            found = page + found
            size += sum(len(one.data.encode()) for one in page)
            upto = page[0].seq - 1
            limit = max(1, self._most_bytes * len(found) // max(1, size) - len(found) + 1)
        return found
