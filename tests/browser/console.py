"""The consoles of pages, watched for whatever should not be there."""


class Console:
    """Collects errors of pages: exceptions, console errors, broken policies."""

    def __init__(self):
        self._errors, self._announced = [], []

    def watch(self, context):
        """Listen to every page of a browser profile, those to come too."""
        context.on("console", self._heard)
        context.on("weberror", lambda error: self._errors.append(f"thrown: {error.error}"))
        context.on("page", lambda page: page.on("dialog", self._dialog))
        for page in context.pages:
            page.on("dialog", self._dialog)

    def expect(self, *parts):
        """Announce errors whose text holds one of `parts`: the test causes them on purpose."""
        self._announced.extend(parts)

    @property
    def unexpected(self):
        return [error for error in self._errors if not any(part in error for part in self._announced)]

    def _heard(self, message):
        if message.type in {"error", "warning"}:
            self._errors.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _dialog(self, dialog):
        self._errors.append(f"a dialog: {dialog.message}")
        dialog.dismiss()
