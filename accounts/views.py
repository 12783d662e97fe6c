"""The account pages."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from flask_wtf import FlaskForm

from chat import BadName, NameTaken, User

from . import languages, reset_links, sessions
from .forms import (
    SAME_PASSWORD,
    SENTENCES,
    DeleteForm,
    EmptyForm,
    LoginForm,
    NewPasswordForm,
    PasswordForm,
    RegisterForm,
)
from .redirects import redirect_next
from .service import AccountService, Banned, TooManyAttempts, WrongCredentials


def make_blueprint() -> Blueprint:
    """Return the blueprint `accounts`."""
    blueprint = Blueprint("accounts", __name__)
    both = ["GET", "POST"]
    blueprint.add_url_rule("/", "home", home)
    blueprint.add_url_rule("/register", "register", register, methods=both)
    blueprint.add_url_rule("/login", "login", login, methods=both)
    blueprint.add_url_rule("/logout", "logout", logout, methods=["POST"])
    blueprint.add_url_rule("/logout/everywhere", "logout_everywhere", logout_everywhere, methods=["POST"])
    blueprint.add_url_rule("/account", "account", account)
    blueprint.add_url_rule("/account/sessions", "end_session", end_session, methods=["POST"])
    blueprint.add_url_rule("/account/reset", "reset_password", reset_password, methods=both)
    blueprint.add_url_rule("/account/password", "change_password", change_password, methods=both)
    blueprint.add_url_rule("/account/delete", "delete_account", delete_account, methods=both)
    blueprint.add_url_rule("/lang/<code>", "set_language", set_language)
    blueprint.app_context_processor(lambda: {"registration_open": is_open()})
    return blueprint


def home() -> Any:
    """Redirect to the chat, or to the log-in page."""
    return redirect(url_for("chat.page" if current_user.is_authenticated else "accounts.login"))


def register() -> Any:
    """Create an account and log in."""
    if current_user.is_authenticated:
        return redirect_next()
    if not is_open():
        return render_template("accounts/closed.html"), 403
    form = RegisterForm()
    if not form.validate_on_submit():
        return page("accounts/register.html", form)
    try:
        user = service().register(form.username.data, form.password.data, address())
    except (BadName, NameTaken) as error:
        form.username.errors = [SENTENCES[error.code]]
        return page("accounts/register.html", form)
    except TooManyAttempts as error:
        return refuse("accounts/register.html", form, error)
    sessions.log_in(user)
    return redirect_next()


def login() -> Any:
    """Log in with name and password."""
    if current_user.is_authenticated:
        return redirect_next()
    form = LoginForm()
    if not form.validate_on_submit():
        return page("accounts/login.html", form)
    try:
        user = service().authenticate(form.username.data, form.password.data, address())
    except (TooManyAttempts, WrongCredentials, Banned) as error:
        return refuse("accounts/login.html", form, error)
    sessions.log_in(user)
    return redirect_next()


def logout() -> Any:
    """Log out in this browser: its sockets close, and its tokens end."""
    check_csrf()
    if current_user.is_authenticated:
        sessions.log_out()
        flash(_("You've been logged out."))
    return redirect(url_for("accounts.login"), 303)


def logout_everywhere() -> Any:
    """Log out on all devices, close the user's sockets and invalidate all tokens."""
    check_csrf()
    if current_user.is_authenticated:
        sessions.log_out_everywhere(current_user.id)
        flash(_("You've been logged out on all your devices."))
    return redirect(url_for("accounts.login"), 303)


@login_required
def account() -> Any:
    """Show the account page, with the user's sessions."""
    now = time.time() * 1000
    listed = [
        (one, timedelta(milliseconds=min(0, one.used_at - now))) for one in chat().log_ins.of(current_user.id)
    ]
    return render_template("accounts/account.html", sessions=listed)


@login_required
def end_session() -> Any:
    """Log out one of the user's other sessions."""
    check_csrf()
    asked = request.form.get("session", "")
    ended = next((one for one in chat().log_ins.of(current_user.id) if one.id == asked), None)
    if ended is not None:
        chat().log_ins.end(current_user.id, ended.id)
        flash(_("Logged out: %(device)s.", device=ended.device))
    return redirect(url_for("accounts.account"), 303)


@login_required
def change_password() -> Any:
    """Change the password; every other session of the user ends."""
    form = PasswordForm(current_user.username)
    if not form.validate_on_submit():
        return page("accounts/password.html", form)
    try:
        user = confirm(form)
    except (TooManyAttempts, WrongCredentials) as error:
        return refuse("accounts/password.html", form, error)
    sessions.log_in(service().change_password(user, form.new_password.data))
    flash(_("Your password has been changed."))
    return redirect(url_for("accounts.account"), 303)


def reset_password() -> Any:
    """Set a new password for the user whose link this is; all sessions of the user end."""
    user = reset_links.user_of(request.args.get("key", ""))
    if user is None:
        return render_template("accounts/reset_gone.html"), 410
    form = NewPasswordForm(user.username)
    if form.validate_on_submit() and service().has_password(user, form.new_password.data):
        form.new_password.errors = [SAME_PASSWORD]
    if not form.is_submitted() or form.errors:
        body, status = page("accounts/reset.html", form, username=user.username)
        return body, status, {"Referrer-Policy": "no-referrer"}
    if not service().reset_password(user, form.new_password.data):
        return render_template("accounts/reset_gone.html"), 410
    flash(_("Your password has been changed. Log in with the new one."))
    return redirect(url_for("accounts.login"), 303)


@login_required
def delete_account() -> Any:
    """Delete the current user's account."""
    form = DeleteForm()
    if not form.validate_on_submit():
        return page("accounts/delete.html", form)
    try:
        user = confirm(form)
    except (TooManyAttempts, WrongCredentials) as error:
        return refuse("accounts/delete.html", form, error)
    sessions.log_out()
    service().delete(user)
    flash(_("Your account has been deleted."))
    return redirect(url_for("accounts.login"), 303)


def set_language(code: str) -> Any:
    """Set the language of this browser's session."""
    if code not in languages.CODES:
        abort(404)
    session["lang"] = code
    return redirect_next("accounts.home")


# ---- shared by the views ------------------------------------------------------------------------------------------


def check_csrf() -> None:
    """Answer 400 to a form without its CSRF token."""
    if not EmptyForm().validate_on_submit():
        abort(400, _("This page has expired. Go back, reload it and try again."))


def page(template: str, form: FlaskForm, **values: Any) -> tuple[str, int]:
    """Render a form, with its errors if it was submitted with any."""
    problem = None
    if form.errors:
        expired = "csrf_token" in form.errors
        problem = (
            _("This page has expired. Please submit the form again.")
            if expired
            else _("Please check the highlighted fields.")
        )
    return render_template(template, form=form, problem=problem, **values), 400 if form.errors else 200


def refuse(template: str, form: FlaskForm, error: Exception) -> Any:
    """Render a form again with the reason for the refusal."""
    if isinstance(error, TooManyAttempts):
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
    """Return the current user if the form's password is right; raise TooManyAttempts or WrongCredentials."""
    service().confirm(current_user.user, form.password.data, chat().log_ins.current() or "")
    return current_user.user


def chat() -> Any:
    """Return the chat of the current app."""
    return current_app.extensions["chat"]


def service() -> AccountService:
    """Return the account service of the current app."""
    return current_app.extensions["accounts"]


def is_open() -> bool:
    """Tell whether new users may register."""
    return chat().settings.registration


def address() -> str:
    """Return the client's address, as reported by the trusted proxies."""
    return request.remote_addr or ""
