"""What a site calls when its accounts change: a new name, another name, the end of an account."""

from __future__ import annotations

from ..config import Settings
from ..identity.reserved import check_new_name
from ..wire.envelope import Identity
from .identities import Identities
from .rooms import RoomService


class AccountMethods:
    """The methods of ChatService for the accounts of the site."""

    settings: Settings
    identities: Identities
    rooms: RoomService

    def check_new_name(self, username: str) -> str:
        """Return `username` in the form in which a new user may register it; raise BadName.

        For the site's own registration. A word that means everybody, or the site, is refused with the code
        `name_reserved`, and so is what looks like it: `all`, `admin`, `管理员`, CHAT_RESERVED_NAMES. Users who have
        such a name already keep it.
        """
        return check_new_name(username, self.settings.reserved_names)

    def rename(self, user_id: str, username: str) -> None:
        """Give a user of the site this name from now on, and take it from any other: for a renamed user."""
        self.identities.rename(Identity(user_id, username))

    def delete_account(self, user_id: str) -> bool:
        """End a user's account in the chat for good; return whether there was one.

        Sockets, tokens and memberships end. A room that the user owned alone passes to the longest-standing admin, else
        to the longest-standing member. Other users see "deleted account" in place of the name, and can send it no more
        direct messages. Call it when the site deletes a user, and never give the id to anybody else.
        """
        ended = self.rooms.end_account(str(user_id))
        self.revoke(str(user_id))
        return ended

    def revoke(self, user_id: str, failure: str = "token_invalid") -> None:
        """Close all sockets of this user and refuse the tokens issued until now, on every server."""
        raise NotImplementedError
