"""The forms, each with its CSRF token, and the messages for invalid fields."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import Field, Form, PasswordField, StringField, ValidationError
from wtforms.validators import InputRequired

from chat.identity import passwords
from chat.identity.names import MAX_CHARS, BadName, clean
from chat.identity.passwords import BadPassword

SENTENCES = {
    "name_empty": _l("Your name needs at least one letter or number."),
    "name_too_long": _l("Your name can have up to %(count)d characters.", count=MAX_CHARS),
    "name_characters": _l("This name contains a character that isn't allowed."),
    "name_spaces": _l("Use a single space between words."),
    "name_scripts": _l(
        "Use letters from one alphabet only. Letters from different alphabets can look alike."
    ),
    "name_reserved": _l("This name is reserved. Choose another one."),
    "name_taken": _l("This name is taken or looks too much like one that is."),
    "password_short": _l("Use at least %(count)d characters.", count=passwords.MIN_CHARS),
    "password_long": _l("Use at most %(count)d characters.", count=passwords.MAX_CHARS),
    "password_common": _l("This password is one of the first that are guessed. Choose a less common one."),
    "password_name": _l("This password is too much like your name. Choose something that isn't about you."),
}


def allowed_name(_form: Form, field: Field) -> None:
    """Accept names that a new user may have."""
    try:
        clean(field.data)
    except BadName as error:
        raise ValidationError(SENTENCES[error.code]) from error


def allowed_password(form: Form, field: Field) -> None:
    """Accept passwords that meet the rules; the form knows whose it is to be."""
    username = form.username.data if "username" in form else form.whose
    try:
        passwords.check(field.data, username or "")
    except BadPassword as error:
        raise ValidationError(SENTENCES[error.code]) from error


def different_password(form: Form, field: Field) -> None:
    """Accept a new password that is not the current one."""
    if passwords.is_same(form.password.data or "", field.data):
        raise ValidationError(SAME_PASSWORD)


SAME_PASSWORD = _l("This is your current password. Choose a new one.")

_NAME = {"autocapitalize": "none", "autocorrect": "off", "spellcheck": "false", "dir": "auto"}


class LoginForm(FlaskForm):
    """Name and password of an existing user."""

    username = StringField(
        _l("Name"),
        [InputRequired(_l("Enter your name."))],
        render_kw={"autocomplete": "username", **_NAME},
    )
    password = PasswordField(
        _l("Password"),
        [InputRequired(_l("Enter your password."))],
        render_kw={"autocomplete": "current-password"},
    )


class RegisterForm(FlaskForm):
    """Name and password of a new user."""

    username = StringField(
        _l("Name"),
        [InputRequired(_l("Choose a name.")), allowed_name],
        description=_l(
            "This is how other people see you. Up to %(count)d characters, in any language.", count=MAX_CHARS
        ),
        render_kw={"autocomplete": "username", **_NAME},
    )
    password = PasswordField(
        _l("Password"),
        [InputRequired(_l("Choose a password.")), allowed_password],
        description=_l("At least %(count)d characters. Try a few random words.", count=passwords.MIN_CHARS),
        render_kw={"autocomplete": "new-password"},
    )


class NewPasswordForm(FlaskForm):
    """A new password for the user named `whose`."""

    def __init__(self, whose: str) -> None:
        super().__init__()
        self.whose = whose

    new_password = PasswordField(
        _l("New password"),
        [InputRequired(_l("Choose a new password.")), allowed_password],
        description=_l("You'll be logged out everywhere."),
        render_kw={"autocomplete": "new-password"},
    )


class PasswordForm(NewPasswordForm):
    """The current password and the new one."""

    password = PasswordField(
        _l("Current password"),
        [InputRequired(_l("Enter your current password."))],
        render_kw={"autocomplete": "current-password"},
    )
    new_password = PasswordField(
        _l("New password"),
        [InputRequired(_l("Choose a new password.")), allowed_password, different_password],
        description=_l("You'll stay logged in here and be logged out everywhere else."),
        render_kw={"autocomplete": "new-password"},
    )


class DeleteForm(FlaskForm):
    """The password, asked again before the account is deleted."""

    password = PasswordField(
        _l("Password"),
        [InputRequired(_l("Enter your password."))],
        render_kw={"autocomplete": "current-password"},
    )


class EmptyForm(FlaskForm):
    """Only its CSRF token, so that a link cannot log a user out."""
