"""The account pages."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from flask_wtf import FlaskForm

from chat import BadName, NameTaken, User

from . import sessions
from .door import Banned, Door, TooMany, WrongCredentials
from .forms import SENTENCES, DeleteForm, LoginForm, LogoutForm, PasswordForm, RegisterForm
from .redirects import go_on

LANGUAGES = ("en", "zh")


def make_blueprint() -> Blueprint:
    """Return the blueprint `accounts`."""
    blueprint = Blueprint("accounts", __name__)
    both = ["GET", "POST"]
    blueprint.add_url_rule("/", "home", home)
    blueprint.add_url_rule("/register", "register", register, methods=both)
    blueprint.add_url_rule("/login", "login", login, methods=both)
    blueprint.add_url_rule("/logout", "logout", logout, methods=["POST"])
    blueprint.add_url_rule("/account", "account", account)
    blueprint.add_url_rule("/account/password", "change_password", change_password, methods=both)
    blueprint.add_url_rule("/account/delete", "delete_account", delete_account, methods=both)
    blueprint.add_url_rule("/lang/<code>", "set_language", set_language)
    blueprint.app_context_processor(lambda: {"registration_open": is_open()})
    return blueprint


def home() -> Any:
    """Send a visitor to the chat, or to the log-in."""
    return redirect(url_for("chat.page" if current_user.is_authenticated else "accounts.login"))


def register() -> Any:
    """Make an account and log in to it."""
    if current_user.is_authenticated:
        return go_on()
    if not is_open():
        return render_template("accounts/closed.html"), 403
    form = RegisterForm()
    if not form.validate_on_submit():
        return page("accounts/register.html", form)
    try:
        user = door().register(form.username.data, form.password.data, address())
    except (BadName, NameTaken) as error:
        form.username.errors = [SENTENCES[error.code]]
        return page("accounts/register.html", form)
    except TooMany as error:
        return refuse("accounts/register.html", form, error)
    sessions.log_in(user)
    return go_on()


def login() -> Any:
    """Log in with name and password."""
    if current_user.is_authenticated:
        return go_on()
    form = LoginForm()
    if not form.validate_on_submit():
        return page("accounts/login.html", form)
    try:
        user = door().enter(form.username.data, form.password.data, address())
    except (TooMany, WrongCredentials, Banned) as error:
        return refuse("accounts/login.html", form, error)
    sessions.log_in(user)
    return go_on()


def logout() -> Any:
    """Log out here, and end the sockets and tokens of the user."""
    if not LogoutForm().validate_on_submit():
        abort(400, _("This page has expired. Go back, reload it and try again."))
    if current_user.is_authenticated:
        user_id = current_user.id
        sessions.log_out()
        chat().revoke(user_id)
        flash(_("You've been logged out on all your devices."))
    return redirect(url_for("accounts.login"), 303)


@login_required
def account() -> Any:
    """Show what one can do with the own account."""
    return render_template("accounts/account.html")


@login_required
def change_password() -> Any:
    """Change the password; every other session of the user ends."""
    form = PasswordForm()
    if not form.validate_on_submit():
        return page("accounts/password.html", form)
    try:
        user = confirm(form)
    except (TooMany, WrongCredentials, Banned) as error:
        return refuse("accounts/password.html", form, error)
    sessions.log_in(door().change_password(user, form.new_password.data))
    flash(_("Your password has been changed."))
    return redirect(url_for("accounts.account"), 303)


@login_required
def delete_account() -> Any:
    """Delete the own account."""
    form = DeleteForm()
    if not form.validate_on_submit():
        return page("accounts/delete.html", form)
    try:
        user = confirm(form)
    except (TooMany, WrongCredentials, Banned) as error:
        return refuse("accounts/delete.html", form, error)
    sessions.log_out()
    door().delete(user)
    flash(_("Your account has been deleted."))
    return redirect(url_for("accounts.login"), 303)


def set_language(code: str) -> Any:
    """Show the site in another language from now on."""
    if code not in LANGUAGES:
        abort(404)
    session["lang"] = code
    return go_on("accounts.home")


# ---- what the views share -----------------------------------------------------------------------------------------


def page(template: str, form: FlaskForm) -> tuple[str, int]:
    """Show a form as it is first seen, or with what is wrong in its fields."""
    problem = None
    if form.errors:
        expired = "csrf_token" in form.errors
        problem = (
            _("This page has expired. Please submit the form again.")
            if expired
            else _("Please check the highlighted fields.")
        )
    return render_template(template, form=form, problem=problem), 400 if form.errors else 200


def refuse(template: str, form: FlaskForm, error: Exception) -> Any:
    """Show a form again with the reason why it was not followed."""
    if isinstance(error, TooMany):
        problem = _("Too many attempts. Try again in %(count)d seconds.", count=error.retry_after)
        return (
            render_template(template, form=form, problem=problem),
            429,
            {"Retry-After": str(error.retry_after)},
        )
    if isinstance(error, Banned):
        return render_template(template, form=form, problem=_("This account has been disabled.")), 403
    wrong = _("Wrong name or password.") if "username" in form else _("Wrong password.")
    return render_template(template, form=form, problem=wrong), 400


def confirm(form: FlaskForm) -> User:
    """Return the current user if the form's password is right; raise what `Door.enter` does."""
    return door().enter(current_user.username, form.password.data, address())


def chat() -> Any:
    """Return the chat of the current app."""
    return current_app.extensions["chat"]


def door() -> Door:
    """Return the door of the current app."""
    return current_app.extensions["accounts"]


def is_open() -> bool:
    """Tell whether strangers may register."""
    return chat().settings.registration


def address() -> str:
    """Return the client's address, as far as the proxies may be believed."""
    return request.remote_addr or ""
