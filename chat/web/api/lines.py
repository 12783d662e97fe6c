"""The lines that a room shows about invitations, in the language of the user who causes them."""

from __future__ import annotations

from ...i18n import catalogue
from ...wire.envelope import Identity
from ..context import language


def invited(inviter: Identity, user: Identity) -> str:
    """Return the line about an invitation."""
    _ = catalogue(language()).gettext
    return _("{inviter} invited {name}.").format(inviter=inviter.username, name=user.username)


def accepted(inviter: Identity, user: Identity) -> str:
    """Return the line about an invitation that was accepted."""
    _ = catalogue(language()).gettext
    return _("{name} joined, invited by {inviter}.").format(inviter=inviter.username, name=user.username)
