"""The account pages."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from flask_wtf import FlaskForm

from chat import BadName, NameTaken, User

from . import languages, sessions
from .forms import SENTENCES, DeleteForm, LoginForm, LogoutForm, PasswordForm, RegisterForm
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
    blueprint.add_url_rule("/account", "account", account)
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
    """Log out, close the user's sockets and invalidate all tokens."""
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
    """Show the account page."""
    return render_template("accounts/account.html")


@login_required
def change_password() -> Any:
    """Change the password; every other session of the user ends."""
    form = PasswordForm()
    if not form.validate_on_submit():
        return page("accounts/password.html", form)
    try:
        user = confirm(form)
    except (TooManyAttempts, WrongCredentials, Banned) as error:
        return refuse("accounts/password.html", form, error)
    sessions.log_in(service().change_password(user, form.new_password.data))
    flash(_("Your password has been changed."))
    return redirect(url_for("accounts.account"), 303)


@login_required
def delete_account() -> Any:
    """Delete the current user's account."""
    form = DeleteForm()
    if not form.validate_on_submit():
        return page("accounts/delete.html", form)
    try:
        user = confirm(form)
    except (TooManyAttempts, WrongCredentials, Banned) as error:
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


def page(template: str, form: FlaskForm) -> tuple[str, int]:
    """Render a form, with its errors if it was submitted with any."""
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
    """Return the current user if the form's password is right; raise what `AccountService.authenticate` does."""
    return service().authenticate(current_user.username, form.password.data, address())


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
